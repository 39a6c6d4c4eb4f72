"""A Prometheus on loopback for as long as a block runs, and what it answers."""

import contextlib
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from ontime.common.files import write_json
from tests.servers import free_port

SECONDS = 60


@contextlib.contextmanager
def serving(command: Sequence[str], ready: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A program that answers at an address; its output goes to a file."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        end = time.monotonic() + SECONDS
        while True:
            try:
                urllib.request.urlopen(ready, timeout=1).close()  # noqa: S310 - loopback
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


@contextlib.contextmanager
def prometheus(folder: Path, configuration: dict[str, Any], *options: str) -> Iterator[str]:
    """Address of a Prometheus that keeps its data in a folder."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian and Ubuntu: apt-get install prometheus)")
    # JSON is YAML
    write_json(folder / "prometheus.yaml", configuration)
    address = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address={address}", "--web.cors.origin=.*", *options]
    with serving(command, f"http://{address}/-/ready", folder / "prometheus.log"):
        yield f"http://{address}"


def asked(address: str, path: str, **parameters: str) -> Any:
    """`data` of an answer of Prometheus' API."""
    content = requests.get(f"{address}/api/v1/{path}", params=parameters, timeout=SECONDS).json()
    assert content["status"] == "success", f"{content['error']}: {parameters}"
    return content["data"]
