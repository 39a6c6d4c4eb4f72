"""The files of a checkout as git knows them."""

import subprocess
from pathlib import Path

from ontime.common.errors import OntimeError


def listed_files(checkout: Path) -> set[str]:
    """Paths of the files there that git tracks or would add, relative to the checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        raise OntimeError(f"{checkout}: not a git repository")
    return {name for name in listed.stdout.decode().split("\0") if name and (checkout / name).is_file()}
