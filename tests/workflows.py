"""The workflows as files, and the actions that they use."""

import re
from pathlib import Path

from tests.checkouts import TOP

GITHUB = TOP / ".github"
WORKFLOWS = sorted([*(GITHUB / "workflows").glob("*.yml"), *(GITHUB / "actions").glob("*/action.yml")])
USES = re.compile(r"uses: ([^@\s]+)@([0-9a-f]{40}) # (v[0-9.]+)")


def uses_of(paths: list[Path]) -> list[tuple[str, str]]:
    """Third-party actions and their commits, each once."""
    found = [(name, sha) for path in paths for name, sha, _ in USES.findall(path.read_text(encoding="utf-8"))]
    return sorted(set(found))
