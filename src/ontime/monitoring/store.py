"""Files in a folder or in an object store, by whatever address fsspec knows, such as s3://BUCKET/PREFIX.

Every store raises errors of its own; here each becomes one line that names the address.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from ontime.common.errors import OntimeError, one_line
from ontime.common.files import replacing


class Store:
    """The files below an address, by their names relative to it."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/") or "/"

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        import fsspec

        with self._reached():
            filesystem, root = fsspec.core.url_to_fs(self.address)
        return filesystem, root.rstrip("/")

    @property
    def folder(self) -> Path | None:
        """The folder, if this is one."""
        filesystem, root = self._opened
        return Path(root or "/") if "file" in filesystem.protocol else None

    @property
    def place(self) -> tuple[Any, str]:
        """The file system of fsspec, and the path there."""
        return self._opened

    def file_place(self, name: str) -> Path | str:
        """Where a file is, as `open_place` takes it: a path in a folder, else an address."""
        return f"{self.address}/{name}" if self.folder is None else self.folder.absolute() / name

    def names(self, depth: int) -> list[str]:
        """Names of the files in so many levels of folders, in order; none if there is no such folder."""
        filesystem, root = self._opened
        with self._reached():
            try:
                found = filesystem.find(root or "/", maxdepth=depth)
            except FileNotFoundError:
                return []
        return sorted(path.removeprefix(f"{root}/") for path in found)

    def open(self, name: str) -> Any:
        """A file as it is now, to be read from any place and in parts; None if there is no such file.

        What replaces it meanwhile is not seen. A store's file is copied to the disk first.

        Returns:
            A file of pyarrow, which closes itself.
        """
        import pyarrow as pa

        filesystem, root = self._opened
        with self._reached(), tempfile.TemporaryDirectory(prefix="ontime-log-") as copies:
            path = Path(copies) / "file" if self.folder is None else self.folder / name
            try:
                if self.folder is None:
                    filesystem.get_file(f"{root}/{name}", str(path))
                return pa.OSFile(str(path))
            except FileNotFoundError:
                return None

    def read(self, name: str) -> bytes | None:
        """A file's bytes, None if there is no such file."""
        found = self.open(name)
        if found is None:
            return None
        with found:
            content: bytes = found.read()
        return content

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a file, whole or not at all.

        Raises:
            OntimeError: the store does not answer, or refuses.
        """
        filesystem, root = self._opened
        with self._reached():
            if self.folder is None:
                filesystem.pipe_file(f"{root}/{name}", content)
                return
            with replacing(self.folder / name) as temporary:
                temporary.write_bytes(content)

    def remove(self, name: str) -> None:
        """Remove a file, and the folders of its name that are empty then."""
        filesystem, root = self._opened
        with self._reached():
            filesystem.rm_file(f"{root}/{name}")
            if self.folder is not None:
                for folder in [self.folder / parent for parent in Path(name).parents][:-1]:
                    if any(folder.iterdir()):
                        break
                    folder.rmdir()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except OntimeError:
            raise
        except Exception as error:  # each store raises its own classes; the person needs the reason in one line
            raise OntimeError(f"{self.address}: cannot be reached: {one_line(error, 200)}") from None


def open_place(place: Path | str) -> Any:
    """A file as `Store.open` gives it, in a process or on a machine that has no store of it open."""
    folder, _, name = str(place).rpartition("/")
    return Store(folder).open(name)
