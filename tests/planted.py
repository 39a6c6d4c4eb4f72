"""Secrets planted into log lines, and lines in which nothing is secret."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

TAIL = " in the end"


def _json(**content: Any) -> str:
    return json.dumps({"time": "2026-03-01T10:00:00.000+00:00", "event": "warning", "logger": "planted", **content})


def _long(secret: str) -> str:
    """So long that a container runtime cuts the line, in the middle of the secret."""
    return _json(message="x " * (8 * 1024 - 75) + f" password={secret} " + "y " * 1_000)


def _encoded(secret: str) -> str:
    return base64.b64encode((secret * 3).encode()).decode()[:64]


KINDS: dict[str, Callable[[str], str | tuple[str, str]]] = {
    "a field of JSON": lambda s: _json(message="settings", api_token=s),
    "a field that is no text": lambda s: _json(message="settings", password=[s, 1]),
    "a header in JSON": lambda s: _json(message="called", headers={"Authorization": f"Bearer {s}"}),
    "a field in a list in JSON": lambda s: _json(message="called", accounts=[{"name": "a", "passwd": s}]),
    "a value in a list in JSON": lambda s: _json(message="called", seen=["a", f"{s}@example.com"]),
    "a pair in a command's error": lambda s: f"error: data: no such bucket: password={s}{TAIL}",
    "a pair in an error's traceback": lambda s: _json(
        message="x", traceback=f"Traceback\nOSError: client_secret={s}\n"
    ),
    "a quoted pair with spaces": lambda s: f'connection with passwd="{s} and more of it"{TAIL}',
    "JSON in a text": lambda s: _json(message=json.dumps({"client_secret": s})),
    "JSON in JSON in a text": lambda s: json.dumps(json.dumps({"access_key": s})),
    "Python in a text of Airflow": lambda s: (
        f"2026-03-01T10:00:00.000000Z [info     ] connected [airflow.hooks] extra={{'secret_key': '{s}'}} loc=base.py:1"
    ),
    "a header in a text": lambda s: f"> Authorization: Basic {s}{TAIL}",
    "a header of another scheme": lambda s: _json(
        message=f"authorization: AWS4-HMAC-SHA256 Credential=a, Signature={s}"
    ),
    "a header's value": lambda s: _json(message=f"asked with bearer {s}{TAIL}"),
    "a cookie": lambda s: _json(message=f"Cookie: theme=dark; session={s}"),
    "a key in a URL": lambda s: _json(path=f"/v1/models/flights:predict?rows=2&api_key={s}&x=1", status=200),
    "a signature in a URL": lambda s: _json(message=f"GET https://a.example.com/c/b?sp=r&sig={s}&x=1"),
    "a signature of S3": lambda s: f"GET https://b.s3.amazonaws.com/o?X-Amz-Signature={s}&x=1{TAIL}",
    "a password in a URL": lambda s: f"postgresql://mlflow:{s}@database.example.com:5432/mlflow{TAIL}",
    "a token in a URL": lambda s: _json(message=f"git clone https://{s}@github.com/a/b"),
    "an e-mail address": lambda s: f"asked by {s}@mail.example.co.uk{TAIL}",
    "an e-mail address with a tag": lambda s: _json(message=f"asked by <{s}+x@example.com>, twice"),
    "an e-mail address in a URL": lambda s: _json(path=f"/card?who={s}%40example.com", status=200),
    "a request id that is an address": lambda s: _json(request_id=f"{s}@example.com", status=200),
    "a JSON Web Token": lambda s: f"got eyJhbGciOiJSUzI1NiJ9.{s}.{s[::-1]}{TAIL}",
    "a token of GitHub": lambda s: (f"fatal: could not read ghp_{s}{TAIL}", f"ghp_{s}"),
    "a token of Slack": lambda s: _json(message=f"no channel for xoxb-1234-{s}"),
    "a key id of AWS": lambda s: (f"no bucket for AKIA{s[:16].upper()}{TAIL}", f"AKIA{s[:16].upper()}"),
    "a secret key of AWS": lambda s: f"aws_secret_access_key = {s}{TAIL}",
    "a web hook of Slack": lambda s: _json(message=f"POST https://hooks.slack.com/services/T0/B0/{s} 404"),
    "a web hook of Teams": lambda s: f"POST https://a.webhook.office.com/webhookb2/{s}/IncomingWebhook{TAIL}",
    "a private key": lambda s: _json(message=f"-----BEGIN PRIVATE KEY-----\n{s}\n{s[::-1]}\n-----END PRIVATE KEY-----"),
    "a line of a private key": lambda s: (_encoded(s), _encoded(s)),
    "a line that the runtime cuts": _long,
}
"""By what it is: a line with a secret; beside it what is secret, if that is not the given text itself."""

INNOCENT = [
    _json(
        request_id="4f1c9b7e-8f7f-4b39-9a47-6f9d1a6b3a10", method="POST", path="/v2/models/flights/infer", status=200
    ),
    _json(
        message="loaded",
        sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        model_version="1.0.0",
    ),
    _json(event="prediction", request_id="a-1", row=0, key="2013-07-01T10:00:00Z/UA/1545", probability=0.25),
    _json(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7", status=503),
    "| feature | population stability index | limit |",
    "error: params.yaml: train.depth: expected a number, got 'deep'; mend it and run this again",
    "2026-03-01T10:00:00.000000Z [info     ] Task instance state updated [airflow.task] dag_id=training loc=task.py:4",
    "image docker.io/library/python@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b pulled",
    "module github.com/prometheus/pushgateway@v1.11.3 built; http://127.0.0.1:8080/v2/health/ready answers",
]


def planted(kind: str, draw: random.Random) -> tuple[str, str]:
    """A line of a kind, and what is secret in it."""
    secret = f"s{draw.getrandbits(144):036x}"
    found = KINDS[kind](secret)
    return (found, secret) if isinstance(found, str) else found
