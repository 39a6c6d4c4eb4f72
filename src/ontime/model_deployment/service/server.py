"""Run the service: settings, a verified model, the metrics port, and a shutdown that drops no request."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import click
import uvicorn
from prometheus_client import start_http_server

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.champion import Champion, load_champion
from ontime.model_deployment.inference.signing import Signer, verify
from ontime.model_deployment.service.http_protocol import HttpProtocol
from ontime.model_deployment.service.log import LogHandler
from ontime.model_deployment.service.routes import make_app
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.settings import Settings, load_settings

FINISH_SECONDS = 30
BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn with a stop in two steps: clients are told to close their connections, then the listener closes."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on SIGTERM and SIGINT; a second signal stops at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.drain)
        yield

    def drain(self) -> None:
        """Answer new requests with `Connection: close`, then close the listener and finish what is in flight."""
        if self.service.draining:
            self.should_exit = self.force_exit = True
            return
        self.service.draining = True
        asyncio.get_running_loop().call_later(self.service.settings.drain_seconds, self.stop)

    def stop(self) -> None:
        """Close the listener."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, open the metrics port, and log that the service is ready."""
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        settings, model = self.service.settings, self.service.model
        metrics = self.service.metrics
        try:
            metrics_server, _ = start_http_server(settings.metrics_port, settings.host, metrics.registry)
        except OSError as error:
            raise OntimeError(f"port {settings.metrics_port} on {settings.host}: {error.strerror}") from None
        self.service.log.write(
            "ready",
            model=model.name,
            model_version=model.version,
            sha256=model.sha256,
            host=settings.host,
            port=port,
            metrics_port=metrics_server.server_port,
        )


@click.command(name="serve")
@click.option(
    "--check", is_flag=True, help="Verify the signature and the golden records as every start does, then exit."
)
def command(check: bool) -> None:
    """Serve the signed champion, configured by ONTIME_SERVICE_… variables."""
    settings = load_settings()
    if not check:
        serve(settings)
        return
    model = load_signed(settings)
    click.echo(
        f"{model.name} {model.version}: signature and golden records verified; model.onnx has SHA-256 {model.sha256}"
    )


def load_signed(settings: Settings) -> Champion:
    """The model that the settings name, verified before it is loaded.

    Raises:
        OntimeError: the folder is not what was signed, or the golden records have other probabilities.
    """
    signer = Signer(settings.public_key, settings.identity, settings.identity_provider, settings.trust_config)
    verify(settings.model, settings.signature, signer)
    return load_champion(settings.model, settings.model_version, settings.git_commit, settings.threads)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM.

    Raises:
        OntimeError: the model is not what was signed, or a port is taken.
    """
    # Linux gives process 1, as in a container, no default action for it; an exception could be lost in a callback
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    service = Service(load_signed(settings), settings)
    server = Server(server_config(service), service)
    listener = listen(settings.host, settings.port)
    logging.getLogger().addHandler(LogHandler(service.log))
    service.log.start()
    # what is loaded stays until the end, so the garbage collector need not visit it
    gc.collect()
    gc.freeze()
    try:
        server.run([listener])
    finally:
        service.log.close()


def server_config(service: Service) -> uvicorn.Config:
    """How uvicorn serves the service's application."""
    return uvicorn.Config(
        make_app(service),
        loop="uvloop",
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=service.settings.keep_alive_seconds,
        timeout_graceful_shutdown=FINISH_SECONDS,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on a port; 0 takes a free one.

    Raises:
        OntimeError: the port is taken, or the host has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OntimeError(f"port {port} on {host}: {error.strerror}") from None
