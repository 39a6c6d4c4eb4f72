"""DVC's remote as a place of objects, for what lists and removes them; what uses their bytes goes through `pull`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ontime.common.errors import OntimeError, one_line

OBJECTS = "files/md5"
"""Folder of the objects in a cache and a remote."""


@contextmanager
def opened_remote() -> Iterator[tuple[Any, str, str] | None]:
    """The remote's file system of fsspec, its folder there, and its address; None if there is no remote."""
    from dvc.config import NoRemoteError
    from dvc.repo import Repo

    with Repo() as repo:
        try:
            remote = repo.cloud.get_remote_odb(command="push")
        except NoRemoteError:
            yield None
            return
        except Exception as error:  # whatever a wrong setting raises
            raise OntimeError(f"DVC remote: {one_line(error)}") from None
        folder = str(remote.path).removesuffix(f"/{OBJECTS}")
        yield remote.fs.fs, folder, f"DVC remote {remote.fs.unstrip_protocol(folder)}"


def object_name(path: str) -> str:
    """The MD5 of an object by its path below the remote or the cache; what is no object keeps its path."""
    return path.removeprefix(f"{OBJECTS}/").replace("/", "") if path.startswith(f"{OBJECTS}/") else path
