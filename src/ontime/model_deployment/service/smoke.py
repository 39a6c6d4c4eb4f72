"""Ask a running service for the golden records of a model, and compare what it answers.

In: the service's address, and the model's folder, version and tolerance as the service's own settings name them, so
that in the image it needs nothing else. Out: exit status 1 with the first answer that is not what was released.
"""

import http.client
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.model_deployment.inference.manifest import GOLDEN, read_manifest
from ontime.model_deployment.service.settings import load_settings

REQUESTS = 20
"""Each over a connection of its own, so that a Service spreads them over its pods."""
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
    help="For the service to be reached, and for an older version to be gone.",
)
def command(url: str, wait: float) -> None:
    """Replay the golden records through the service at URL."""
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
    """Replay, and tell in a line what held.

    Raises:
        OntimeError: not reached or another version in the time, or an answer that is not the golden one.
    """
    golden, manifest = read_json(folder / GOLDEN), read_manifest(folder)
    body = json.dumps({"instances": golden["records"]})
    path = f"/v1/models/{manifest.name}/versions/{version}:predict"
    end = time.monotonic() + wait
    largest = 0.0
    for _ in range(REQUESTS):
        differences = _differences(_ask(host, port, path, body, end), golden["probabilities"], f"{host}:{port}{path}")
        largest = max(largest, *differences)
        # a NaN is not below either
        if not all(difference <= manifest.golden_tolerance for difference in differences):
            raise OntimeError(
                f"http://{host}:{port}{path}: golden records differ by up to {largest:.1e}, above "
                f"{manifest.golden_tolerance:.0e}"
            )
    records = len(golden["records"])
    return f"{manifest.name} {version}: {records} golden records, {REQUESTS} times, differ by up to {largest:.1e}"


def _ask(host: str, port: int, path: str, body: str, end: float) -> Any:
    """The answer's JSON; asked again until the time is over while there is none or another version answers."""
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
            told = content.decode(errors="replace").strip()[:300]
            raise OntimeError(f"http://{host}:{port}{path}: {status or 'no answer'}: {told}")
        time.sleep(RETRY_SECONDS)


def _differences(answered: Any, wanted: list[float], place: str) -> list[float]:
    found = answered.get("predictions") if isinstance(answered, dict) else None
    if not isinstance(found, list) or len(found) != len(wanted):
        raise OntimeError(f"http://{place}: expected {len(wanted)} predictions")
    return [abs(one - other) for one, other in zip(found, wanted, strict=True)]
