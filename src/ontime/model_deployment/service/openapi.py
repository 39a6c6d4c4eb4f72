"""The OpenAPI 3.1 document of the service, made from the types that its requests are decoded by."""

from collections.abc import Iterable
from typing import Any

import msgspec

from ontime.model_deployment.inference.manifest import Feature
from ontime.model_deployment.service.protocol.messages import (
    EXPLANATION_TYPES,
    KEY,
    MOST_KEY_CHARACTERS,
    ErrorResponse,
    ExplainResponse,
    InferRequest,
    InferResponse,
    PredictResponse,
)
from ontime.model_deployment.service.service import Service

CLIENT_ERRORS = {
    "400": "a field is missing, unexpected, or of the wrong type or shape; the response names it",
    "404": "the service has another model or version",
    "408": "the body did not arrive in time",
    "413": "the body is too large, or has too many rows",
    "415": "the content type or content encoding is not supported",
    "429": "the queue is full; Retry-After says how long to wait",
}


def openapi(service: Service) -> dict[str, Any]:
    """The whole document."""
    model = service.model
    types = [
        service.v1.request_type,
        PredictResponse,
        ExplainResponse,
        InferRequest,
        InferResponse,
        ErrorResponse,
    ]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    predict_request, predict_response, explain_response, infer_request, infer_response, error = schemas
    for component in ("Record", "Columns"):
        service.records.name_properties(components[component])
    rows = components["PredictRequest"]["properties"]["instances"]
    rows.update(minItems=1, maxItems=service.settings.max_rows)
    components["PredictRequest"]["properties"]["keys"]["description"] = (
        "What the rows are called in the log, one for each row; null for a row without a name."
    )
    _require_one(components["PredictRequest"])
    client_errors = {status: _response(text, error) for status, text in CLIENT_ERRORS.items()}
    answer = model.answer
    example = {feature.name: feature.typical for feature in model.manifest.features}
    predict = {
        "summary": f"{answer.title} of records, TensorFlow Serving's REST API",
        "requestBody": _body(predict_request, {"instances": [example], "keys": ["1"]}),
        "responses": {"200": _response(f"a {answer.output} per row", predict_response), **client_errors},
    }
    most = service.settings.max_explained_rows
    explain_request = {"allOf": [predict_request, {"properties": {"instances": {"maxItems": most}}}]}
    explain = {
        "summary": f"{answer.title} of records, and what each feature contributes to them",
        "description": "The base value, which is the mean margin of golden records, and the contributions of the "
        "features add up to the margin.",
        "requestBody": _body(explain_request, {"instances": [example]}),
        "responses": {
            "200": _response(f"a {answer.output} and an explanation per row", explain_response),
            **client_errors,
        },
    }
    infer = {
        "summary": f"{answer.title}, outputs {' and '.join(answer.types)}, Open Inference Protocol",
        "description": "Binary tensors are accepted too: application/octet-stream with the JSON part's length in "
        f"Inference-Header-Content-Length. The outputs {' and '.join(EXPLANATION_TYPES)} are sent if they are named, "
        f"for at most {most} rows. "
        + (
            ""
            if KEY in model.encoder.features
            else f"One more BYTES tensor, {KEY}, of shape [rows], may say what the rows are called in the log, in "
            f"at most {MOST_KEY_CHARACTERS} characters."
        ),
        "requestBody": _body(infer_request, {"inputs": _tensors(model.manifest.features)}),
        "responses": {"200": _response("the requested outputs", infer_response), **client_errors},
    }
    any_object = {"type": "object"}
    name, version = _path_parameter("name", model.name), _path_parameter("version", model.version)
    missing = {"404": client_errors["404"]}

    def get(summary: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"summary": summary, "responses": {"200": _response(summary, any_object), **(more or {})}}

    draining = {"503": _response("stopping", any_object)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{model.name} {model.version}",
            "version": model.version,
            "description": f"Model SHA-256 {model.sha256}, git commit {model.git_commit}.",
        },
        # relative to this document, which an ingress may serve under a path of its own
        "servers": [{"url": "."}],
        "paths": {
            "/v1/models/{name}:predict": {"parameters": [name], "post": predict},
            "/v1/models/{name}/versions/{version}:predict": {"parameters": [name, version], "post": predict},
            "/v1/models/{name}:explain": {"parameters": [name], "post": explain},
            "/v1/models/{name}/versions/{version}:explain": {"parameters": [name, version], "post": explain},
            "/v1/models/{name}": {"parameters": [name], "get": get("State of the model", missing)},
            "/v2/models/{name}/infer": {"parameters": [name], "post": infer},
            "/v2/models/{name}/versions/{version}/infer": {"parameters": [name, version], "post": infer},
            "/v2/models/{name}": {"parameters": [name], "get": get("Inputs and outputs", missing)},
            "/v2/models/{name}/ready": {"parameters": [name], "get": get("Readiness of the model", missing | draining)},
            "/v2": {"get": get("Server metadata")},
            "/v2/health/live": {"get": get("Liveness")},
            "/v2/health/ready": {"get": get("Readiness", draining)},
        },
        "components": {"schemas": components},
    }


def _require_one(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": ["instances"]}, {"required": ["inputs"]}]


def _path_parameter(name: str, value: str) -> dict[str, Any]:
    # the example is what the API page fills in
    schema = {"type": "string", "const": value}
    return {"name": name, "in": "path", "required": True, "schema": schema, "example": value}


def _body(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _response(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _tensors(features: Iterable[Feature]) -> list[dict[str, Any]]:
    # in a tensor an empty string stands for a missing category or text
    return [
        {"name": one.name, "shape": [1], "datatype": "BYTES", "data": [one.typical or ""]}
        if one.type != "number"
        else {"name": one.name, "shape": [1], "datatype": "FP32", "data": [one.typical]}
        for one in features
    ]
