"""Checks the image of a release: who signed it, its whole configuration, its model, and every layer.

In: a release, and the model's folder by the commit's `dvc.lock`. `ontime verify release` and `ontime release write` and
`publish` all check an image here, before anything of it runs.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.model_deployment.inference import signing
from ontime.model_deployment.inference.signing import Signer
from ontime.release.commit_checks import folder_md5, locked_champion, model_sha256
from ontime.release.image import DOCKERFILE
from ontime.release.image_configuration import check_configuration, configuration_of
from ontime.release.image_rebuild import beside, check_same, rebuild
from ontime.release.image_signature import check_trusted, verify_signature
from ontime.release.registry_image import Image, read_image
from ontime.release.release_file import Release
from ontime.repository.git import content_of

CHAMPION = f"{paths.CHAMPION.as_posix()}/"
SIGNATURE = signing.SIGNATURE.as_posix()
SIGNER_VARIABLES = (
    "ONTIME_SERVICE_PUBLIC_KEY",
    "ONTIME_SERVICE_IDENTITY",
    "ONTIME_SERVICE_IDENTITY_PROVIDER",
)
"""Whose signature the service in the image takes."""


@dataclass(frozen=True)
class Rebuild:
    """How an image is built again."""

    base: str | None = None
    """Base image in place of the one in the Dockerfile."""
    pip_config: Path | None = None


def check_image(
    release: Release,
    name: str,
    signer: Signer | None,
    again: Rebuild | None = None,
    locked: dict[str, bytes] | None = None,
) -> Iterator[tuple[str, str]]:
    """Yield the name and a description of each check of a release's image that passes.

    Args:
        name: of the model.
        signer: who must have signed the model and, with an identity, the image; None checks neither signature.
        again: build the image again and compare.
        locked: the champion's files as DVC has them, so that one that differs is named.

    Raises:
        OntimeError: a check fails; the message begins with its name.
    """
    with link_of("image"):
        image = read_image(release.image, release.digest)
    yield "image", f"{release.image}@{release.digest}: {len(image.root.entries)} paths in its layers"
    if signer is not None and signer.public_key is None:
        with link_of("image signature"):
            verify_signature(release.image, release.digest, signer)
        yield "image signature", f"by {signer}"
    arguments = _arguments(release, signer)
    with link_of("configuration"):
        dockerfile = content_of(release.commit, DOCKERFILE)
        if dockerfile is None:
            raise OntimeError(f"{DOCKERFILE}: not in commit {release.commit}")
        expected = configuration_of(dockerfile, arguments)
        check_configuration(image.configuration, expected, () if signer else SIGNER_VARIABLES)
    yield "configuration", f"labels, variables, user and commands are those of {DOCKERFILE}"
    with link_of("model layer"):
        files = _model(image, release, name, signer, locked)
    yield "model layer", f"{len(files)} files, to the byte those of dvc.lock"
    if signer is None:
        return
    with link_of("signature"):
        _verify_model(image, files, signer)
    yield "signature", f"{SIGNATURE}: by {signer}"
    if again is not None:
        with link_of("layers"):
            if again.base:
                arguments["BASE"] = again.base
            built = rebuild(release.commit, image.files, arguments, again.pip_config)
            check_configuration(built.configuration, expected)
            what = check_same(image, built)
        yield "layers", what


def require_image(release: Release, name: str, signer: Signer | None) -> None:
    """Refuse an image that is not the release's, as `check_image` does."""
    for _ in check_image(release, name, signer):
        pass


def _arguments(release: Release, signer: Signer | None) -> dict[str, str]:
    """Arguments of the build of a release."""
    arguments = {
        "GIT_COMMIT": release.commit,
        "MODEL_VERSION": release.version.removeprefix("v"),
        "MODEL_SHA256": release.model_sha256,
    }
    if signer is not None and signer.public_key is None:
        arguments |= {"PUBLIC_KEY": "", "IDENTITY": signer.identity, "IDENTITY_PROVIDER": signer.provider}
    return arguments


def _model(
    image: Image, release: Release, name: str, signer: Signer | None, locked: dict[str, bytes] | None
) -> dict[str, bytes]:
    """The champion's files in an image, if they are those that the commit locks; nothing else lies beside them."""
    files = {path.removeprefix(CHAMPION): held for path, held in image.files.items() if path.startswith(CHAMPION)}
    if locked is not None:
        for one in sorted(locked.keys() | files.keys()):
            if files.get(one) != locked.get(one):
                raise OntimeError(f"{CHAMPION}{one} is not the one that DVC has")
    md5 = locked_champion(release.commit)
    if folder_md5(files) != md5:
        raise OntimeError(f"{CHAMPION.rstrip('/')} is not what dvc.lock of {release.commit} says (MD5 {md5})")
    if (actual := model_sha256(files, name)) != release.model_sha256:
        raise OntimeError(f"model.onnx has SHA-256 {actual}, the release file says {release.model_sha256}")
    endings = (signing.KEY_ENDING, signing.TRUST_ENDING)
    known = {SIGNATURE, *(signing.SIGNATURE.with_suffix(ending).as_posix() for ending in endings)}
    if signer is not None:
        known = {SIGNATURE, beside(SIGNATURE, signer)}
    for path in sorted(image.root.entries):
        if path.startswith("models/") and path not in known and not f"{path}/".startswith(CHAMPION):
            raise OntimeError(f"{path}: neither the model nor its signature")
    return files


def _verify_model(image: Image, files: dict[str, bytes], signer: Signer) -> None:
    """Verify the model's signature with this machine's keys, never those in the image, which must be the same."""
    keys = beside(SIGNATURE, signer)
    for path in (SIGNATURE, keys):
        if path not in image.files:
            raise OntimeError(f"{path} is not in the image")
    with tempfile.TemporaryDirectory(prefix="ontime-release-") as top:
        model, signature = Path(top) / "model", Path(top) / "model.sig"
        for name, content in files.items():
            (model / name).parent.mkdir(parents=True, exist_ok=True)
            (model / name).write_bytes(content)
        signature.write_bytes(image.files[SIGNATURE])
        try:
            signing.verify(model, signature, signer)
        except OntimeError as error:
            raise OntimeError(str(error).replace(str(signature), SIGNATURE).replace(f"{top}/", "")) from None
    try:
        if signer.public_key is None:
            check_trusted(image.files[keys], signer)
        elif image.files[keys].strip() != signer.public_key.read_bytes().strip():
            raise OntimeError(f"not {signer.public_key}")
    except OntimeError as error:
        raise OntimeError(f"{keys}: {error}") from None


@contextmanager
def link_of(name: str) -> Iterator[None]:
    """Begin the message of an error with the name of the check."""
    try:
        yield
    except OntimeError as error:
        raise OntimeError(f"{name}: {error}") from None
