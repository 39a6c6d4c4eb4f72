"""A Pushgateway, built once from its Go module, for as long as a block runs."""

import contextlib
import subprocess
import time
import urllib.request
from collections.abc import Iterator

from ontime.manifests.schemas import Definitions
from tests.go_programs import TOP_FOLDER, find_program
from tests.servers import START_SECONDS, free_port

PUSHGATEWAY = Definitions("github.com/prometheus/pushgateway", "v1.11.3", TOP_FOLDER)


@contextlib.contextmanager
def pushgateway() -> Iterator[str]:
    """Address of a server that keeps nothing on disk."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [find_program(PUSHGATEWAY), f"--web.listen-address={address}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
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
