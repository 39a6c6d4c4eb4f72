"""Checks of what names DVC's objects: MD5s and paths in a lock and in the listings of folders, and bytes by their MD5.

DVC joins paths of a listing to the checkout and MD5s to its cache as they are. So both are checked here before DVC
reads them, wherever they come from.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ontime.common.errors import OntimeError

MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
LISTING = ".dir"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
DRIVE = re.compile(r"[A-Za-z]:")
RESERVED = re.compile(r"\.git.*|git~\d+|\.dvc|\.dvcignore", re.IGNORECASE)
"""Names that steer git or DVC, also as other file systems spell them."""


def check_md5(md5: str, where: str) -> None:
    """Refuse what is not the name of an object."""
    if not MD5.fullmatch(md5):
        raise OntimeError(f"{where}: not an MD5: {md5[:100]!r}; restore the file with git")


def check_path(path: str, where: str) -> None:
    """Refuse a path that is not below the folder that it is relative to, or that steers git or DVC."""
    reason = _fault(path)
    if reason:
        raise OntimeError(f"{where}: {reason}: {path[:100]!r}")


def _fault(path: str) -> str:
    if not path or CONTROL.search(path) or "\\" in path:
        return "not a path"
    if path.startswith("/") or DRIVE.match(path):
        return "an absolute path"
    for name in path.split("/"):
        if name in ("", ".", ".."):
            return "a path that leaves its folder"
        if RESERVED.fullmatch(name.rstrip(" .")):
            return "a file of git or DVC"
    return ""


def check_inside(path: str, top: Path) -> None:
    """Refuse an output below a symbolic link that leads out of the checkout."""
    if not (top / path).parent.resolve().is_relative_to(top.resolve()):
        raise OntimeError(f"output {path}: outside the checkout, by a symbolic link; remove the link")


def read_listing(content: bytes, where: str) -> dict[str, str]:
    """MD5 of each file in a folder's listing, by its path in the folder.

    Args:
        where: what the listing is of, for the error.

    Raises:
        OntimeError: it is no listing, or a path or an MD5 in it may not be used.
    """
    try:
        entries = json.loads(content)
        if not isinstance(entries, list) or not all(one.keys() == {"md5", "relpath"} for one in entries):
            raise ValueError
        pairs = [(one["relpath"], one["md5"]) for one in entries]
        if not all(isinstance(value, str) for pair in pairs for value in pair):
            raise ValueError
    except (ValueError, AttributeError, RecursionError):
        raise OntimeError(f"{where}: not a listing of files") from None
    for path, md5 in pairs:
        check_path(path, f"{where}: its listing")
        check_md5(md5, f"{where}: its listing")
        if md5.endswith(LISTING):
            raise OntimeError(f"{where}: its listing: a listing inside a listing: {path!r}")
    found = dict(pairs)
    folders = {str(folder) for path in found for folder in PurePosixPath(path).parents}
    twice = len(found) < len(pairs) or folders & found.keys()
    if twice:
        raise OntimeError(f"{where}: its listing: the same path twice")
    return found


def md5_of(path: Path) -> str:
    """MD5 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_md5_of(hashes: Mapping[str, str]) -> str:
    """The MD5 that DVC gives a folder, from its files' MD5s by path: of the listing of these."""
    listing = [{"md5": hashes[name], "relpath": name} for name in sorted(hashes)]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def hashes_of(folder: Path) -> dict[str, str]:
    """MD5 of each file below a folder, by its path there; every byte is read."""
    return {path.relative_to(folder).as_posix(): md5_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def output_md5(path: Path) -> str:
    """What DVC's lock says of an output with these bytes: a file's MD5, or a folder's with the ending .dir."""
    return folder_md5_of(hashes_of(path)) + LISTING if path.is_dir() else md5_of(path)
