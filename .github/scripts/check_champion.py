"""Refuse a champion that is not the one in `dvc.lock`, or a commit that is not in `main`.

It runs where the signing identity is, so it takes nothing but Python's library and git. Usage:
`check_champion.py COMMIT`; in: the checkout, `dvc.lock` of the commit, `models/champion`.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

CHAMPION = Path("models/champion")
LOCKED = re.compile(r"^    - path: models/champion\n      hash: md5\n      md5: ([0-9a-f]{32})\.dir$", re.MULTILINE)


def md5(content: bytes) -> str:
    """MD5 as DVC uses it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def folder_md5(folder: Path) -> str:
    """The MD5 that DVC gives a folder: of the list of its files' paths and MD5s."""
    found = sorted(folder.rglob("*"))
    odd = [path for path in found if path.is_symlink() or not (path.is_file() or path.is_dir())]
    if odd:
        sys.exit(f"error: {odd[0]}: not a plain file")
    files = {path.relative_to(folder).as_posix(): md5(path.read_bytes()) for path in found if path.is_file()}
    listing = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return md5(json.dumps(listing, sort_keys=True).encode())


def check(commit: str) -> str:
    """Check commit and champion; the line that says so."""
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        sys.exit(f"error: {commit}: not a commit's hash")
    merged = ["git", "merge-base", "--is-ancestor", commit, "refs/remotes/origin/main"]
    if subprocess.run(merged, check=False).returncode:
        sys.exit(f"error: commit {commit}: not in main")
    locked = set(LOCKED.findall(Path("dvc.lock").read_text(encoding="utf-8")))
    if len(locked) != 1:
        sys.exit(f"error: dvc.lock: {len(locked)} hashes of {CHAMPION}, not one")
    actual = folder_md5(CHAMPION)
    if locked != {actual}:
        sys.exit(f"error: {CHAMPION}: has the MD5 {actual}, not {locked.pop()} as in dvc.lock of commit {commit}")
    return f"{CHAMPION}: MD5 {actual}, as in dvc.lock of commit {commit}"


if __name__ == "__main__":
    print(check(sys.argv[1]))
