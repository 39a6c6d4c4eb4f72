"""Reads a whole image in a registry by digest: its configuration and every layer.

Nothing is unpacked and nothing of the image runs. Every download is verified against its digest, and every layer also
against the digest in the image's configuration, which is what a container runtime checks.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.release.image_layers import Filesystem, add_layer
from ontime.release.registry_client import INDEXES, MANIFESTS, Repository

PLATFORM = {"os": "linux", "architecture": "amd64"}
ATTESTATION = {"os": "unknown", "architecture": "unknown"}
"""Platform of an index's entry that is no image but what BuildKit tells about one."""
MODELS = "models"
COMPRESSED = {
    "application/vnd.oci.image.layer.v1.tar": False,
    "application/vnd.oci.image.layer.v1.tar+gzip": True,
    "application/vnd.docker.image.rootfs.diff.tar": False,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": True,
}
MOST_LAYERS = 32
MOST_BYTES = 1 << 30
"""Compressed, of one layer."""


@dataclass(frozen=True)
class Image:
    """An image's configuration, and its root filesystem."""

    configuration: dict[str, Any]
    root: Filesystem = field(default_factory=Filesystem)

    @property
    def labels(self) -> dict[str, str]:
        """What it says of itself."""
        return dict(self.configuration.get("config", {}).get("Labels") or {})

    @property
    def files(self) -> dict[str, bytes]:
        """The files under `models/`, by path."""
        return self.root.kept


def read_image(name: str, digest: str) -> Image:
    """Read an image.

    Args:
        name: registry and repository.
        digest: of the image's manifest or of an index that has one for linux/amd64 and for no other platform.

    Raises:
        OntimeError: it is not there, cannot be reached, is not let through, is not what the digests say, or is no image
            of ours by its form.
    """
    repository = Repository(name)
    try:
        manifest = repository.manifest(digest)
        if "manifests" in manifest:
            manifest = repository.manifest(_of_platform(manifest["manifests"]), MANIFESTS)
        image = Image(repository.configuration(manifest["config"]["digest"]))
        layers = list(zip(manifest["layers"], _diff_ids(image.configuration), strict=True))
        if not 0 < len(layers) <= MOST_LAYERS:
            raise OntimeError(f"{name}@{digest}: {len(layers)} layers")
        for number, (layer, diff_id) in enumerate(layers, 1):
            if layer.get("urls") or layer["mediaType"] not in COMPRESSED:
                raise OntimeError(f"layer {number}: {layer['mediaType']}: not a layer in this registry")
            with repository.blob(layer["digest"], MOST_BYTES) as content:
                _add(image.root, content, COMPRESSED[layer["mediaType"]], diff_id, number)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError):
        raise OntimeError(f"{name}@{digest}: not a readable image") from None
    return image


def read_folder(folder: Path) -> Image:
    """Read an image that a container tool exported to a folder (its `dir:` form)."""
    manifest: dict[str, Any] = read_json(folder / "manifest.json")
    image = Image(read_json(_blob(folder, manifest["config"])))
    for number, (layer, diff_id) in enumerate(zip(manifest["layers"], _diff_ids(image.configuration), strict=True), 1):
        with _blob(folder, layer).open("rb") as content:
            _add(image.root, content, COMPRESSED[layer["mediaType"]], diff_id, number)
    return image


def _add(root: Filesystem, content: Any, compressed: bool, diff_id: str, number: int) -> None:
    try:
        add_layer(root, content, compressed, MODELS, diff_id)
    except OntimeError as error:
        raise OntimeError(f"layer {number}: {error}") from None


def _blob(folder: Path, described: dict[str, Any]) -> Path:
    return folder / str(described["digest"]).removeprefix("sha256:")


def _diff_ids(configuration: dict[str, Any]) -> list[str]:
    diff_ids: list[str] = configuration["rootfs"]["diff_ids"]
    return diff_ids


def _of_platform(entries: list[dict[str, Any]]) -> str:
    """Digest of an index's only image; another platform's would run on such a node, unchecked."""
    found = []
    for entry in entries:
        platform = {name: entry["platform"].get(name) for name in PLATFORM}
        if entry["mediaType"] not in (*MANIFESTS, *INDEXES) or platform not in (PLATFORM, ATTESTATION):
            raise OntimeError(f"an image for {platform['os']}/{platform['architecture']} beside that for linux/amd64")
        if platform == PLATFORM:
            found.append(str(entry["digest"]))
    if len(found) != 1:
        raise OntimeError(f"{len(found)} images for linux/amd64")
    return found[0]
