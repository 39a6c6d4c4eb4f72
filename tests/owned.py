"""What belongs to the team in this checkout, and its files as if other names were theirs, which tests know."""

import functools
from pathlib import Path

from ontime.repository.ownership import changes, present
from tests.checkouts import TOP

KNOWN = {
    "repository": "example/ontime",
    "domain": "example.com",
    "buckets": "ontime",
    "aws_account": "111122223333",
    "google_project": "123456789012",
}
REMOTE = "s3://ontime-models/dvc"


@functools.cache
def owned() -> dict[str, str]:
    """Each value of the checkout by its name."""
    return present(TOP)


@functools.cache
def _known() -> dict[str, str]:
    return {name: change.text for name, change in changes(KNOWN, REMOTE, top=TOP).items()}


def text_of(path: Path) -> str:
    """A file's text with the values of `KNOWN`, whoever's the checkout is."""
    return _known().get(str(path.relative_to(TOP))) or path.read_text(encoding="utf-8")
