"""Publish the report as one comment on its pull request, updated in place, through GitHub's REST API.

In: a Markdown file whose first line is the report's marker; `GITHUB_REPOSITORY`, `GITHUB_TOKEN` and `GITHUB_API_URL`
as a workflow sets them. Out: the comment by the workflow's own account that begins with the marker, created or updated.
The report is a run's of the pull request's own code, so it is taken as data: another marker is refused, and the line
that names changed files of the checks comes from GitHub's list of files, not from the report.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import requests

from ontime.common.errors import OntimeError

SECONDS = 30
MOST_CHARACTERS = 64_000
"""GitHub refuses a comment of more than 65,536 characters."""
MARKER = "<!-- ontime report -->"
"""First line of the report, which identifies its comment."""
AUTHOR = "github-actions[bot]"
"""Whose comments may be changed: the account of a workflow's own token. No person's login has brackets."""
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
    missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not os.environ.get(name)]
    if missing:
        raise OntimeError(f"{missing[0]}: not set; a workflow of GitHub Actions sets it")
    if path.is_symlink():
        raise OntimeError(f"{path}: a symbolic link; a report is a file")
    with path.open(encoding="utf-8", errors="replace") as stream:
        click.echo(comment(stream.read(MOST_CHARACTERS + 1), pull_request))


def comment(text: str, pull_request: int) -> str:
    """Create or update the comment, and return its URL."""
    marker, _, rest = text.partition("\n")
    if marker != MARKER or not rest.strip():
        raise OntimeError("the report does not begin with its marker; it is not from `ontime report`")
    if len(rest) > MOST_CHARACTERS - len(marker) - 1:
        rest = f"{rest[: MOST_CHARACTERS - len(marker) - 1]}\n\n(cut)\n"
    repository = f"{os.environ.get('GITHUB_API_URL', 'https://api.github.com')}/repos/{os.environ['GITHUB_REPOSITORY']}"
    issues = f"{repository}/issues"
    with requests.Session() as session:
        session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
                "X-GitHub-Api-Version": "2022-11-28",
            }
        )
        files = _pages(session, f"{repository}/pulls/{pull_request}/files?per_page=100")
        text = f"{MARKER}\n{_warning(files)}{rest}"
        for existing in _pages(session, f"{issues}/{pull_request}/comments?per_page=100"):
            if _is_own(existing):
                updated = _call(session, "PATCH", f"{issues}/comments/{existing['id']}", text)
                return str(updated["html_url"])
        return str(_call(session, "POST", f"{issues}/{pull_request}/comments", text)["html_url"])


def _is_own(existing: Mapping[str, Any]) -> bool:
    """Whether a comment is an earlier report: its first line is the marker, and the workflow's own account wrote it."""
    user = existing.get("user") or {}
    own = user.get("login") == AUTHOR and user.get("type") == "Bot"
    return own and str(existing["body"]).splitlines()[:1] == [MARKER]


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


def _pages(session: requests.Session, address: str) -> Iterator[dict[str, Any]]:
    """Every entry of a list, page by page."""
    while address:
        response = _checked(session.request, "GET", address, None)
        yield from response.json()
        address = response.links.get("next", {}).get("url", "")


def _call(session: requests.Session, method: str, address: str, text: str) -> dict[str, Any]:
    content: dict[str, Any] = _checked(session.request, method, address, {"body": text}).json()
    return content


def _checked(request: Any, method: str, address: str, content: dict[str, str] | None) -> requests.Response:
    try:
        response: requests.Response = request(method, address, json=content, timeout=SECONDS)
    except requests.RequestException as error:
        raise OntimeError(f"{method} {address}: {type(error).__name__}") from None
    if not response.ok:
        raise OntimeError(f"{method} {address}: {response.status_code} {response.reason}: {response.text[:200]!r}")
    return response
