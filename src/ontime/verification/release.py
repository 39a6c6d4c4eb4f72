"""Verifies a stage's release: traces the release file back to the graph, step by step.

In: a stage. Checked: release file, tag, commit, `dvc.lock`, the champion's files and manifest; then the image in the
registry: its signature, its configuration, its model and, by building it again, every file in its layers. Nothing of
the image runs. Out: a line for each check that passes, up to the first that fails.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.model_deployment.inference import signing
from ontime.model_deployment.inference.signing import Signer
from ontime.release.commit_checks import champion_files, check_lock, model_sha256
from ontime.release.image_check import Rebuild, check_image, link_of
from ontime.release.registry import SHORT, Registry, read_registry, resolve
from ontime.release.release_file import Release, parse, path_of, ran
from ontime.release.signer_options import signer_options, with_tag
from ontime.repository.git import content_of, git, is_ancestor, tip

signed_by = signer_options(signing.PUBLIC_KEY)


@dataclass(frozen=True)
class Checks:
    """How much is checked, and against what."""

    signer: Signer | None = None
    """Who must have signed; None leaves the image out."""
    again: Rebuild | None = None
    """Build the image again and compare."""
    image: str | None = None
    """Registry and repository that the image must have."""
    remote: bool = True
    """Read the model from DVC too; otherwise only the image's own copy is compared with `dvc.lock`."""


def checks_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a check of images; the command gets them as `checks`."""

    @click.option("--rebuild", is_flag=True, help="Build the image again with Podman, and compare every file.")
    @click.option("--base", help="Rebuild: base image (default: the one pinned in the Dockerfile).")
    @click.option(
        "--pip-config", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Rebuild: pip.conf."
    )
    @click.option("--image", metavar="NAME", help="Registry and repository that the image must have.")
    @click.option("--no-registry", is_flag=True, help="Do not check the image and its signature.")
    @click.option("--no-remote", is_flag=True, help="Do not read the model from DVC, only from the image.")
    @signed_by
    def with_checks(
        signer: Signer,
        rebuild: bool,
        base: str | None,
        pip_config: Path | None,
        image: str | None,
        no_registry: bool,
        no_remote: bool,
        **others: Any,
    ) -> None:
        if no_remote and no_registry:
            raise click.UsageError("--no-remote and --no-registry: the model must be read from one of them")
        again = Rebuild(base, pip_config) if rebuild else None
        function(**others, checks=Checks(None if no_registry else signer, again, image, not no_remote))

    with_checks.__doc__ = function.__doc__
    return with_checks


@click.command(name="release")
@click.argument("stage")
@click.option("--branch", default="main", show_default=True, help="The default branch.")
@checks_options
def command(stage: str, branch: str, checks: Checks) -> None:
    """Trace a stage's release file back to the graph; the first check that fails is named."""
    for link, what in verify_release(stage, branch, checks):
        click.echo(f"{link:<16}{what}")


def verify_release(
    stage: str, branch: str = "main", checks: Checks = Checks(), proposed: Release | None = None
) -> Iterator[tuple[str, str]]:
    """Yield the name and a description of each check that passes.

    Args:
        branch: the default branch; with a remote, the remote's branch as of the last fetch.
        proposed: a release that is to be the stage's, in place of the one in the branch.

    Raises:
        OntimeError: a check fails; the message begins with its name.
    """
    with link_of("tag"):
        registry = read_registry()
    top = tip(branch)
    with link_of("release file"):
        release = proposed or released(stage, registry, top)
        if checks.image not in (None, release.image):
            raise OntimeError(f"{release.image}: not the project's image, {checks.image}")
    where = "proposed" if proposed else f"at {top[:SHORT]}"
    yield "release file", f"{path_of(stage)} {where}: {release.version}, as `ontime release` writes it"
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
    files = None
    if checks.remote:
        with link_of("model"):
            files = champion_files(release.commit)
        yield "model", f"{paths.CHAMPION}: {len(files)} files as dvc.lock has them"
        with link_of("manifest"):
            actual = model_sha256(files, registry.name)
            if actual != release.model_sha256:
                raise OntimeError(f"model.onnx has SHA-256 {actual}, the release file says {release.model_sha256}")
        yield "manifest", f"model.onnx has SHA-256 {actual}"
    if checks.signer is None:
        return
    yield from check_image(
        release, registry.name, with_tag(checks.signer, registry.name, release.version), checks.again, files
    )
    if checks.signer.public_key is not None and checks.again is None:
        raise OntimeError("layers: a key signs the model, not the image; add --rebuild, or --identity if it is signed")


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
