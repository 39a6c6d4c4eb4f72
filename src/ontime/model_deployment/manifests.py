"""Render every manifest, validate it against the schemas of the cluster's own releases, and lint it.

In: `deployment/kubernetes/` and `argocd/`, rendered by kustomize as Argo CD does. Out: exit status 1 with a line for
each finding; or, against a base revision, the rendered difference as Markdown. Core kinds are held against Kubernetes'
own schemas, custom resources against the definitions in the modules of the releases that the cluster runs. Tools are
built or installed once, from the locks in `deployment/tools/`, under `~/.cache/ontime`.
"""

import difflib
import fcntl
import functools
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from ontime.common.errors import OntimeError
from ontime.common.files import replacing, sha256, write_json, write_text
from ontime.repository.git import git, tried_bytes

KUBERNETES = Path("deployment/kubernetes")
COMPONENTS = KUBERNETES / "components"
ARGO_CD = Path("argocd")
TOOLS = Path("deployment/tools")
SOURCES = (Path("deployment"), ARGO_CD)
CACHE = Path.home() / ".cache" / "ontime" / "tools"
KUBERNETES_VERSION = "1.37"
GO_TOOLCHAIN = "go1.27.3"
"""What Argo CD's module asks for; Go fetches it from the module proxy as it does any module."""
NO_DIGEST = f"sha256:{'0' * 64}"
HEADING = "### Manifests"
MOST_CHARACTERS = 20_000
"""Of the difference, so that a comment holds it and the rest of the report."""
GO_HELP = "install Go 1.26 or later (https://go.dev/doc/install), with which it is built once"

TEXT_TO_KUBERNETES = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
"""A date and `=`, which YAML 1.1 makes something else of."""

Manifest = dict[str, Any]

P = ParamSpec("P")
T = TypeVar("T")


def one_at_a_time(function: Callable[P, T]) -> Callable[P, T]:
    """Let processes that find something missing in the cache wait for the one that makes it."""

    @functools.wraps(function)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> T:
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return function(*args, **kwargs)

    return waiting


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


@click.command(name="manifests")
@click.option("--base", metavar="REV", help="Only add to the report what differs from it.")
@click.option(
    "--output", type=click.Path(path_type=Path), default="report", show_default=True, help="Folder of the report."
)
def command(base: str | None, output: Path) -> None:
    """Render, validate and lint every manifest."""
    if base is not None:
        click.echo(report_difference(base, output / "report.md"))
        return
    rendered = render_all(Path(), find_kustomize())
    count = sum(map(len, rendered.values()))
    findings = [*validate_all(rendered, schemas()), *lint(rendered)]
    for finding in findings:
        click.echo(finding, err=True)
    if findings:
        raise OntimeError(f"{len(findings)} findings in {count} manifests")
    click.echo(f"{count} manifests of {', '.join(rendered)}: valid, and no finding")


def targets(top: Path) -> dict[str, Path]:
    """What is applied, by a short name, relative to `top`: overlays, namespaces and Argo CD's own objects."""
    found = {
        f"overlays/{path.parent.name}": path.parent for path in sorted(top.glob(f"{KUBERNETES}/overlays/*/*.yaml"))
    }
    found |= {path.name: path for path in (top / KUBERNETES / "namespaces", top / ARGO_CD) if path.is_dir()}
    return {name: path.relative_to(top) for name, path in found.items()}


def render_all(top: Path, kustomize: Path) -> dict[str, list[Manifest]]:
    """Manifests of each target, and of each component added to the first overlay, by name.

    Raises:
        OntimeError: kustomize refuses one.
    """
    rendered = {name: parse(build(top / path, kustomize)) for name, path in targets(top).items()}
    for component in sorted((top / COMPONENTS).glob("*/kustomization.yaml")):
        name = component.parent.name
        rendered[f"components/{name}"] = parse(build_component(top, name, kustomize))
    return rendered


def build(folder: Path, kustomize: Path) -> str:
    """What kustomize makes of a folder."""
    done = subprocess.run([kustomize, "build", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OntimeError(f"{folder}: {last_line(done).removeprefix('Error: ')}")
    return done.stdout


def build_component(top: Path, name: str, kustomize: Path) -> str:
    """A component alone in a namespace, its images with a digest as an overlay gives them."""
    with tempfile.TemporaryDirectory(prefix="ontime-manifests-") as folder:
        copied = copy_sources(top, Path(folder))
        overlay = copied / KUBERNETES / "overlays" / name
        overlay.mkdir(parents=True)
        content: Manifest = {"namespace": f"ontime-{name}", "components": [f"../../components/{name}"]}
        write_json(overlay / "kustomization.yaml", content)
        manifests = parse(build(overlay, kustomize))
        images = {container["image"].split("@")[0] for one in manifests for container in containers(one)}
        content["images"] = [{"name": image.split(":")[0], "digest": NO_DIGEST} for image in sorted(images)]
        write_json(overlay / "kustomization.yaml", content)
        return build(overlay, kustomize)


def copy_sources(top: Path, folder: Path) -> Path:
    """The folders that kustomize reads, copied; the new top."""
    for source in SOURCES:
        shutil.copytree(top / source, folder / source)
    return folder


def parse(text: str) -> list[Manifest]:
    """Manifests of a text of several documents."""
    import yaml

    return list(yaml.load_all(text, Loader=_loader()))


@functools.cache
def _loader() -> Any:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """As Kubernetes reads YAML."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in TEXT_TO_KUBERNETES]
        for first, resolvers in Loader.yaml_implicit_resolvers.items()
    }
    return Loader


def containers(manifest: Manifest) -> list[Manifest]:
    """Containers and init containers of whatever has a pod's template."""
    spec = manifest.get("spec") or {}
    pod = (spec.get("template") or {}).get("spec") or {}
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]


def name_of(manifest: Manifest) -> str:
    """Kind and name."""
    return f"{manifest.get('kind')} {(manifest.get('metadata') or {}).get('name')}"


# --- schemas


def validate_all(rendered: Mapping[str, list[Manifest]], custom: Mapping[str, Manifest]) -> Iterator[str]:
    """A line for each manifest that is not what its schema says, or has none."""
    for target, manifests in rendered.items():
        for manifest in manifests:
            for problem in validate(manifest, custom):
                yield f"{target}: {name_of(manifest)}: {problem}"


def validate(manifest: Manifest, custom: Mapping[str, Manifest]) -> Iterator[str]:
    """What is wrong with one manifest; a field that its schema does not know counts."""
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
    path = CACHE / f"schemas-{_hash(*pins)}.json"
    if not path.is_file():
        made: dict[str, Manifest] = {}
        for definitions in DEFINITIONS:
            for file in sorted((download(definitions) / definitions.folder).glob("*.yaml")):
                for definition in parse(file.read_text(encoding="utf-8")):
                    made.update(_schemas_of(definition))
        write_json(path, made)
    content: dict[str, Manifest] = json.loads(path.read_text(encoding="utf-8"))
    return content


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
        told = json.loads(done.stdout)
    except ValueError:
        told = {"Error": (done.stderr.strip().splitlines() or ["failed"])[-1]}
    if "Dir" not in told:
        raise OntimeError(f"{module}: {told.get('Error')}")
    return Path(told["Dir"])


def _schemas_of(definition: Manifest) -> Iterator[tuple[str, Manifest]]:
    if definition.get("kind") != "CustomResourceDefinition":
        return
    spec = definition["spec"]
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
        yield f"{spec['group']}/{version['name']}/{spec['names']['kind']}", schema


def strict(schema: Any) -> Any:
    """A definition's schema as JSON Schema that refuses fields which the API server would drop."""
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


# --- lint


def lint(rendered: Mapping[str, list[Manifest]]) -> Iterator[str]:
    """Checkov's findings; its exceptions, each with a reason, are in `deployment/tools/checkov.yaml`."""
    with tempfile.TemporaryDirectory(prefix="ontime-manifests-") as folder:
        for target, manifests in rendered.items():
            for number, manifest in enumerate(manifests):
                path = Path(folder) / target / f"{number:03}-{name_of(manifest).replace(' ', '-')}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, known_to_linters(manifest))
        done = subprocess.run(
            [
                *(find_checkov(), "--directory", folder, "--config-file", TOOLS / "checkov.yaml"),
                *("--framework", "kubernetes", "--output", "json", "--quiet", "--compact", "--skip-download"),
            ],
            env={**os.environ, "LOG_LEVEL": "ERROR"},
            capture_output=True,
            text=True,
            check=False,
        )
    try:
        results = json.loads(done.stdout)
        (results,) = results if isinstance(results, list) else (results,)
        summary = results["summary"]
        checked, unread = summary["passed"] + summary["failed"], summary["parsing_errors"]
        failed = results["results"]["failed_checks"]
    except (ValueError, KeyError, TypeError):
        told = (done.stderr.strip() or done.stdout.strip() or str(done.returncode)).splitlines()
        raise OntimeError(f"checkov: {told[-1]}") from None
    if not checked or unread:
        raise OntimeError(f"checkov: checked {checked} things, could not read {unread} files")
    for check in failed:
        yield f"{check['file_path'].lstrip('/')}: {check['resource']}: {check['check_id']}: {check['check_name']}"


def known_to_linters(manifest: Manifest) -> Manifest:
    """The manifest; a Rollout as the Deployment whose pods it has, for no linter looks into a Rollout."""
    if manifest.get("kind") != "Rollout":
        return manifest
    spec = {name: value for name, value in manifest["spec"].items() if name in ("replicas", "selector", "template")}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": manifest["metadata"], "spec": spec}


# --- tools


@one_at_a_time
def find_kustomize(build_it: bool = True) -> Path:
    """kustomize as `deployment/tools/go.mod` pins it, built once.

    Raises:
        OntimeError: it is not there and may or can not be built.
    """
    path = CACHE / f"kustomize-{sha256(TOOLS / 'go.sum')[:16]}"
    if path.is_file():
        return path
    if not build_it:
        raise OntimeError("kustomize: not built; run `make manifests`")
    click.echo("building kustomize, once", err=True)
    with replacing(path) as temporary:
        done = subprocess.run(
            [
                *(find_go(), "build", "-trimpath", "-mod=readonly", "-o", str(temporary)),
                "sigs.k8s.io/kustomize/kustomize/v5",
            ],
            cwd=TOOLS,
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OntimeError(f"kustomize: not built: {last_line(done)}")
    return path


def find_go() -> str:
    """Path of Go."""
    go = shutil.which("go")
    if go is None:
        raise OntimeError(f"go: not found; {GO_HELP}")
    return go


@one_at_a_time
def find_checkov() -> str:
    """Checkov in an environment of its own, for its dependencies are older than ours."""
    lock = TOOLS / "requirements.txt"
    folder = CACHE / f"checkov-{sha256(lock)[:16]}"
    if not (folder / ".ready").is_file():
        click.echo("installing checkov, once", err=True)
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if uv is None:
            raise OntimeError("uv: not found; run `make setup`")
        for arguments in (
            ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            ["pip", "install", "--quiet", "--python", str(folder), "--require-hashes", "-r", str(lock)],
        ):
            done = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)
            if done.returncode:
                raise OntimeError(f"checkov: not installed: {last_line(done)}")
        (folder / ".ready").touch()
    return str(folder / "bin" / "checkov")


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last that a program told of an error."""
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


# --- the difference from a base


def report_difference(base: str, report: Path) -> str:
    """Add what a branch changes in the rendered manifests to the report, which is made if it is not there.

    Returns:
        What was done, in a line.
    """
    if not git("diff", "--name-only", base, "--", *map(str, SOURCES)):
        return f"no manifest differs from {base}"
    try:
        kustomize = find_kustomize(build_it=shutil.which("go") is not None)
    except OntimeError as error:
        return f"manifests not compared: {error}"
    with tempfile.TemporaryDirectory(prefix="ontime-manifests-") as folder:
        for source in SOURCES:
            # a base may lack one of them
            archive = tried_bytes("archive", "--format=tar", base, str(source))
            if archive is not None:
                with tarfile.open(fileobj=io.BytesIO(archive)) as content:
                    content.extractall(folder, filter="data")
        before = _texts(Path(folder), kustomize)
    after = _texts(Path(), kustomize)
    changed = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    if not changed:
        return f"no manifest differs from {base}"
    from ontime.model_evaluation.report import MARKER

    text = report.read_text(encoding="utf-8") if report.is_file() else f"{MARKER}\n"
    text = text.split(f"\n{HEADING}\n")[0].rstrip("\n")
    write_text(report, "\n\n".join([text, *section(before, after, changed)]) + "\n")
    return f"{report}: manifests differ: {', '.join(changed)}"


def section(before: Mapping[str, str], after: Mapping[str, str], changed: list[str]) -> list[str]:
    """The difference as one block of Markdown that opens on a click."""
    lines = [
        line
        for name in changed
        for line in difflib.unified_diff(
            before.get(name, "").splitlines(), after.get(name, "").splitlines(), name, name, "base", "this", lineterm=""
        )
    ]
    text = "\n".join(lines)
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]}\n(cut)"
    # no line of a difference begins with the fence
    return [HEADING, f"<details><summary>{', '.join(changed)}</summary>", f"~~~~diff\n{text}\n~~~~", "</details>"]


def _texts(top: Path, kustomize: Path) -> dict[str, str]:
    texts = {}
    for name, path in targets(top).items():
        try:
            texts[name] = build(top / path, kustomize)
        except OntimeError as error:
            texts[name] = f"does not render: {error}\n".replace(f"{top}/", "")
    return texts
