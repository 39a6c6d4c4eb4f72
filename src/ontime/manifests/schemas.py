"""Validates manifests against the schemas of the versions that the cluster runs.

Core kinds are validated against Kubernetes' schemas, custom resources against the definitions in the Go modules of the
versions that the cluster runs.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ontime.common.errors import OntimeError
from ontime.common.files import write_json
from ontime.manifests.render import Manifest, name_of, parse
from ontime.manifests.tools import CACHE, find_go, one_at_a_time

KUBERNETES_VERSION = "1.37"
GO_TOOLCHAIN = "go1.27.3"
"""The toolchain that Argo CD's module requires; Go downloads it from the module proxy like any module."""


@dataclass(frozen=True)
class Definitions:
    """Where a Go module keeps the definitions of its custom resources."""

    module: str
    version: str
    folder: str


DEFINITIONS = (
    Definitions("github.com/argoproj/argo-cd/v3", "v3.6.1", "manifests/crds"),
    Definitions("github.com/argoproj/argo-rollouts", "v1.10.2", "manifests/crds"),
    Definitions(
        "github.com/prometheus-operator/prometheus-operator", "v0.93.1", "example/prometheus-operator-crd-full"
    ),
)


def validate_all(rendered: Mapping[str, list[Manifest]], custom: Mapping[str, Manifest]) -> Iterator[str]:
    """A line for each violation of a schema, and for each manifest without a schema."""
    for target, manifests in rendered.items():
        for manifest in manifests:
            for problem in validate(manifest, custom):
                yield f"{target}: {name_of(manifest)}: {problem}"


def validate(manifest: Manifest, custom: Mapping[str, Manifest]) -> Iterator[str]:
    """The violations of one manifest; a field that its schema does not define is one."""
    import jsonschema

    try:
        import kubernetes_validate
    except ImportError:
        raise OntimeError("kubernetes-validate: not installed; run `make setup`") from None
    kind = f"{manifest.get('apiVersion')}/{manifest.get('kind')}"
    if kind in custom:
        errors = jsonschema.Draft202012Validator(custom[kind]).iter_errors(manifest)
        for error in sorted(errors, key=lambda error: error.json_path):
            yield f"{error.json_path.removeprefix('$.')}: {error.message[:300]}"
        return
    try:
        kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'.'.join(map(str, error.absolute_path)) or 'top'}: {error.message[:300]}"
    except (kubernetes_validate.SchemaNotFoundError, KeyError, AttributeError):
        yield f"no schema for {kind}, neither Kubernetes {KUBERNETES_VERSION}'s nor one of the modules'"


@one_at_a_time
def schemas() -> dict[str, Manifest]:
    """Schema of each custom kind by apiVersion/kind, made of the modules once."""
    pins = ["1", *(f"{one.module}@{one.version}" for one in DEFINITIONS)]
    path = CACHE / f"schemas-{_hash(pins)}.json"
    if not path.is_file():
        write_json(path, dict(found for one in DEFINITIONS for found in schemas_of(one)))
    content: dict[str, Manifest] = json.loads(path.read_text(encoding="utf-8"))
    return content


def schemas_of(definitions: Definitions) -> Iterator[tuple[str, Manifest]]:
    """Schema of each custom kind of a module, by apiVersion/kind."""
    for file in sorted((download(definitions) / definitions.folder).glob("*.yaml")):
        for definition in parse(file.read_text(encoding="utf-8")):
            yield from _schemas_of(definition)


def download(definitions: Definitions) -> Path:
    """Folder of a Go module, verified by Go against its checksum database."""
    module = f"{definitions.module}@{definitions.version}"
    with tempfile.TemporaryDirectory(prefix="ontime-manifests-") as folder:
        done = subprocess.run(
            [find_go(), "mod", "download", "-json", module],
            cwd=folder,
            env={**os.environ, "GOTOOLCHAIN": GO_TOOLCHAIN},
            capture_output=True,
            text=True,
            check=False,
        )
    try:
        output = json.loads(done.stdout)
    except ValueError:
        output = {"Error": (done.stderr.strip().splitlines() or ["failed"])[-1]}
    if "Dir" not in output:
        raise OntimeError(f"{module}: {output.get('Error')}")
    return Path(output["Dir"])


def _schemas_of(definition: Manifest) -> Iterator[tuple[str, Manifest]]:
    if definition.get("kind") != "CustomResourceDefinition":
        return
    spec = definition["spec"]
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
        yield f"{spec['group']}/{version['name']}/{spec['names']['kind']}", schema


def strict(schema: Any) -> Any:
    """A definition's schema as a JSON Schema that rejects fields which the API server would drop."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: {name: strict(one) for name, one in value.items()} if key == "properties" else strict(value)
        for key, value in schema.items()
        if key not in ("default", "description", "example")
    }
    if made.get("type") == "object" and "properties" in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if made.pop("nullable", False) and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


def _hash(texts: list[str]) -> str:
    return sha256("\n".join(texts).encode()).hexdigest()[:16]
