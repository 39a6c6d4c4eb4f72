"""What somebody does who can write to the DVC remote: objects read and replaced by a client of the store."""

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session

from ontime.common.errors import OntimeError
from ontime.repository import s3
from ontime.repository.lock_file import outputs, read_lock
from ontime.repository.pull import pull
from tests.releases import md5

PREFIX = "dvc/files/md5"


class Objects:
    """The DVC remote's objects, by whoever may write there; each kind of store has its own four requests."""

    def get(self, key: str) -> bytes:
        """An object's bytes."""
        raise NotImplementedError

    def put(self, key: str, content: bytes) -> None:
        """Make or overwrite an object."""
        raise NotImplementedError

    def delete(self, key: str) -> None:
        """Remove an object."""
        raise NotImplementedError

    def state(self, key: str) -> str:
        """What differs after each write of an object, even of the same bytes."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        """An object's bytes, by its MD5."""
        return self.get(key_of(name))

    def write(self, name: str, content: bytes) -> None:
        """Make or overwrite an object, by its MD5."""
        self.put(key_of(name), content)

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

    def of_folder(self, path: str) -> dict[str, str]:
        """Path of an output's listing and files by the names of their objects, from the checkout's lock."""
        listing = outputs(read_lock())[path]
        return {listing: path, **{name: f"{path}/{file}" for file, name in self.listing(listing).items()}}


class Bucket(Objects):
    """The DVC remote's bucket on S3, by the keys of its server."""

    def __init__(self, state: dict[str, Any]) -> None:
        keys = {f"aws_{name}": state[name] for name in ("access_key_id", "secret_access_key")}
        address = f"http://127.0.0.1:{state['port']}"
        self.client = get_session().create_client("s3", endpoint_url=address, region_name="us-east-1", **keys)

    def get(self, key: str) -> bytes:
        """See the base."""
        found: bytes = self.client.get_object(Bucket=s3.BUCKET, Key=key)["Body"].read()
        return found

    def put(self, key: str, content: bytes) -> None:
        """See the base."""
        self.client.put_object(Bucket=s3.BUCKET, Key=key, Body=content)

    def delete(self, key: str) -> None:
        """See the base."""
        self.client.delete_object(Bucket=s3.BUCKET, Key=key)

    def state(self, key: str) -> str:
        """See the base."""
        return str(self.client.head_object(Bucket=s3.BUCKET, Key=key)["VersionId"])

    def versions(self, name: str) -> list[dict[str, Any]]:
        """Versions of an object, the newest first."""
        found: list[dict[str, Any]] = self.client.list_object_versions(Bucket=s3.BUCKET, Prefix=key_of(name))[
            "Versions"
        ]
        return found


def refuse_each_changed_byte(objects: Objects, output: str, changes: int) -> None:
    """Change one byte of an output's objects at a time; each is refused by name, and the last pull has them all."""
    chance = random.Random(17)
    paths = objects.of_folder(output)
    contents = {name: objects.read(name) for name in paths}
    for _ in range(changes):
        name = chance.choice(sorted(paths))
        changed = bytearray(contents[name])
        changed[chance.randrange(len(changed))] ^= chance.randrange(1, 256)
        # an object that the cache has is not fetched
        shutil.rmtree(".dvc/cache", ignore_errors=True)
        with objects.overwritten(name, bytes(changed)), pytest.raises(OntimeError) as error:
            pull([output])
        assert str(error.value).startswith(f"output {paths[name]}: object {name}: the remote has other bytes")
        assert not Path(output).exists()
    pull([output])
    assert {path.name for path in Path(output).iterdir()} == objects.listing(outputs(read_lock())[output]).keys()


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
