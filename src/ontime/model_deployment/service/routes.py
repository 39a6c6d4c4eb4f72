"""The service's routes: inference in both protocols, health, metadata, the OpenAPI document and the pages.

In: a `Service`. Out: an ASGI application. Bad input is answered with a 4xx status and one line.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import fastapi_swagger
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.inference.page import Page, read_page
from ontime.model_deployment.service.card import card_page, released_version
from ontime.model_deployment.service.inference_endpoint import POST, InferenceEndpoint
from ontime.model_deployment.service.openapi import openapi
from ontime.model_deployment.service.protocol.messages import (
    CONTRIBUTIONS,
    EXPLANATION_TYPES,
    ClientError,
    ErrorResponse,
)
from ontime.model_deployment.service.request_body import check_model
from ontime.model_deployment.service.service import Service

PAGES = Path(__file__).parent / "pages"
EXTENSIONS = ["binary_tensor_data", "explanations"]
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
)


class Endpoints:
    """All routes but those of inference and the pages."""

    def __init__(self, service: Service) -> None:
        self.service, self.model = service, service.model

    def json(self, content: Any, status: int = 200) -> Response:
        """A JSON response, which closes the connection while the service stops."""
        headers = {"connection": "close"} if self.service.draining else None
        return Response(msgspec.json.encode(content), status, headers, "application/json")

    async def live(self, _: Request) -> Response:
        """The process answers."""
        return self.json({"live": True})

    async def ready(self, request: Request) -> Response:
        """The model was verified before the port was opened, so only a service that stops is not ready."""
        check_model(self.model, {"name": self.model.name, **request.path_params})
        draining = self.service.draining
        return self.json({"name": self.model.name, "ready": not draining}, 503 if draining else 200)

    async def server_metadata(self, _: Request) -> Response:
        """Name, version and extensions."""
        return self.json({"name": "ontime", "version": self.model.version, "extensions": EXTENSIONS})

    async def model_metadata(self, request: Request) -> Response:
        """Inputs and outputs."""
        check_model(self.model, request.path_params)
        return self.json(model_metadata(self.model))

    async def model_status(self, request: Request) -> Response:
        """The status as TensorFlow Serving and KServe give it, in one object."""
        check_model(self.model, request.path_params)
        status = {"error_code": "OK", "error_message": ""}
        state = {"version": self.model.version, "state": "AVAILABLE", "status": status}
        ready = not self.service.draining
        return self.json({"name": self.model.name, "ready": ready, "model_version_status": [state]})

    async def client_error(self, _: Request, error: Exception) -> Response:
        """Another model or version."""
        assert isinstance(error, ClientError)  # noqa: S101 - Starlette types a handler's error as Exception
        return self.json(ErrorResponse(str(error)), error.status)

    async def http_error(self, request: Request, error: Exception) -> Response:
        """No such route or method; OPTIONS asks which methods there are."""
        assert isinstance(error, HTTPException)  # noqa: S101 - Starlette types a handler's error as Exception
        if request.method == "OPTIONS" and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=error.headers)
        response = self.json(ErrorResponse(error.detail), error.status_code)
        response.headers.update(error.headers or {})
        return response


class Scripts(StaticFiles):
    """The pages' own scripts and styles, which change with the service and so are kept by no browser."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """A response that is not stored."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-store"
        return response


def source(name: str) -> str:
    """The text of one of the pages."""
    return (PAGES / name).read_text(encoding="utf-8")


def page(text: str) -> Callable[[Request], Awaitable[Response]]:
    """A route for a page that loads nothing from other servers."""
    headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "x-content-type-options": "nosniff"}

    async def endpoint(_: Request) -> Response:
        return HTMLResponse(text, headers=headers)

    return endpoint


def document(content: Any) -> Callable[[Request], Awaitable[Response]]:
    """A route for JSON that never changes."""
    body = msgspec.json.encode(content)

    async def endpoint(_: Request) -> Response:
        return Response(body, media_type="application/json")

    return endpoint


def page_routes(service: Service) -> list[BaseRoute]:
    """The routes for people: the page, the model card and the API's documentation."""
    model, folder = service.model, service.settings.model
    return [
        Route("/openapi.json", document(openapi(service))),
        Route("/page.json", document(page_data(model, read_page(folder, model.manifest)))),
        Route("/", page(source("index.html"))),
        Route("/card", page(card_page(model, folder, source("card.html")))),
        Route("/docs", page(source("docs.html"))),
        Mount("/docs/assets", StaticFiles(directory=Path(fastapi_swagger.__file__).parent / "resources")),
        Mount("/static", Scripts(directory=PAGES)),
    ]


class Application(Starlette):
    """All routes; the inference endpoints of the model are found by their path in `inference`, before any route."""

    inference: Mapping[str, InferenceEndpoint]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        endpoint = self.inference.get(scope["path"]) if scope["type"] == "http" and scope["method"] == POST else None
        if endpoint is None:
            await super().__call__(scope, receive, send)
            return
        scope["path_params"] = {"name": endpoint.service.model.name}
        await endpoint(scope, receive, send)


def make_app(service: Service) -> Application:
    """The application of a service."""
    get = Endpoints(service)
    infer = InferenceEndpoint(service, "v2", service.v2.read, service.v2.write)
    predict = InferenceEndpoint(service, "v1", service.v1.read, service.v1.write)
    explain = InferenceEndpoint(service, "v1", service.explanation.read, service.explanation.write)
    v1, v2 = "/v1/models/{name}", "/v2/models/{name}"
    v1_version, v2_version = f"{v1}/versions/{{version}}", f"{v2}/versions/{{version}}"
    app = Application(
        routes=[
            *(Route(f"{path}/infer", infer, methods=[POST]) for path in (v2, v2_version)),
            *(Route(f"{path}:predict", predict, methods=[POST]) for path in (v1, v1_version)),
            *(Route(f"{path}:explain", explain, methods=[POST]) for path in (v1, v1_version)),
            Route("/v2/health/live", get.live),
            Route("/v2/health/ready", get.ready),
            Route("/v2", get.server_metadata),
            *(Route(f"{path}/ready", get.ready) for path in (v2, v2_version)),
            *(Route(path, get.model_metadata) for path in (v2, v2_version)),
            *(Route(path, get.model_status) for path in (v1, v1_version)),
            *(page_routes(service) if service.settings.page else ()),
        ],
        exception_handlers={ClientError: get.client_error, HTTPException: get.http_error},
    )
    # a redirect to an absolute address would leave out the path that an ingress has in front of this service's
    app.router.redirect_slashes = False
    name = service.model.name
    app.inference = {f"/v2/models/{name}/infer": infer, f"/v1/models/{name}:predict": predict}
    return app


def model_metadata(model: Champion) -> dict[str, Any]:
    """Version 2 metadata: a tensor per feature in, what the model answers out; explanations if they are named.

    `classes` are what the columns of the output stand for, if it has any.
    """
    inputs = [
        {"name": feature.name, "datatype": "FP32" if feature.type == "number" else "BYTES", "shape": [-1]}
        for feature in model.manifest.features
    ]
    answer = model.answer
    outputs = [
        {"name": name, "datatype": datatype, "shape": [-1, width] if (width := answer.width(name)) else [-1]}
        for name, datatype in answer.types.items()
    ]
    explanations = [
        {"name": name, "datatype": datatype, "shape": [-1, len(inputs)] if name == CONTRIBUTIONS else [-1]}
        for name, datatype in EXPLANATION_TYPES.items()
    ]
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "onnxruntime_onnx",
        "inputs": inputs,
        "outputs": outputs,
        # apart, because some clients request every output that they find
        "explanations": explanations,
        **({"classes": answer.classes} if answer.classes else {}),
    }


def page_data(model: Champion, page: Page) -> dict[str, Any]:
    """What the page is built from: the champion's page, name, version if it was released, any threshold or classes."""
    return {
        "name": model.name,
        "version": released_version(model),
        "threshold": model.manifest.threshold,
        "classes": model.answer.classes,
        **page.as_json(),
    }
