"""The REST API of the forge that has the repository: GitHub's, whose form other forges have for issues and comments.

`GITHUB_REPOSITORY`, `GITHUB_TOKEN` and `GITHUB_API_URL` say where, as a workflow sets them.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from ontime.common.errors import OntimeError, root_cause

SECONDS = 30
AGAIN = Retry(3, backoff_factor=0.5, status_forcelist=(502, 503, 504), allowed_methods=("GET",), raise_on_status=False)
"""What only reads is asked again when an answer fails to come; what writes could then be written twice."""
BOT = "github-actions[bot]"
"""The account of a workflow's own token. No person's login has brackets."""


class Forge:
    """A session with the API of one repository."""

    def __init__(self) -> None:
        """Read where it is from the environment.

        Raises:
            OntimeError: a variable is missing.
        """
        missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not os.environ.get(name)]
        if missing:
            raise OntimeError(f"{missing[0]}: not set; a workflow of GitHub Actions sets it")
        api = os.environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
        self.repository = f"{api}/repos/{os.environ['GITHUB_REPOSITORY']}"
        self._session = requests.Session()
        for beginning in ("https://", "http://"):
            self._session.mount(beginning, HTTPAdapter(max_retries=AGAIN))
        self._session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
                "X-GitHub-Api-Version": "2022-11-28",
            }
        )

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Every entry of a list below the repository's address, page by page."""
        address = f"{self.repository}/{path}"
        while address:
            response = _checked(self._session.request, "GET", address, None)
            yield from response.json()
            address = response.links.get("next", {}).get("url", "")

    def call(self, method: str, path: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request that changes something."""
        answer = _checked(self._session.request, method, f"{self.repository}/{path}", content)
        found: dict[str, Any] = answer.json()
        return found


def is_own(existing: Mapping[str, Any], marker: str, author: str = BOT) -> bool:
    """Whether an account wrote a comment or issue with this first line; what others wrote is never changed."""
    user = existing.get("user") or {}
    own = user.get("login") == author and (author != BOT or user.get("type") == "Bot")
    return own and str(existing.get("body") or "").splitlines()[:1] == [marker]


def _checked(
    request: Callable[..., requests.Response], method: str, address: str, content: Mapping[str, Any] | None
) -> requests.Response:
    try:
        response = request(method, address, json=content, timeout=SECONDS)
    except requests.RequestException as error:
        raise OntimeError(f"{method} {address}: {root_cause(error)}") from None
    if not response.ok:
        raise OntimeError(f"{method} {address}: {response.status_code} {response.reason}: {response.text[:200]!r}")
    return response
