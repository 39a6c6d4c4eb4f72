"""The service's HTTP server as it comes, with one route that takes the body and answers a constant.

`python -m benchmarks.serving.rivals.empty_route PORT`.
"""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

ANSWER = b'{"predictions":[]}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


class Empty:
    """An ASGI endpoint without any framework's request or response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read all, answer."""
        del scope
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[Route("/", Empty(), methods=["POST"])]),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_level="warning",
    )
