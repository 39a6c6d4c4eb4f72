"""A client of the service, on a new connection for each request unless told otherwise, in both protocols.

A Kubernetes Service spreads connections over pods, so checks that open their own see every pod.
"""

import http.client
import json
import math
import ssl
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from ontime.common.arrays import Outputs
from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.manifest import Feature
from ontime.tasks.answers import Answer as ModelAnswer

JSON, BINARY = "application/json", "application/octet-stream"
LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Answer:
    """Status, headers by lower-case name, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            OntimeError: it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise OntimeError(f"status {self.status}, not JSON: {self.body[:80]!r}") from None


@dataclass(frozen=True)
class Client:
    """Where the service answers; `path` is what an ingress has in front of the service's paths."""

    scheme: str
    host: str
    port: int
    path: str = ""
    timeout: float = 10.0

    @classmethod
    def of(cls, url: str) -> "Client":
        """From `http://HOST[:PORT][/PATH]` or `https://…`.

        Raises:
            ValueError: it is no such address.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))

    def connect(self) -> http.client.HTTPConnection:
        """A new connection; HTTPS checks the certificate against the system's authorities."""
        if self.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=context)
        return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)

    def get(self, path: str) -> Answer:
        """The answer to GET."""
        return self.ask("GET", path)

    def post(self, path: str, body: bytes, **headers: str) -> Answer:
        """The answer to POST."""
        return self.ask("POST", path, body, {"Content-Type": JSON, **headers})

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """The answer to a request, on a connection that stays open or on one of its own.

        Raises:
            OntimeError: nobody answers.
        """
        used = connection or self.connect()
        try:
            used.request(method, self.path + path, body, dict(headers or {}))
            response = used.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        except (OSError, http.client.HTTPException) as error:
            used.close()
            raise OntimeError(f"no response: {error or type(error).__name__}") from None
        finally:
            if connection is None:
                used.close()


def predict_body(records: Sequence[Mapping[str, Any]]) -> bytes:
    """A version 1 request."""
    return json.dumps({"instances": list(records)}).encode()


def infer_body(features: Sequence[Feature], columns: Mapping[str, Sequence[Any]]) -> bytes:
    """A version 2 request in JSON."""
    inputs = [
        {"name": one.name, "datatype": datatype(one), "shape": [len(columns[one.name])], "data": columns[one.name]}
        for one in features
    ]
    return json.dumps({"inputs": inputs}).encode()


def binary_body(features: Sequence[Feature], columns: Mapping[str, Sequence[Any]]) -> tuple[bytes, dict[str, str]]:
    """A version 2 request whose tensors, and those of the answer, are binary; and its headers."""
    inputs, blobs = [], []
    for one in features:
        values = columns[one.name]
        if one.type == "number":
            blob = np.array([math.nan if value is None else value for value in values], "<f8").tobytes()
        else:
            texts = [str(value).encode() if isinstance(value, str) else b"" for value in values]
            blob = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        blobs.append(blob)
        inputs.append(
            {
                "name": one.name,
                "datatype": "FP64" if one.type == "number" else "BYTES",
                "shape": [len(values)],
                "parameters": {"binary_data_size": len(blob)},
            }
        )
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return b"".join([header, *blobs]), {"Content-Type": BINARY, LENGTH: str(len(header))}


def datatype(feature: Feature) -> str:
    """A feature's datatype in the version 2 metadata."""
    return "FP32" if feature.type == "number" else "BYTES"


def predictions_of(answer: Answer) -> list[Any]:
    """What the model says, by a version 1 answer.

    Raises:
        OntimeError: it is none.
    """
    content = checked(answer)
    found = content.get("predictions") if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(map(_is_number, found)):
        raise OntimeError("the answer has no `predictions`")
    return found


def _is_number(said: Any) -> bool:
    """Whether it is a number, or a list of some."""
    return all(map(_is_number, said)) if isinstance(said, list) else isinstance(said, float | int)


def outputs_of(answer: Answer, expected: ModelAnswer) -> Outputs:
    """What the model says, of float32 in float64, by a version 2 answer in JSON or binary.

    Raises:
        OntimeError: it is none, or its other outputs do not follow from that.
    """
    length = int(answer.headers.get(LENGTH.lower(), len(answer.body)))
    content = checked(Answer(answer.status, answer.headers, answer.body[:length]))
    rest, found = answer.body[length:], dict[str, npt.NDArray[Any]]()
    for tensor in content.get("outputs", ()):
        kind = {"FP32": np.dtype("<f4"), "BOOL": np.dtype(bool), "BYTES": np.dtype(object)}.get(tensor["datatype"])
        if kind is None:
            raise OntimeError(f"output {tensor['name']}: datatype {tensor['datatype']}")
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is None:
            values = np.array(tensor["data"], kind)
        else:
            values, rest = (
                _texts(rest[:size]) if tensor["datatype"] == "BYTES" else np.frombuffer(rest[:size], kind),
                rest[size:],
            )
        if values.size != math.prod(tensor["shape"]):
            raise OntimeError(f"output {tensor['name']}: {values.size} values for shape {tensor['shape']}")
        found[tensor["name"]] = values.reshape(tensor["shape"])
    if list(found) != list(expected.types):
        raise OntimeError(f"outputs: expected {' and '.join(expected.types)}, found {', '.join(found) or 'none'}")
    outputs = found[expected.output]
    for name in expected.types:
        if not np.array_equal(found[name], expected.values(name, outputs)):
            raise OntimeError(f"outputs: {name} does not follow from {expected.output}")
    return outputs.astype(np.float64)


def _texts(blob: bytes) -> npt.NDArray[Any]:
    """The texts of a binary tensor, each with its length before it."""
    found = []
    while blob:
        (size,) = struct.unpack_from("<I", blob)
        found.append(blob[4 : 4 + size].decode())
        blob = blob[4 + size :]
    return np.array(found, dtype=object)


def checked(answer: Answer) -> Any:
    """The JSON of an answer with status 200.

    Raises:
        OntimeError: it has another.
    """
    if answer.status != http.client.OK:
        raise OntimeError(f"status {answer.status}: {answer.body.decode(errors='replace').strip()[:200]}")
    return answer.json()
