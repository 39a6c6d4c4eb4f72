"""What somebody does who can write to the DVC remote: objects read and replaced by a client of S3."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.session import get_session

from ontime.repository import s3
from tests.releases import md5

PREFIX = "dvc/files/md5"


class Bucket:
    """The DVC remote's bucket, by the keys of its server."""

    def __init__(self, state: dict[str, Any]) -> None:
        keys = {f"aws_{name}": state[name] for name in ("access_key_id", "secret_access_key")}
        address = f"http://127.0.0.1:{state['port']}"
        self.client = get_session().create_client("s3", endpoint_url=address, region_name="us-east-1", **keys)

    def read(self, name: str) -> bytes:
        """An object's bytes, by its MD5."""
        found: bytes = self.client.get_object(Bucket=s3.BUCKET, Key=key_of(name))["Body"].read()
        return found

    def write(self, name: str, content: bytes) -> None:
        """Make or overwrite an object."""
        self.client.put_object(Bucket=s3.BUCKET, Key=key_of(name), Body=content)

    @contextmanager
    def overwritten(self, name: str, content: bytes) -> Iterator[None]:
        """The object has other bytes in the block."""
        before = self.read(name)
        self.write(name, content)
        try:
            yield
        finally:
            self.write(name, before)

    def add(self, content: bytes) -> str:
        """Make an object by its own MD5, as anything that is pushed has it."""
        self.write(md5(content), content)
        return md5(content)

    def listing(self, name: str) -> dict[str, str]:
        """MD5 of each file in a folder's listing."""
        return {one["relpath"]: one["md5"] for one in json.loads(self.read(name))}

    def versions(self, name: str) -> list[dict[str, Any]]:
        """Versions of an object, the newest first."""
        found: list[dict[str, Any]] = self.client.list_object_versions(Bucket=s3.BUCKET, Prefix=key_of(name))[
            "Versions"
        ]
        return found


def key_of(name: str) -> str:
    """The key that DVC gives an object."""
    return f"{PREFIX}/{name[:2]}/{name[2:]}"


def with_file(listing: bytes, path: str, name: str) -> bytes:
    """A listing with one more file."""
    return json.dumps([*json.loads(listing), {"md5": name, "relpath": path}], sort_keys=True).encode()


def leaving(marker: Path) -> bytes:
    """Python code that leaves a file where it ran."""
    return f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n".encode()


class Pickled:
    """What leaves a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (leaving(self.marker).decode(),)
