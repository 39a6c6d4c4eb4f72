"""Verifies a stage's release: traces the release file back to the graph, step by step.

In: a stage. Checked: release file, tag, commit, `dvc.lock`, the champion's files and manifest, the image in the
registry with its labels, its model layer and its signature. Out: a line for each check that passes, up to the first
that fails.
"""

import functools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.model_deployment.inference import signing
from ontime.model_deployment.inference.signing import Signer
from ontime.release.commit_checks import champion_files, check_lock, model_sha256
from ontime.release.registry import SHORT, Registry, read_registry, resolve
from ontime.release.release_file import Release, parse, path_of, ran
from ontime.release.tags import registering
from ontime.repository.git import content_of, git, is_ancestor, tip

MODEL_LABEL = "io.ontime.model.sha256"
REVISION_LABEL = "org.opencontainers.image.revision"
VERSION_LABEL = "org.opencontainers.image.version"


def signer_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say who must have signed; the command gets them as `signer`."""

    @click.option(
        "--public-key",
        type=click.Path(path_type=Path),
        default=signing.PUBLIC_KEY,
        show_default=True,
        help="Public key of the model's signature.",
    )
    @click.option("--identity", default="", help="Keyless: who must have signed; {tag} is the version's tag.")
    @click.option("--identity-provider", default="", help="Keyless: OIDC issuer of the identity.")
    @signing.trust_option
    @functools.wraps(function)
    def with_signer(
        public_key: Path, identity: str, identity_provider: str, trust_config: Path | None, **others: Any
    ) -> None:
        if bool(identity) != bool(identity_provider):
            raise click.UsageError("--identity and --identity-provider: both or neither")
        function(**others, signer=Signer(None if identity else public_key, identity, identity_provider, trust_config))

    return with_signer


@click.command(name="release")
@click.argument("stage")
@click.option("--branch", default="main", show_default=True, help="The default branch.")
@click.option("--no-registry", is_flag=True, help="Do not check the image and its signature.")
@signer_options
def command(stage: str, branch: str, no_registry: bool, signer: Signer) -> None:
    """Trace a stage's release file back to the graph; the first check that fails is named."""
    for link, what in verify_release(stage, branch, None if no_registry else signer):
        click.echo(f"{link:<14}{what}")


def verify_release(stage: str, branch: str = "main", signer: Signer | None = None) -> Iterator[tuple[str, str]]:
    """Yield the name and a description of each check that passes.

    Args:
        branch: the default branch; with a remote, the remote's branch as of the last fetch.
        signer: who must have signed the model in the image; None skips the image.

    Raises:
        OntimeError: a check fails; the message begins with its name.
    """
    registry = read_registry()
    top = tip(branch)
    with link_of("release file"):
        release = released(stage, registry, top)
    yield "release file", f"{path_of(stage)} at {top[:SHORT]}: {release.version}, as `ontime release` writes it"
    with link_of("tag"):
        tag = _tagged(stage, release, registry)
    yield "tag", f"{tag}: annotated, on commit {release.commit[:SHORT]}"
    with link_of("commit"):
        if not is_ancestor(release.commit, of=top):
            raise OntimeError(f"{release.commit[:SHORT]} is not in the history of {branch}")
        _ran_before(stage, release, registry, branch)
    yield "commit", f"{release.commit[:SHORT]}: in {branch}, {git('log', '-1', '--format=%s', release.commit)!r}"
    with link_of("dvc.lock"):
        check_lock(release.commit)
    yield "dvc.lock", "is what code, parameters and dependencies of that commit make"
    with link_of("model"):
        files = champion_files(release.commit)
    yield "model", f"{paths.CHAMPION}: {len(files)} files as dvc.lock has them"
    with link_of("manifest"):
        actual = model_sha256(files, registry.name)
        if actual != release.model_sha256:
            raise OntimeError(f"model.onnx has SHA-256 {actual}, the release file says {release.model_sha256}")
    yield "manifest", f"model.onnx has SHA-256 {actual}"
    if signer is not None:
        identity = signer.identity.replace("{tag}", registering(registry.name, release.version))
        yield from _verify_image(release, files, replace(signer, identity=identity))


def _verify_image(release: Release, files: dict[str, bytes], signer: Signer) -> Iterator[tuple[str, str]]:
    # only this needs the registry's client
    from ontime.release.registry_image import read_image

    with link_of("image"):
        image = read_image(release.image, release.digest)
    yield "image", f"{release.image}@{release.digest}"
    with link_of("labels"):
        for label, expected in (
            (REVISION_LABEL, release.commit),
            (VERSION_LABEL, release.version.removeprefix("v")),
            (MODEL_LABEL, release.model_sha256),
        ):
            if image.labels.get(label) != expected:
                raise OntimeError(f"{label} is {image.labels.get(label)}, not {expected}")
    yield "labels", "commit, version and model are those of the release"
    folder = f"{paths.CHAMPION.as_posix()}/"
    signature = signing.SIGNATURE.as_posix()
    held = {name.removeprefix(folder): held for name, held in image.files.items() if name.startswith(folder)}
    with link_of("model layer"):
        for name in sorted(held.keys() | files.keys()):
            if held.get(name) != files.get(name):
                raise OntimeError(f"{folder}{name} is not the one that DVC has")
    yield "model layer", f"{len(held)} files, to the byte those of DVC"
    with link_of("signature"), tempfile.TemporaryDirectory(prefix="ontime-release-") as top:
        if signature not in image.files:
            raise OntimeError(f"{signature} is not in the image")
        model = Path(top) / "model"
        for name, content in held.items():
            (model / name).parent.mkdir(parents=True, exist_ok=True)
            (model / name).write_bytes(content)
        (Path(top) / "model.sig").write_bytes(image.files[signature])
        try:
            # with this machine's Sigstore keys, never those in the image, which is not trusted
            signing.verify(model, Path(top) / "model.sig", signer)
        except OntimeError as error:
            raise OntimeError(str(error).replace(f"{top}/model.sig", signature).replace(f"{top}/", "")) from None
    yield "signature", f"{signature}: by {signer}"


def released(stage: str, registry: Registry, top: str) -> Release:
    """The release in a stage's file at a commit, if `ontime release` wrote it."""
    registry.previous_stage(stage)
    path = path_of(stage)
    text = content_of(top, path)
    if text is None:
        raise OntimeError(f"{path}: not in commit {top[:SHORT]}")
    release = parse(text, path)
    if release is None:
        raise OntimeError(f"{path}: nothing was released yet")
    return release


def _tagged(stage: str, release: Release, registry: Registry) -> str:
    registration = registry.required(release.version)
    resolve(registration.tag, registry)
    if registration.commit != release.commit:
        raise OntimeError(f"{registration.tag} is on {registration.commit[:SHORT]}, not {release.commit[:SHORT]}")
    deploying = registry.deploying(release.version, stage)
    if not deploying:
        raise OntimeError(f"no tag ever released {release.version} to {stage}")
    return deploying[-1].tag


def _ran_before(stage: str, release: Release, registry: Registry, branch: str) -> None:
    earlier = registry.previous_stage(stage)
    if earlier and release.digest not in {
        one.release.digest for one in ran(earlier, branch, release.version) if one.release
    }:
        raise OntimeError(f"{earlier} never ran {release.version} as {release.digest}")


@contextmanager
def link_of(name: str) -> Iterator[None]:
    """Begin the message of an error with the name of the check."""
    try:
        yield
    except OntimeError as error:
        raise OntimeError(f"{name}: {error}") from None
