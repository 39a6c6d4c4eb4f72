"""Smart HTTP for git repositories below a folder, to read and to push: `git http-backend` behind Python's server.

Usage: git_server.py ADDRESS PORT FOLDER. It runs alone, without the project's packages. Nobody is asked who they are.
"""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SETTINGS = {"safe.directory": "*", "http.receivepack": "true"}


class Handler(BaseHTTPRequestHandler):
    """One request to one run of git, by the rules of CGI."""

    folder: str

    def do_GET(self) -> None:
        """Refs."""
        self._run(b"")

    def do_POST(self) -> None:
        """Packs; large ones come in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            self._run(b"".join(iter(self._chunk, b"")))
        else:
            self._run(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        content = self.rfile.read(size)
        self.rfile.readline()
        return content

    def _run(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        variables = {
            **os.environ,
            "GIT_PROJECT_ROOT": self.folder,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": self.client_address[0],
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_CONFIG_COUNT": str(len(SETTINGS)),
        }
        for place, (name, value) in enumerate(SETTINGS.items()):
            variables |= {f"GIT_CONFIG_KEY_{place}": name, f"GIT_CONFIG_VALUE_{place}": value}
        done = subprocess.run(["git", "http-backend"], input=body, env=variables, stdout=subprocess.PIPE, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.send_response(int(headers.pop("Status", "200" if head else "500").split()[0]))
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    address, port, Handler.folder = sys.argv[1:]
    ThreadingHTTPServer((address, int(port)), Handler).serve_forever()
