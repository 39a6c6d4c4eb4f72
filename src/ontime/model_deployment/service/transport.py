"""An HTTP protocol of uvicorn's that answers most inference requests without a task, and with one system call each.

A request that one read brought whole needs none of what ASGI is for: no waiting for its body, no second write.
All others, and all other routes, are uvicorn's and the application's.
"""

from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ontime.model_deployment.service.app import Reply


class InferenceProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, for an `Application`."""

    def __init__(self, config: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(config, *arguments, **named)
        self._inference = config.app.inference
        self._reading = False
        self._started: tuple[RequestResponseCycle, Any] | None = None
        """The request whose head was read, until its body is or the read ends."""

    def data_received(self, data: bytes) -> None:
        """Take what a read brought; a request that is not whole then is the application's."""
        self._reading = True
        super().data_received(data)
        self._reading = False
        if self._started is not None:
            started, self._started = self._started, None
            super()._start_asgi_task(*started)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope = cycle.scope
        if self._reading and scope["path"] in self._inference and scope["method"] == "POST":
            self._started = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """Begin to answer a request that is whole."""
        super().on_message_complete()
        # a client that does not take its answers is the application's, which waits for it
        if self._started is not None and not self.flow.write_paused:
            (cycle, _), self._started = self._started, None
            self._inference[cycle.scope["path"]].begin(
                cycle.scope, dict(self.headers), bytes(cycle.body), partial(self._respond, cycle)
            )

    def _respond(self, cycle: RequestResponseCycle, reply: Reply) -> None:
        if cycle.disconnected:
            return
        headers = [*cycle.default_headers, *reply.headers]
        if (b"connection", b"close") in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[reply.status], *lines, b"\r\n", reply.content]))
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
