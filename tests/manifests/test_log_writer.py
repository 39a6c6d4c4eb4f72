"""The writer beside the collector: ids of lines, and what it says of a store that is away or another."""

import http.client
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.rehearsal.cluster.certificates import Authority
from tests.rehearsal.logs.collector import writer_module
from tests.servers import free_port, http_server


def test_a_line_has_the_same_id_each_time_and_no_other_line_has_it() -> None:
    module = writer_module()
    record = {
        "timeUnixNano": "1772359200123456789",
        "severityNumber": 9,
        "severityText": "INFO",
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "body": {"kvlistValue": {"values": [{"key": "event", "value": {"stringValue": "request"}}]}},
        "attributes": [{"key": "log.file.record_offset", "value": {"intValue": "17"}}],
    }

    def document(**changes: Any) -> dict[str, Any]:
        logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record | changes]}]}]}
        (found,) = module.documents(logs)
        return dict(found)

    first = document(observedTimeUnixNano="1")
    assert first == {
        "@timestamp": "2026-03-01T10:00:00.123456789Z",
        "severity": {"text": "INFO", "number": 9},
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "body": "request",
        "attributes": {"log.file.record_offset": 17, "event": "request"},
        "resource": {},
    }
    assert module.identity(first) == module.identity(document(observedTimeUnixNano="2"))
    further = [{"key": "log.file.record_offset", "value": {"intValue": "18"}}]
    assert module.identity(first) != module.identity(document(attributes=further))
    action, content = module.bulk([("a", first)]).decode().splitlines()
    assert json.loads(action) == {"create": {"_index": "ss4o_logs-ontime-2026.03.01", "_id": "a"}}
    assert json.loads(content) == first


def test_a_store_that_is_away_is_told_to_the_collector() -> None:
    module = writer_module()
    lines = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "a"}}]}]}]}
    with http_server(module.handler(module.Store(f"http://127.0.0.1:{free_port()}"))) as address:
        for path, content, status in (("/v1/logs", lines, 503), ("/v1/logs", {}, 200), ("/v1/traces", lines, 404)):
            connection = http.client.HTTPConnection(address, timeout=10)
            connection.request("POST", path, json.dumps(content))
            assert connection.getresponse().status == status
            connection.close()


class TakingBulk(BaseHTTPRequestHandler):
    """A store that takes one document, and remembers who sent it."""

    accounts: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """Answer as OpenSearch does."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.accounts.append(self.headers["Authorization"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"items": [{"create": {"status": 201}}]}')


def test_the_writer_logs_in_at_no_store_but_that_of_its_authority(tmp_path: Path) -> None:
    module = writer_module()
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
        Authority(tmp_path / name, "ca").sign("store", "logs-all", "127.0.0.1")
    (document,) = module.documents(
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "a"}}]}]}]}
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), TakingBulk)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own" / "store.crt", tmp_path / "own" / "store.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"https://127.0.0.1:{server.server_port}"
        with pytest.raises(module.StoreAwayError, match="certificate verify failed"):
            module.Store(address, "collector", "secret", tmp_path / "other" / "ca.crt").add([document])
        assert TakingBulk.accounts == []
        added = module.Store(address, "collector", "secret", tmp_path / "own" / "ca.crt").add([document])
        assert added == {"written": 1, "present": 0, "refused": 0}
        assert TakingBulk.accounts == ["Basic Y29sbGVjdG9yOnNlY3JldA=="]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
