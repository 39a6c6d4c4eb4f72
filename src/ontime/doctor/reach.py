"""What this machine reaches: the table that the graph reads, the DVC remote, the registry and the cluster."""

import subprocess
import time
from pathlib import Path

from ontime.common.errors import OntimeError, one_line, root_cause
from ontime.common.params import PARAMS_FILE, read_params
from ontime.repository.ownership import present
from ontime.repository.remote import opened_remote

SECONDS = 10


def source() -> str:
    """The data source, which must be here if it is a file."""
    name = str(read_params(PARAMS_FILE).get("data", {}).get("source", ""))
    if "://" not in name and Path(name).suffix and not Path(name).exists():
        raise OntimeError(f"{name}: not here")
    return name


def remote() -> str:
    """Address of the DVC remote, from which an object is asked for."""
    with opened_remote("pull") as store:
        address = store.fs.unstrip_protocol(store.path)
        try:
            # asks for what need not be there: who may not read is refused
            store.fs.exists(store.fs.join(store.path, "00", "0" * 30))
        except Exception as error:  # of each store's client
            raise OntimeError(f"{address}: {one_line(error)}") from None
    return str(address)


def registry() -> str:
    """The registry of the images, which must answer; who may pull or push is not asked."""
    import requests

    host = present().get("registry")
    if host is None:
        raise OntimeError("no workflow names a registry")
    scheme = "http" if host.split(":")[0] in ("localhost", "127.0.0.1") else "https"
    try:
        answer = requests.get(f"{scheme}://{host}/v2/", timeout=SECONDS)
    except requests.RequestException as error:
        raise OntimeError(f"{host} cannot be reached: {root_cause(error)}") from None
    if answer.status_code not in (requests.codes.ok, requests.codes.unauthorized):
        raise OntimeError(f"{host}: answers {answer.status_code}, as no registry does")
    return f"{host} answers"


def cluster() -> str:
    """The cluster of kubectl's present context, which must be ready."""
    started = time.monotonic()
    command = ["kubectl", "get", "--raw", "/readyz", f"--request-timeout={SECONDS}s"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=3 * SECONDS
        )
    except FileNotFoundError:
        raise OntimeError("kubectl is not on PATH") from None
    except subprocess.TimeoutExpired:
        raise OntimeError(f"no answer in {time.monotonic() - started:.0f} s") from None
    if done.returncode:
        # the last line has the reason; the lines above it are from each attempt
        raise OntimeError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    return "ready"
