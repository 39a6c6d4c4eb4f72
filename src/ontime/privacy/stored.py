"""Every object below an address, with the earlier versions that a bucket keeps: listed, read, removed.

Versions are those of S3, generations of Google, and versions and snapshots of Azure. What a store keeps of a removed
object for some days, its soft delete, no client can remove.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ontime.common.errors import OntimeError, one_line

SNAPSHOT = "snapshot "
"""How the version of a snapshot begins."""
EARLIER = ["versions", "snapshots"]


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
        protocols = {filesystem.protocol} if isinstance(filesystem.protocol, str) else set(filesystem.protocol)
        self._kind = next((kind for kind in _KINDS if kind in protocols), None)

    def objects(self, begin: str = "") -> list[StoredObject]:
        """All objects whose names begin so, in an object store with every earlier version.

        Raises:
            OntimeError: the store does not answer.
        """
        try:
            if self._kind is None:
                return [StoredObject(name) for name in self._names() if name.startswith(begin)]
            bucket, _, folder = self._root.partition("/")
            prefix = f"{folder}/" if folder else ""
            return [
                StoredObject(key.removeprefix(prefix), *version)
                for key, *version in _KINDS[self._kind].versions(self._fs, bucket, prefix + begin)
            ]
        except Exception as error:  # each store raises its own classes
            raise self._fault(error) from None

    def read(self, one: StoredObject) -> bytes:
        """An object's bytes; raises as `objects` does."""
        try:
            content: bytes
            if self._kind is None or one.version is None:
                content = self._fs.cat_file(self._path(one))
            else:
                content = _KINDS[self._kind].read(self._fs, *self._path(one).split("/", 1), one.version)
        except Exception as error:  # each store raises its own classes
            raise self._fault(error) from None
        return content

    def remove(self, one: StoredObject) -> None:
        """Remove an object or a version for good; raises as `objects` does."""
        try:
            if self._kind is None:
                self._fs.rm_file(self._path(one))
            else:
                _KINDS[self._kind].remove(self._fs, *self._path(one).split("/", 1), one.version)
        except Exception as error:  # each store raises its own classes
            raise self._fault(error) from None

    def _path(self, one: StoredObject) -> str:
        return f"{self._root}/{one.name}"

    def _names(self) -> list[str]:
        try:
            found = self._fs.find(self._root)
        except FileNotFoundError:
            return []
        return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def _fault(self, error: Exception) -> OntimeError:
        return OntimeError(f"{self.where}: cannot be reached: {one_line(error, 200)}")


Version = tuple[str, str | None, bool, datetime | None]
"""Key, version, whether it is the latest one, and since when it is there."""


class _Amazon:
    """S3, through s3fs."""

    @staticmethod
    def versions(fs: Any, bucket: str, prefix: str) -> Iterator[Version]:
        after: dict[str, str] = {}
        while True:
            page = fs.call_s3("list_object_versions", Bucket=bucket, Prefix=prefix, **after)
            for one in page.get("Versions", []):
                yield one["Key"], one["VersionId"], one["IsLatest"], one["LastModified"]
            if not page.get("IsTruncated"):
                return
            after = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}

    @staticmethod
    def read(fs: Any, bucket: str, key: str, version: str) -> bytes:
        content: bytes = fs.cat_file(f"{bucket}/{key}", version_id=version)
        return content

    @staticmethod
    def remove(fs: Any, bucket: str, key: str, version: str | None) -> None:
        fs.call_s3("delete_object", Bucket=bucket, Key=key, VersionId=version)


class _Google:
    """Google's storage, through gcsfs; a version is a generation."""

    @staticmethod
    def versions(fs: Any, bucket: str, prefix: str) -> Iterator[Version]:
        after: dict[str, str] = {}
        while True:
            page = fs.call("GET", "b/{}/o", bucket, prefix=prefix, versions="true", json_out=True, **after)
            for one in page.get("items", []):
                created = datetime.fromisoformat(one["timeCreated"])
                yield one["name"], one["generation"], "timeDeleted" not in one, created
            if not page.get("nextPageToken"):
                return
            after = {"pageToken": page["nextPageToken"]}

    @staticmethod
    def read(fs: Any, bucket: str, key: str, version: str) -> bytes:
        content: bytes = fs.cat_file(f"{bucket}/{key}", generation=version)
        return content

    @staticmethod
    def remove(fs: Any, bucket: str, key: str, version: str | None) -> None:
        # of a named generation no earlier version is made; a rule of the bucket may have been first
        with suppress(FileNotFoundError):
            fs.call("DELETE", "b/{}/o/{}", bucket, key, generation=version)


class _Azure:
    """Azure's blobs, through adlfs; a version is a version's id, or the time of a snapshot."""

    @staticmethod
    def versions(fs: Any, bucket: str, prefix: str) -> Iterator[Version]:
        from fsspec.asyn import sync

        async def collect() -> list[Any]:
            async with fs.service_client.get_container_client(bucket) as client:
                return [one async for one in client.list_blobs(name_starts_with=prefix, include=EARLIER)]

        for one in sync(fs.loop, collect):
            version = f"{SNAPSHOT}{one.snapshot}" if one.snapshot else one.version_id
            is_latest = not one.snapshot and (one.version_id is None or bool(one.is_current_version))
            yield one.name, version, is_latest, one.last_modified

    @staticmethod
    def read(fs: Any, bucket: str, key: str, version: str) -> bytes:
        from fsspec.asyn import sync

        async def download() -> bytes:
            options = _Azure._options(version)
            async with fs.service_client.get_blob_client(bucket, key, snapshot=options.pop("snapshot", None)) as client:
                stream = await client.download_blob(**options)
                content: bytes = await stream.readall()
                return content

        content: bytes = sync(fs.loop, download)
        return content

    @staticmethod
    def remove(fs: Any, bucket: str, key: str, version: str | None) -> None:
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
        from fsspec.asyn import sync

        async def delete() -> None:
            options = _Azure._options(version) if version else {}
            async with fs.service_client.get_blob_client(bucket, key, snapshot=options.pop("snapshot", None)) as client:
                with suppress(ResourceNotFoundError):
                    try:
                        await client.delete_blob(**options)
                    except HttpResponseError as error:
                        # the current version, or one with snapshots, goes with all of them and becomes an earlier one
                        if isinstance(error, ResourceNotFoundError) or "snapshot" in options:
                            raise
                        await client.delete_blob(delete_snapshots="include")
                        if options:
                            await client.delete_blob(**options)

        sync(fs.loop, delete)

    @staticmethod
    def _options(version: str) -> dict[str, str]:
        if version.startswith(SNAPSHOT):
            return {"snapshot": version.removeprefix(SNAPSHOT)}
        return {"version_id": version}


_KINDS: dict[str, Any] = {"s3": _Amazon, "gs": _Google, "abfs": _Azure}
