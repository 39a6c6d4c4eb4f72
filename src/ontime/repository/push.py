"""Push every object that the DVC remote lacks, without ever replacing one.

In: the outputs of `dvc.lock` and `.dvc` files, in DVC's cache. Out: their objects in the remote, a folder's listing
after its files. A store is asked to create each object only if there is none by its name, which S3's bucket policy can
demand of a role; DVC's own push does not ask that.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ontime.common.errors import OntimeError, one_line
from ontime.repository.dvc import cache_folder
from ontime.repository.lock_file import LOCK, read_lock
from ontime.repository.objects import LISTING
from ontime.repository.pull import all_outputs, object_path, wanted_files
from ontime.repository.remote import opened_remote

UPLOADS = 16
STORES = ("s3", "gs", "azure")
"""Those that create only what is new if they are asked to, and have no folders."""


def push_each() -> int:
    """Push every object of the checkout's data that the remote lacks, and return their number.

    Checks each object, because `dvc push` assumes that a folder is complete if its listing is in the remote.

    Raises:
        OntimeError: there is no remote, it fails, or an object is neither in the cache nor in the remote.
    """
    needed, cache = all_outputs(read_lock() if LOCK.exists() else {}), cache_folder()
    listings = {md5 for md5 in needed.values() if md5.endswith(LISTING)}
    _check_present(listings, cache)
    files = set(wanted_files(needed, cache).values())
    try:
        with opened_remote("push") as remote:
            present = set(remote.oids_exist(sorted(listings | files)))
            lacking = [sorted(files - present), sorted(listings - present)]
            for names in lacking:
                _check_present(names, cache)
            for names in lacking:
                _put(remote, names, cache)
    except OntimeError:
        raise
    except Exception as error:  # whatever the storage's own library raises
        raise OntimeError(f"not pushed: {one_line(error)}") from None
    return sum(map(len, lacking))


def _check_present(names: Sequence[str] | set[str], cache: Path) -> None:
    for name in sorted(names):
        if not object_path(cache, name).is_file():
            raise OntimeError(f"object {name}: not pushed: the cache lacks it (run `dvc repro`)")


def _put(remote: Any, names: Sequence[str], cache: Path) -> None:
    in_store = remote.fs.protocol in STORES
    only_new = {"mode": "create"} if in_store else {}

    def put(name: str) -> None:
        target = remote.oid_to_path(name)
        if not in_store:
            remote.fs.makedirs(remote.fs.parent(target), exist_ok=True)
        try:
            remote.fs.put_file(str(object_path(cache, name)), target, **only_new)
        except OSError:
            # another push may have been first
            if not remote.exists(name):
                raise

    with ThreadPoolExecutor(UPLOADS) as pool:
        list(pool.map(put, names))
