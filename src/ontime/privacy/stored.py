"""Every object below an address, with the earlier versions that a versioned bucket keeps: listed, read, removed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ontime.common.errors import OntimeError, one_line


@dataclass(frozen=True)
class StoredObject:
    """One object, or one version of it; `name` is relative to the address."""

    name: str
    version: str | None = None
    latest: bool = True
    time: datetime | None = None

    def __str__(self) -> str:
        return self.name if self.latest else f"{self.name} (earlier version {self.version})"


class Stored:
    """The objects below an address of a file system of fsspec."""

    def __init__(self, filesystem: Any, root: str, where: str) -> None:
        self._fs, self._root, self.where = filesystem, root.rstrip("/"), where
        protocol = filesystem.protocol
        self._on_s3 = "s3" in ((protocol,) if isinstance(protocol, str) else protocol)

    def objects(self) -> list[StoredObject]:
        """All objects, on S3 with every earlier version.

        Raises:
            OntimeError: the store does not answer.
        """
        try:
            return list(self._versions()) if self._on_s3 else [StoredObject(name) for name in self._names()]
        except Exception as error:  # each store raises its own classes
            raise self._fault(error) from None

    def read(self, one: StoredObject) -> bytes:
        """An object's bytes; raises as `objects` does."""
        options = {"version_id": one.version} if one.version else {}
        try:
            content: bytes = self._fs.cat_file(f"{self._root}/{one.name}", **options)
        except Exception as error:  # each store raises its own classes
            raise self._fault(error) from None
        return content

    def remove(self, one: StoredObject) -> None:
        """Remove an object or a version for good; raises as `objects` does."""
        try:
            if one.version is None:
                self._fs.rm_file(f"{self._root}/{one.name}")
            else:
                bucket, _, prefix = self._root.partition("/")
                key = f"{prefix}/{one.name}".lstrip("/")
                self._fs.call_s3("delete_object", Bucket=bucket, Key=key, VersionId=one.version)
        except Exception as error:  # each store raises its own classes
            raise self._fault(error) from None

    def _names(self) -> list[str]:
        try:
            found = self._fs.find(self._root)
        except FileNotFoundError:
            return []
        return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def _versions(self) -> Iterator[StoredObject]:
        bucket, _, prefix = self._root.partition("/")
        prefix = f"{prefix}/" if prefix else ""
        after: dict[str, str] = {}
        while True:
            page = self._fs.call_s3("list_object_versions", Bucket=bucket, Prefix=prefix, **after)
            for one in page.get("Versions", []):
                yield StoredObject(
                    one["Key"].removeprefix(prefix), one["VersionId"], one["IsLatest"], one["LastModified"]
                )
            if not page.get("IsTruncated"):
                return
            after = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}

    def _fault(self, error: Exception) -> OntimeError:
        return OntimeError(f"{self.where}: cannot be reached: {one_line(error, 200)}")
