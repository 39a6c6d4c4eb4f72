"""Every manifest that Argo CD applies, rendered by kustomize as Argo CD does."""

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ontime.common.errors import OntimeError
from ontime.common.files import write_json
from ontime.manifests.tools import last_line

KUBERNETES = Path("deployment/kubernetes")
COMPONENTS = KUBERNETES / "components"
ARGO_CD = Path("argocd")
SOURCES = (Path("deployment"), ARGO_CD)
NO_DIGEST = f"sha256:{'0' * 64}"
TEXT_TO_KUBERNETES = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
"""Dates and `=`, which YAML 1.1 does not read as text."""

Manifest = dict[str, Any]


def targets(top: Path) -> dict[str, Path]:
    """Folders that are applied, relative to `top`, by a short name: overlays, what is around them, Argo CD's own."""
    folders = {
        f"overlays/{path.parent.name}": path.parent for path in sorted(top.glob(f"{KUBERNETES}/overlays/*/*.yaml"))
    }
    names = ("namespaces", "admission", "gateway", "logging", "dashboards", "airflow")
    around = [top / KUBERNETES / name for name in names]
    folders |= {path.name: path for path in (*around, top / ARGO_CD) if path.is_dir()}
    return {name: path.relative_to(top) for name, path in folders.items()}


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
    """The output of kustomize for a folder."""
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
    """Copy the folders that kustomize reads to `folder`, and return it."""
    for source in SOURCES:
        shutil.copytree(top / source, folder / source)
    return folder


def parse(text: str) -> list[Manifest]:
    """The manifests in a text with several YAML documents."""
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
    """Containers and init containers of a manifest with a pod template."""
    spec = manifest.get("spec") or {}
    pod = (spec.get("template") or {}).get("spec") or {}
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]


def name_of(manifest: Manifest) -> str:
    """Kind and name."""
    return f"{manifest.get('kind')} {(manifest.get('metadata') or {}).get('name')}"
