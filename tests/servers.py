"""Servers on free ports of loopback, for as long as a block runs; and what those share that stand in for an API."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.checkouts import environment

START_SECONDS = 600


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def http_server(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Host and port of a server that answers as a handler does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def mlflow_server(folder: Path, *options: str, **variables: str) -> Iterator[str]:
    """Address of an MLflow server that keeps everything in a folder; with options and environment variables more."""
    store = [f"--backend-store-uri=sqlite:///{folder}/server.db", f"--artifacts-destination={folder / 'artifacts'}"]
    with running_mlflow(folder / "server.log", free_port(), "--workers=1", *store, *options, **variables) as address:
        yield address


@contextlib.contextmanager
def running_mlflow(log: Path, port: int, *options: str, **variables: str) -> Iterator[str]:
    """Address of an MLflow server, with its options and environment variables; stopped afterwards.

    A process keeps the address of each model's artifacts that it asked for: a server that comes back has the same port.
    """
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *options],
            env=environment(**{"MLFLOW_DISABLE_TELEMETRY": "true", **variables}),
            stdout=output,
            stderr=output,
        )
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=1).close()  # noqa: S310 - loopback
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


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
