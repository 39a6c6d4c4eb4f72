"""Run the service: settings, a verified model, the metrics port, and a shutdown that drops no request."""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import uvicorn
from prometheus_client import start_http_server
from starlette.types import ASGIApp

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.champion import Champion, load_champion
from ontime.model_deployment.inference.signing import verify
from ontime.model_deployment.service.http_protocol import HttpProtocol
from ontime.model_deployment.service.log import LogHandler
from ontime.model_deployment.service.routes import Application, make_app
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.settings import Settings, load_settings, signer_of, spans_are_asked_for

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
            **shadow_fields(self.service),
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
    service = load_service(settings)
    for model in (service.model, service.shadow.model) if service.shadow else (service.model,):
        verified = f"signature and golden records verified; model.onnx has SHA-256 {model.sha256}"
        click.echo(f"{model.name} {model.version}: {verified}")


def shadow_fields(service: Service) -> dict[str, str]:
    """What the line `ready` says of the model beside the one that answers, if there is one."""
    if service.shadow is None:
        return {}
    model = service.shadow.model
    return {"shadow": model.name, "shadow_version": model.version, "shadow_sha256": model.sha256}


def load_service(settings: Settings) -> Service:
    """The service with the models that the settings name.

    Raises:
        OntimeError: a folder is not what was signed, a model answers its golden records differently, or both models do
            not fit each other or the settings.
    """
    return Service(load_signed(settings), settings, load_shadow(settings))


def load_signed(settings: Settings) -> Champion:
    """The model that the settings name, verified before it is loaded.

    Raises:
        OntimeError: the folder is not what was signed, or the golden records are answered differently.
    """
    return _load(settings, settings.model, settings.signature, settings.model_version, settings.git_commit)


def load_shadow(settings: Settings) -> Champion | None:
    """The model beside the one that answers, verified as that is; None if the settings name none.

    Raises:
        OntimeError: the folder is not what the same signer signed, or the golden records are answered differently.
    """
    folder = settings.shadow
    if folder is None:
        return None
    signature = settings.shadow_signature or folder.parent / f"{folder.name}.sig"
    return _load(settings, folder, signature, settings.shadow_version)


def _load(settings: Settings, folder: Path, signature: Path, version: str, git_commit: str = "unknown") -> Champion:
    verify(folder, signature, signer_of(settings))
    return load_champion(folder, version, git_commit, settings.threads)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM.

    Raises:
        OntimeError: the model is not what was signed, or a port is taken.
    """
    # Linux gives process 1, as in a container, no default action for it; an exception could be lost in a callback
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # each connection is an open file, of which shells and systemd allow 1024 unless more are asked for
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    service = load_service(settings)
    with traced(make_app(service), service.model) as app:
        server = Server(server_config(app, settings), service)
        listener = listen(settings.host, settings.port)
        logging.getLogger().addHandler(LogHandler(service.log))
        service.start()
        # what is loaded stays until the end, so the garbage collector need not visit it
        gc.collect()
        gc.freeze()
        try:
            server.run([listener])
        finally:
            service.close()


@contextmanager
def traced(app: Application, model: Champion) -> Iterator[ASGIApp]:
    """The application; with a span for each request, exported until the end, if the environment asks for spans.

    Raises:
        OntimeError: the environment asks for spans in a way that the service does not know.
    """
    if not spans_are_asked_for():
        yield app
        return
    # OpenTelemetry's SDK takes memory and time to load
    from ontime.model_deployment.service.tracing import TracedApplication, make_provider, shut_down

    provider = make_provider(model)
    try:
        yield TracedApplication(app, provider, model)
    finally:
        shut_down(provider)


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
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
        # create_server repeats the address in brackets
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise OntimeError(f"port {port} on {host}: {reason}") from None
