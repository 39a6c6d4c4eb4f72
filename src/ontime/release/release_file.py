"""The release file: a kustomize component with the image that a stage runs, its version, commit and model.

The whole file is rendered from five values. It is valid only if rendering its own values gives the same text, so a
manual edit is detected.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontime.common.errors import OntimeError
from ontime.release.tags import is_version
from ontime.repository.git import check_whole, content_of, git, tip

FOLDER = Path("deployment/kubernetes/releases")
IMAGE = "ontime"
"""Name of the image in the manifests, which the release file replaces."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SHA256 = re.compile(r"[0-9a-f]{64}")
IMAGE_NAME = re.compile(r"([A-Za-z0-9.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*")
HEAD = """\
# Written whole by `ontime release write`; a file that was edited is refused.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
"""
RELEASED = """\
images:
  - name: {name}
    newName: {image}
    digest: {digest}
patches:
  - target:
      kind: Rollout
    patch: |
      apiVersion: argoproj.io/v1alpha1
      kind: Rollout
      metadata:
        name: {name}
      spec:
        template:
          metadata:
            labels:
              app.kubernetes.io/version: "{version}"
            annotations:
              ontime.io/git-commit: "{commit}"
              ontime.io/model-sha256: "{model_sha256}"
"""
NOTHING = f"""\
images:
  - name: {IMAGE}
    digest: sha256:{"0" * 64}
"""
"""Before the first release: a digest that no image has, so that no image is pulled."""


@dataclass(frozen=True)
class Release:
    """What a stage runs."""

    version: str
    commit: str
    """The registered commit, 40 hexadecimal digits."""
    model_sha256: str
    """Of model.onnx."""
    image: str
    """Registry and repository."""
    digest: str
    """sha256:…, of the image's manifest."""


@dataclass(frozen=True)
class Written:
    """The release file at a commit of the branch that changed it."""

    commit: str
    time: int
    """Seconds since 1970, the committer's."""
    release: Release | None
    edited: bool
    """Whether it was edited by hand, so `ontime release write` did not write it."""

    @property
    def date(self) -> str:
        """ISO 8601, UTC."""
        return datetime.fromtimestamp(self.time, UTC).isoformat().replace("+00:00", "Z")


def path_of(stage: str) -> Path:
    """Where a stage's release file is."""
    return FOLDER / stage / "kustomization.yaml"


def render(release: Release | None) -> str:
    """The content of the release file; None renders the file before the first release."""
    return HEAD + (NOTHING if release is None else RELEASED.format(name=IMAGE, **vars(release)))


def parse(text: str, path: str | Path) -> Release | None:
    """The release in a file; None before the first release.

    Raises:
        OntimeError: it is not what `ontime release write` writes.
    """
    release = None
    if text != render(None):
        try:
            release = _read(text)
        except (OntimeError, YAMLError, KeyError, TypeError, ValueError, AttributeError):
            release = None
        if release is None or text != render(release):
            raise OntimeError(f"{path}: edited by hand; revert the edit (git log -p {path}) and write it again")
    return release


def check(release: Release) -> Release:
    """Refuse a release with a malformed value."""
    for fact, value, expected, good in (
        ("version", release.version, "vMAJOR.MINOR.PATCH, as in v1.2.0", is_version(release.version)),
        ("commit", release.commit, "40 hexadecimal digits", re.fullmatch(r"[0-9a-f]{40}", release.commit)),
        ("model SHA-256", release.model_sha256, "64 hexadecimal digits", SHA256.fullmatch(release.model_sha256)),
        ("image", release.image, "registry and repository without a tag", IMAGE_NAME.fullmatch(release.image)),
        ("digest", release.digest, "sha256: and 64 hexadecimal digits", DIGEST.fullmatch(release.digest)),
    ):
        if not good:
            raise OntimeError(f"{fact} {value!r}: expected {expected}")
    return release


def read(stage: str) -> Release | None:
    """The release in the checkout's file of a stage; None before the first release.

    Raises:
        OntimeError: somebody edited it.
    """
    path = path_of(stage)
    try:
        text = path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None
    return parse(text, path)


def history(stage: str, branch: str) -> list[Written]:
    """The stage's release file in the branch, newest first; a commit that removed it is left out."""
    check_whole()
    path = path_of(stage)
    listed = git("log", "--first-parent", "--format=%H %ct", tip(branch), "--", str(path)).split()
    versions = []
    for commit, seconds in zip(listed[::2], listed[1::2], strict=True):
        text = content_of(commit, path)
        if text is None:
            continue
        try:
            versions.append(Written(commit, int(seconds), parse(text, path), edited=False))
        except OntimeError:
            versions.append(Written(commit, int(seconds), None, edited=True))
    return versions


def ran(stage: str, branch: str, version: str | None = None) -> list[Written]:
    """The releases in the history of a stage, or only those of `version`, newest first."""
    return [
        written for written in history(stage, branch) if written.release and version in (None, written.release.version)
    ]


def _read(text: str) -> Release:
    content: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    (image,), (patch,) = content["images"], content["patches"]
    metadata = YAML(typ="safe", pure=True).load(patch["patch"])["spec"]["template"]["metadata"]
    return check(
        Release(
            version=metadata["labels"]["app.kubernetes.io/version"],
            commit=metadata["annotations"]["ontime.io/git-commit"],
            model_sha256=metadata["annotations"]["ontime.io/model-sha256"],
            image=image["newName"],
            digest=image["digest"],
        )
    )
