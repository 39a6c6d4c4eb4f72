"""Rendered manifests in tests: one by its kind, those that make pods, and a repository of them alone."""

from collections.abc import Iterator
from pathlib import Path

from ontime.common.files import write_json
from ontime.manifests.render import KUBERNETES, NO_DIGEST, Manifest, containers, copy_sources, parse
from tests.checkouts import TOP, git

STAGES = ("staging", "production")


def one(manifests_: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """The only manifest of a kind, or of a kind and name."""
    (found,) = [
        manifest
        for manifest in manifests_
        if manifest["kind"] == kind and (name is None or manifest["metadata"]["name"] == name)
    ]
    return found


def pods(rendered: dict[str, list[Manifest]]) -> Iterator[tuple[str, Manifest]]:
    """Every manifest that makes pods, and where it is."""
    for target, found in rendered.items():
        for manifest in found:
            if containers(manifest):
                yield f"{target} {manifest['kind']} {manifest['metadata']['name']}", manifest


def add_tensorflow_serving(top: Path, stage: str = "staging") -> None:
    """Add TensorFlow Serving to an environment as its README says, with the digests of two images."""
    overlays = top / KUBERNETES / "overlays" / stage / "kustomization.yaml"
    (content,) = parse(overlays.read_text())
    content["components"].insert(0, "../../components/tensorflow-serving")
    content["images"] = [{"name": name, "digest": NO_DIGEST} for name in ("ontime-saved-model", "tensorflow/serving")]
    write_json(overlays, content)
    admission = top / KUBERNETES / "admission" / stage / "kustomization.yaml"
    (content,) = parse(admission.read_text())
    content["components"].insert(1, "../components/tensorflow-serving")
    write_json(admission, content)


def commit_sources(folder: Path) -> None:
    """A repository of the manifests alone."""
    copy_sources(TOP, folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "--quiet", "--message=base")
