"""The model card as a page: its figures, its version, and nothing in it that a browser would run."""

import dataclasses
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.card import MODEL_CARD, card_page

TEMPLATE = "$name|$version|$git_commit|$sha256|$card"


def test_the_card_has_the_figures_version_commit_and_hash(client: TestClient, model: Champion) -> None:
    text = client.get("/card").text
    assert "<h1>parcels</h1>" in text
    assert f"<td>{model.manifest.metrics['test']['roc_auc']:.4f}</td>" in text
    for part in ("1.2.3", "0123456789abcdef", model.sha256):
        assert part in text
    assert "$" not in text


@pytest.mark.parametrize(("version", "told"), [("0.0.0", "not released yet"), ("2.0.0", "2.0.0")])
def test_a_model_without_a_release_is_told_so(model: Champion, tmp_path: Path, version: str, told: str) -> None:
    (tmp_path / MODEL_CARD).write_text("# x\n")
    page = card_page(dataclasses.replace(model, version=version), tmp_path, TEMPLATE)
    assert page.startswith(f"parcels|{told}|")


def test_html_in_the_card_and_in_the_version_stays_text(model: Champion, tmp_path: Path) -> None:
    (tmp_path / MODEL_CARD).write_text(
        "# <b>x</b>\n\n<script>a</script>\n\n[y](javascript:z)\n\n| m |\n|---|\n| <i> |\n"
    )
    page = card_page(dataclasses.replace(model, version="<u>"), tmp_path, TEMPLATE)
    for tag in ("<b>", "<script>", "<i>", "<u>", 'href="javascript'):
        assert tag not in page
    assert '<div class="wide" role="region" aria-label="Table" tabindex="0"><table>' in page
    assert page.count("</table></div>") == 1


def test_a_folder_without_a_card_is_refused(model: Champion, tmp_path: Path) -> None:
    with pytest.raises(OntimeError, match=r"MODEL_CARD\.md: cannot be read: "):
        card_page(model, tmp_path, TEMPLATE)
