"""Publish the report as one comment on its pull request, updated in place, through GitHub's REST API.

In: a Markdown file whose first line is the report's marker; `GITHUB_REPOSITORY`, `GITHUB_TOKEN` and `GITHUB_API_URL`
as a workflow sets them. Out: the comment by the workflow's own account that begins with the marker, created or updated.
The report is a run's of the pull request's own code, so it is taken as data: another marker is refused, and the line
that names changed files of the checks comes from GitHub's list of files, not from the report.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from ontime.common.errors import OntimeError
from ontime.repository.forge import Forge, is_own

MOST_CHARACTERS = 64_000
"""GitHub refuses a comment of more than 65,536 characters."""
MARKER = "<!-- ontime report -->"
"""First line of the report, which identifies its comment."""
JUDGES = (
    ".github/",
    "Makefile",
    "pyproject.toml",
    "requirements",
    "src/ontime/common/",
    "src/ontime/pull_request/",
    "src/ontime/repository/",
)
"""Beginnings of the paths that a check of the pull request runs."""
MOST_NAMES = 10


@click.command(name="comment")
@click.option("--pull-request", type=click.IntRange(min=1), required=True, metavar="NUMBER")
@click.option("--file", "path", type=click.Path(path_type=Path), default=Path("report/report.md"), show_default=True)
def command(pull_request: int, path: Path) -> None:
    """Post the report as a comment on its pull request, or update that comment."""
    if not path.is_file():
        raise OntimeError(f"{path}: not found; run `ontime report` first")
    if path.is_symlink():
        raise OntimeError(f"{path}: a symbolic link; a report is a file")
    with path.open(encoding="utf-8", errors="replace") as stream:
        click.echo(comment(stream.read(MOST_CHARACTERS + 1), pull_request))


def comment(text: str, pull_request: int) -> str:
    """Create or update the comment, and return its URL."""
    forge = Forge()
    marker, _, rest = text.partition("\n")
    if marker != MARKER or not rest.strip():
        raise OntimeError("the report does not begin with its marker; it is not from `ontime report`")
    if len(rest) > MOST_CHARACTERS - len(marker) - 1:
        rest = f"{rest[: MOST_CHARACTERS - len(marker) - 1]}\n\n(cut)\n"
    files = forge.pages(f"pulls/{pull_request}/files?per_page=100")
    content = {"body": f"{MARKER}\n{_warning(files)}{rest}"}
    for existing in forge.pages(f"issues/{pull_request}/comments?per_page=100"):
        if is_own(existing, MARKER):
            return str(forge.call("PATCH", f"issues/comments/{existing['id']}", content)["html_url"])
    return str(forge.call("POST", f"issues/{pull_request}/comments", content)["html_url"])


def _warning(files: Iterable[Mapping[str, Any]]) -> str:
    """A paragraph that names the changed files of the checks themselves; empty if there are none."""
    names = {str(file[key]) for file in files for key in ("filename", "previous_filename") if key in file}
    found = sorted(name for name in names if name.startswith(JUDGES))
    if not found:
        return ""
    more = f" and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
    # a file's name can have any character
    listed = ", ".join(f"`{ascii(name)[1:-1].replace('`', ' ')}`" for name in found[:MOST_NAMES])
    return (
        "\n> [!WARNING]\n> This pull request changes files that its own checks run, so the checks and the report below "
        f"are what these files make of them; read them first: {listed}{more}.\n\n"
    )
