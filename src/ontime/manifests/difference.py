"""What a branch changes in the rendered manifests, as a section of the pull request's report."""

import difflib
import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ontime.common.errors import OntimeError
from ontime.common.files import write_text
from ontime.manifests.render import SOURCES, build, targets
from ontime.manifests.tools import find_kustomize
from ontime.repository.git import git, tried_bytes

HEADING = "### Manifests"
MOST_CHARACTERS = 20_000
"""Of the difference, so that a comment holds it and the rest of the report."""
NOT_RENDERED = "does not render: "


def report_difference(base: str, report: Path) -> str:
    """Add the changes of a branch to the rendered manifests to the report, which is created if needed.

    Returns:
        A line that says what was done.
    """
    if not git("diff", "--name-only", base, "--", *map(str, SOURCES)):
        return f"no manifest differs from {base}"
    try:
        kustomize = find_kustomize(build_it=shutil.which("go") is not None)
    except OntimeError as error:
        return f"manifests not compared: {error}"
    with tempfile.TemporaryDirectory(prefix="ontime-manifests-") as folder:
        for source in SOURCES:
            # a base may lack one of them
            archive = tried_bytes("archive", "--format=tar", base, str(source))
            if archive is not None:
                with tarfile.open(fileobj=io.BytesIO(archive)) as content:
                    content.extractall(folder, filter="data")
        before = _texts(Path(folder), kustomize)
    after = _texts(Path(), kustomize)
    changed = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    if not changed:
        return f"no manifest differs from {base}"
    from ontime.pull_request.comment import MARKER

    text = report.read_text(encoding="utf-8") if report.is_file() else f"{MARKER}\n"
    text = text.split(f"\n{HEADING}\n")[0].rstrip("\n")
    write_text(report, "\n\n".join([text, *section(before, after, changed)]) + "\n")
    return f"{report}: manifests differ: {', '.join(changed)}"


def section(before: Mapping[str, str], after: Mapping[str, str], changed: list[str]) -> list[str]:
    """The difference as a collapsed block of Markdown."""
    text = "\n".join(line for name in changed for line in _lines(name, before.get(name, ""), after.get(name, "")))
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]}\n(cut)"
    # no line of a difference begins with the fence
    return [HEADING, f"<details><summary>{', '.join(changed)}</summary>", f"~~~~diff\n{text}\n~~~~", "</details>"]


def _lines(name: str, before: str, after: str) -> Iterator[str]:
    # what was there before would fill the comment and hide the reason
    left = "" if after.startswith(NOT_RENDERED) else before
    yield from difflib.unified_diff(left.splitlines(), after.splitlines(), name, name, "base", "this", lineterm="")


def _texts(top: Path, kustomize: Path) -> dict[str, str]:
    texts = {}
    for name, path in targets(top).items():
        try:
            texts[name] = build(top / path, kustomize)
        except OntimeError as error:
            texts[name] = f"{NOT_RENDERED}{error}\n".replace(f"{top}/", "")
    return texts
