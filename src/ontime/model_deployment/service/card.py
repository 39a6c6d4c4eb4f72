"""The model card as a page: the champion's `MODEL_CARD.md` with its version, commit and hash.

In: the champion and its verified folder. Out: HTML; what looks like HTML in the card stays text.
"""

import html
from pathlib import Path
from string import Template
from typing import Any

from markdown_it import MarkdownIt

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.champion import Champion

MODEL_CARD = "MODEL_CARD.md"
UNRELEASED = "0.0.0"
"""The version of a model that no release has named."""
TABLE = '<div class="wide" role="region" aria-label="Table" tabindex="0"><table>'


def released_version(model: Champion) -> str | None:
    """The version of a released model."""
    return None if model.version == UNRELEASED else model.version


def card_page(model: Champion, folder: Path, template: str) -> str:
    """The page; `template` has the places `$name`, `$card`, `$version`, `$git_commit` and `$sha256`.

    Raises:
        OntimeError: the folder has no card.
    """
    path = folder / MODEL_CARD
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OntimeError(f"{path}: cannot be read: {error}") from None
    parts = {
        "name": model.name,
        "version": released_version(model) or "not released yet",
        "git_commit": model.git_commit,
        "sha256": model.sha256,
    }
    escaped = {name: html.escape(part) for name, part in parts.items()}
    return Template(template).substitute(escaped, card=_rendered(text))


def _rendered(text: str) -> str:
    """Markdown as HTML; a table scrolls by itself where the screen is narrow."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("table_open", _table_open)
    markdown.add_render_rule("table_close", _table_close)
    return str(markdown.render(text))


def _table_open(*_: Any) -> str:
    return TABLE


def _table_close(*_: Any) -> str:
    return "</table></div>"
