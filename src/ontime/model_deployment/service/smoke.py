"""Send a model's golden records to a running service and compare its answers with the released ones.

In: the service's address; the model's folder and version come from the service's own settings, so that in the image
nothing else is needed. Out: one line, or exit status 1 with the first response that differs.
"""

import http.client
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import numpy as np

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.golden import read_golden
from ontime.model_deployment.inference.manifest import read_manifest
from ontime.model_deployment.service.settings import load_settings

REQUESTS = 20
"""Each on a new connection, so that a Kubernetes Service spreads them over its pods."""
TIMEOUT_SECONDS = 10
RETRY_SECONDS = 0.5


@click.command(name="smoke-test")
@click.argument("url")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the service to answer and for an older version to be gone.",
)
def command(url: str, wait: float) -> None:
    """Send the golden records to the service at URL and compare its answers."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise click.BadParameter(f"{url}: expected http://HOST[:PORT]", param_hint="URL")
    settings = load_settings()
    try:
        port = parts.port or 80
    except ValueError:
        raise click.BadParameter(f"{url}: expected http://HOST[:PORT]", param_hint="URL") from None
    click.echo(smoke_test(parts.hostname, port, settings.model, settings.model_version, wait))


def smoke_test(host: str, port: int, folder: Path, version: str, wait: float) -> str:
    """Send the golden records, and return a line that says by how much the answers differ.

    Args:
        wait: seconds to wait for the service to answer, and for the version to be served.

    Raises:
        OntimeError: no response in that time, or answers that differ by more than the tolerance.
    """
    golden, manifest = read_golden(folder), read_manifest(folder)
    body = json.dumps({"instances": golden.records})
    path = f"/v1/models/{manifest.name}/versions/{version}:predict"
    end = time.monotonic() + wait
    largest = 0.0
    for _ in range(REQUESTS):
        differences = _differences(_ask(host, port, path, body, end), golden.expected, f"{host}:{port}{path}")
        largest = max(largest, *differences)
        # written so that NaN fails
        if not all(difference <= manifest.golden_tolerance for difference in differences):
            raise OntimeError(
                f"http://{host}:{port}{path}: golden records differ by up to {largest:.1e}, above "
                f"{manifest.golden_tolerance:.0e}"
            )
    records = len(golden.records)
    return f"{manifest.name} {version}: {records} golden records, {REQUESTS} times, differ by up to {largest:.1e}"


def _ask(host: str, port: int, path: str, body: str, end: float) -> Any:
    """The response's JSON; tried again until the time is over while there is none, or another version answers."""
    while True:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            status, content = 0, (str(error) or type(error).__name__).encode()
        finally:
            connection.close()
        if status == http.client.OK:
            return json.loads(content)
        # 404: another version, as it may be for a second after a rollout
        if status not in (0, 404, 429, 502, 503, 504) or time.monotonic() >= end:
            reason = content.decode(errors="replace").strip()[:300]
            raise OntimeError(f"http://{host}:{port}{path}: {status or 'no response'}: {reason}")
        time.sleep(RETRY_SECONDS)


def _differences(response: Any, expected: list[Any], address: str) -> list[float]:
    predictions = response.get("predictions") if isinstance(response, dict) else None
    if not isinstance(predictions, list) or len(predictions) != len(expected):
        raise OntimeError(f"http://{address}: expected {len(expected)} predictions")
    found, wanted = (np.array(values, dtype=np.float64) for values in (predictions, expected))
    if found.shape != wanted.shape:
        raise OntimeError(
            f"http://{address}: expected {wanted.shape[1:]} numbers for each record, found {found.shape[1:]}"
        )
    differences: list[float] = np.abs(found - wanted).ravel().tolist()
    return differences
