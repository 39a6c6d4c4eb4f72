"""Publish the report as one comment on its pull request, updated in place, through GitHub's REST API.

In: a Markdown file whose first line is the report's marker; `GITHUB_REPOSITORY`, `GITHUB_TOKEN` and `GITHUB_API_URL`
as a workflow sets them. Out: the comment that begins with the marker, created or updated.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import requests

from ontime.common.errors import OntimeError

SECONDS = 30
MOST_CHARACTERS = 65_000
"""GitHub refuses a longer comment."""


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
    click.echo(comment(path.read_text(encoding="utf-8"), pull_request))


def comment(text: str, pull_request: int) -> str:
    """Create or update the comment, and return its URL."""
    marker, rest = text.split("\n", 1)
    if not marker.startswith("<!-- ") or not rest.strip():
        raise OntimeError("the report does not begin with its marker; it is not from `ontime report`")
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]}\n\n(cut)\n"
    issues = (
        f"{os.environ.get('GITHUB_API_URL', 'https://api.github.com')}/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    )
    with requests.Session() as session:
        session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
                "X-GitHub-Api-Version": "2022-11-28",
            }
        )
        for existing in _comments(session, f"{issues}/{pull_request}/comments?per_page=100"):
            if existing["body"].startswith(marker):
                updated = _call(session, "PATCH", f"{issues}/comments/{existing['id']}", text)
                return str(updated["html_url"])
        return str(_call(session, "POST", f"{issues}/{pull_request}/comments", text)["html_url"])


def _comments(session: requests.Session, address: str) -> Iterator[dict[str, Any]]:
    """Every comment of the pull request, page by page."""
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
