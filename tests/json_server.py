"""What servers that stand in for an API share: JSON in, JSON out, and silence."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any


class JsonHandler(BaseHTTPRequestHandler):
    """Answers each request by `respond`."""

    def respond(self, content: Any) -> tuple[int, Any]:
        """Status and content of the answer to `self.command` on `self.path`; `content` is the body, if there is one."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, content = self.respond(json.loads(body) if body else None)
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in self.more_headers().items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        """Answer."""
        self.do_GET()

    def do_PATCH(self) -> None:
        """Answer."""
        self.do_GET()

    def more_headers(self) -> dict[str, str]:
        """Headers of the answer beside its type and length."""
        return {}

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""
