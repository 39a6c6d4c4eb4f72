"""Logs of the OpenTelemetry collector as documents of OpenSearch: OTLP over HTTP in, requests of `_bulk` out.

The collector's own exporter for OpenSearch drops what a store that is away did not take:
https://github.com/open-telemetry/opentelemetry-collector-contrib/issues/49208. This one answers 200 only when the store
has every line, and 503 otherwise, so that the collector keeps them and tries again. A line has the same id each time it
comes and is never written twice. Fields are those of the Simple Schema for Observability,
https://opensearch.org/docs/latest/observing-your-data/ss4o/.
"""

import base64
import contextlib
import hashlib
import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INDEX = "ss4o_logs-ontime-"
"""The day of the line, in UTC, follows."""
OTLP_PATH = "/v1/logs"
STORE_SECONDS = 50
"""How long the store may take for one request; the collector waits longer."""
MESSAGES = ("message", "event")
"""Fields of a JSON line that may be its text, the first one that is there."""

Document = dict[str, Any]


class StoreAwayError(Exception):
    """The store did not take the lines, and may take them later."""


def documents(request: Document) -> Iterator[Document]:
    """The lines of an OTLP request in JSON: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding."""
    for resource in request.get("resourceLogs", []):
        of_all = _mapping(resource.get("resource", {}).get("attributes", []))
        for scope in resource.get("scopeLogs", []):
            for record in scope.get("logRecords", []):
                yield _document(record, of_all)


def _document(record: Document, resource: Document) -> Document:
    body, attributes = _value(record.get("body", {})), _mapping(record.get("attributes", []))
    if isinstance(body, dict):
        attributes |= body
        body = next((body[name] for name in MESSAGES if name in body), None)
    nanoseconds = int(record.get("timeUnixNano") or record.get("observedTimeUnixNano") or 0)
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    document = {
        "@timestamp": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z",
        "severity": {"text": record.get("severityText", ""), "number": int(record.get("severityNumber", 0))},
        "traceId": record.get("traceId"),
        "spanId": record.get("spanId"),
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": attributes,
        "resource": resource,
    }
    return {name: value for name, value in document.items() if value not in (None, "")}


def _mapping(entries: Iterable[Document]) -> Document:
    return {entry["key"]: _value(entry.get("value", {})) for entry in entries}


def _value(value: Document) -> Any:
    kind, inner = next(iter(value.items()), ("stringValue", None))
    if kind == "kvlistValue":
        return _mapping(inner.get("values", []))
    if kind == "arrayValue":
        return [_value(one) for one in inner.get("values", [])]
    return int(inner) if kind == "intValue" else inner


def identity(document: Document) -> str:
    """The same for the same line of the same container; its place in the file tells equal lines apart."""
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()[:18]).decode()


def bulk(entries: Iterable[tuple[str, Document]]) -> bytes:
    """A request of `_bulk` that adds documents by id and changes none."""
    lines: list[str] = []
    for name, document in entries:
        action = {"create": {"_index": f"{INDEX}{document['@timestamp'][:10].replace('-', '.')}", "_id": name}}
        lines += [json.dumps(action), json.dumps(document)]
    return "".join(f"{line}\n" for line in lines).encode()


def plain(document: Document, reason: str) -> Document:
    """A line that no mapping refuses: all its content as text."""
    kept = {name: document[name] for name in ("@timestamp", "severity", "resource")}
    return {**kept, "body": json.dumps(document), "attributes": {"refused": reason}}


class Store:
    """OpenSearch at an address, with an account if there is one, and its authority's certificate."""

    def __init__(self, address: str, user: str = "", password: str = "", authority: str | None = None) -> None:
        self.address = address
        self.headers = {"Content-Type": "application/x-ndjson"}
        if user:
            self.headers["Authorization"] = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        self.context = ssl.create_default_context(cafile=authority) if address.startswith("https:") else None

    def add(self, found: Iterable[Document]) -> dict[str, int]:
        """Add documents; how many were `written`, `present` already, and `refused` as they were but kept as text.

        Raises:
            StoreAwayError: not all of them are there.
        """
        entries = {identity(document): document for document in found}
        counts: Counter[str] = Counter(written=0, present=0, refused=0)
        refused = self._add(entries, counts)
        texts = {name: plain(entries[name], reason) for name, reason in refused.items()}
        counts["refused"] = len(texts)
        if texts and (left := self._add(texts, counts)):
            raise StoreAwayError(f"refused as text: {next(iter(left.values()))}")
        return dict(counts)

    def _add(self, entries: dict[str, Document], counts: "Counter[str]") -> dict[str, str]:
        """Add documents by id; the reasons of those that the mapping refused, by id."""
        if not entries:
            return {}
        refused = {}
        for item in self._post(bulk(entries.items()))["items"]:
            one = item["create"]
            if one["status"] == HTTPStatus.CREATED:
                counts["written"] += 1
            elif one["status"] == HTTPStatus.CONFLICT:
                counts["present"] += 1
            elif one["status"] == HTTPStatus.BAD_REQUEST:
                refused[one["_id"]] = str(one["error"].get("type"))
            else:
                raise StoreAwayError(f"{one['status']}: {one.get('error', {}).get('reason')}")
        return refused

    def _post(self, content: bytes) -> Document:
        # its address is a setting, not a user's
        request = urllib.request.Request(f"{self.address}/_bulk", content, self.headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=STORE_SECONDS, context=self.context) as answer:  # noqa: S310
                found: Document = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise StoreAwayError(f"{error.code} {error.reason}") from None
        except (OSError, ValueError) as error:
            raise StoreAwayError(str(error)) from None


def handler(store: Store) -> type[BaseHTTPRequestHandler]:
    """What answers a request of the collector."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Store the lines of one request."""
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path != OTLP_PATH:
                self._answer(HTTPStatus.NOT_FOUND)
                return
            try:
                counts = store.add(documents(json.loads(content)))
            except StoreAwayError as error:
                _say(waiting=str(error))
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                _say(**counts)
                self._answer(HTTPStatus.OK)

        def _answer(self, status: HTTPStatus) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            # a collector that was stopped meanwhile asks again
            with contextlib.suppress(ConnectionError):
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing of a request beside its counts."""

    return Handler


def _say(**content: object) -> None:
    # in one piece, since other requests are told of at the same time
    sys.stdout.write(f"{json.dumps(content)}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve on loopback, for the collector of the same pod."""
    variables = os.environ
    store = Store(
        variables["OPENSEARCH_ADDRESS"],
        variables.get("OPENSEARCH_USER", ""),
        variables.get("OPENSEARCH_PASSWORD", ""),
        variables.get("OPENSEARCH_AUTHORITY"),
    )
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler(store)).serve_forever()


if __name__ == "__main__":
    main()
