"""A transport that sends a response's head together with its body.

uvicorn writes them one after the other, and each write is a system call: with small responses, the second one is a
fifth of the time that a request takes (`python -m benchmarks.serving`).
"""

import asyncio
from typing import Any


class OneWriteTransport:
    """An `asyncio.Transport` whose first write waits for the second, or for the next iteration of the event loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._waiting: bytes | None = None
        self.is_closing, self.get_extra_info = transport.is_closing, transport.get_extra_info

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send data, or keep it if nothing else waits."""
        if self._waiting is None:
            self._waiting = data
            self._loop.call_soon(self._flush)
            return
        waiting, self._waiting = self._waiting, None
        self._transport.write(waiting + data)

    def close(self) -> None:
        """Send what waits, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._transport.write(waiting)
