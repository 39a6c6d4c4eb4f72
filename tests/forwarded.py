"""A port of loopback, reached at another address of this machine too, for as long as a block runs."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

CHUNK_BYTES = 1 << 16


@contextlib.contextmanager
def forwarded(host: str, port: int) -> Iterator[str]:
    """Host and port at which the port of loopback is reached."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as there:
                back = threading.Thread(target=pour, args=(there, self.request))
                back.start()
                pour(self.request, there)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{host}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def pour(source: socket.socket, target: socket.socket) -> None:
    """Send on what comes, until it ends or the other side is gone."""
    with contextlib.suppress(OSError):
        while content := source.recv(CHUNK_BYTES):
            target.sendall(content)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
