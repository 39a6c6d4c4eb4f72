"""A Pushgateway, built once from its Go module, for as long as a block runs."""

import contextlib
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.manifests.schemas import Definitions, download
from ontime.manifests.tools import CACHE, find_go, last_line, one_at_a_time
from tests.servers import START_SECONDS, free_port

PUSHGATEWAY = Definitions("github.com/prometheus/pushgateway", "v1.11.3", ".")


def find_pushgateway() -> str:
    """Path of the machine's own program, or of one built once; skips the test where neither can be."""
    installed = shutil.which("pushgateway")
    if installed:
        return installed
    try:
        return str(_built())
    except OntimeError as error:
        pytest.skip(f"pushgateway is not installed and not built: {error}")


@one_at_a_time
def _built() -> Path:
    path = CACHE / f"pushgateway-{PUSHGATEWAY.version}"
    if path.is_file():
        return path
    source = download(PUSHGATEWAY)
    click.echo("building pushgateway, once", err=True)
    with replacing(path) as temporary:
        done = subprocess.run(
            [
                *(find_go(), "build", "-trimpath", "-mod=readonly", "-ldflags=-s -w"),
                *("-o", str(temporary), f"./{PUSHGATEWAY.folder}"),
            ],
            cwd=source,
            env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OntimeError(f"pushgateway: not built: {last_line(done)}")
    return path


@contextlib.contextmanager
def pushgateway() -> Iterator[str]:
    """Address of a server that keeps nothing on disk."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [find_pushgateway(), f"--web.listen-address={address}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + START_SECONDS
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://{address}/-/ready", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.1)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)
