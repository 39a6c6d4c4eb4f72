"""DVC's remote as a place of objects, for what lists and removes them; what uses their bytes goes through `pull`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ontime.common.errors import OntimeError, one_line


@contextmanager
def opened_remote() -> Iterator[tuple[Any, str, str] | None]:
    """The remote's file system of fsspec, the path of its objects there, and its name; None if there is no remote."""
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
        yield remote.fs.fs, remote.path, f"DVC remote {remote.fs.unstrip_protocol(remote.path)}"


def object_name(path: str) -> str:
    """The MD5 of an object by its path below the remote's or the cache's folder of objects."""
    return path.replace("/", "")
