"""Register versions, assign them to stages, publish them, and show what each stage runs.

A release is two tags and a commit. The tag `NAME@v1.2.0` registers a commit as a version, the tag `NAME#production#3`
assigns a version to a stage, and the cluster applies the release file that is committed to the branch. A rollback is a
release of an older version. No command rewrites history or accesses the cluster.
"""

import json

import click

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.signing import Signer
from ontime.release import mirror, overview, promotion, publish
from ontime.release.publish import ImageCheck
from ontime.release.registry import Registry, read_registry, resolve
from ontime.release.signer_options import signer_options
from ontime.repository.git import REMOTE

on_branch = click.option("--branch", default="main", show_default=True, help="The default branch.")
by_tag = click.option(
    "--tag", metavar="TAG", help="Take stage and version from this tag, in a workflow that the tag started."
)
push_option = click.option("--push", is_flag=True, help=f"Push the tag to {REMOTE}; by default it stays local.")
no_remote_option = click.option("--no-remote", is_flag=True, help="Skip the check of the DVC remote.")
no_registry_option = click.option("--no-registry", is_flag=True, help="Skip the check of the image in its registry.")
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group(name="release")
def command() -> None:
    """Manage versions, stages and release files with tags and commits."""


@command.command(name="register")
@click.argument("version")
@click.option("--rev", default="HEAD", show_default=True, help="The commit.")
@on_branch
@push_option
@no_remote_option
def register_command(version: str, rev: str, branch: str, push: bool, no_remote: bool) -> None:
    """Register a commit as a version, with an annotated tag NAME@VERSION."""
    click.echo(promotion.register(version, rev, branch, push, remote=not no_remote))


@command.command(name="assign")
@click.argument("version")
@click.argument("stage")
@on_branch
@push_option
def assign_command(version: str, stage: str, branch: str, push: bool) -> None:
    """Assign a version to a stage, with an annotated tag NAME#STAGE#NUMBER."""
    click.echo(promotion.assign(version, stage, branch, push))


@command.command(name="rollback")
@click.argument("stage")
@click.option("--to", "version", metavar="VERSION", help="A version that ran there (default: the last older one).")
@on_branch
@push_option
def rollback_command(stage: str, version: str | None, branch: str, push: bool) -> None:
    """Assign to a stage the last older version that it ran."""
    click.echo(promotion.roll_back(stage, version, branch, push))


@command.command(name="check")
@click.argument("tag")
@on_branch
@no_remote_option
@click.option("--commit", metavar="HASH", help="The commit that the tag was on when it was pushed.")
def check_command(tag: str, branch: str, no_remote: bool, commit: str | None) -> None:
    """Check a pushed tag, and print name=value lines for the outputs of a workflow."""
    registry, event = promotion.check_tag(tag, branch, remote=not no_remote, commit=commit)
    click.echo(f"name={registry.name}")
    click.echo(f"version={registry.version_of(event)}")
    click.echo(f"stage={registry.stage_of(event)}")
    click.echo(f"commit={event.commit}")


@command.command(name="write")
@click.argument("stage", required=False)
@click.argument("version", required=False)
@by_tag
@click.option("--digest", help="Digest of the version's image, sha256:…; needed for its first release.")
@click.option("--image", help="Registry and repository of the image (default: as in the last release).")
@on_branch
@no_registry_option
@signer_options(None)
def write_command(
    stage: str | None,
    version: str | None,
    tag: str | None,
    digest: str | None,
    image: str | None,
    branch: str,
    no_registry: bool,
    signer: Signer | None,
) -> None:
    """Write the release file of a stage; at a version's first release, check its image."""
    registry = read_registry()
    stage, version = choose(stage, version, tag, registry)
    click.echo(publish.write(stage, version, digest, image, branch, registry, ImageCheck(signer, not no_registry)))


@command.command(name="publish")
@click.argument("stage", required=False)
@by_tag
@on_branch
@click.option("--to-branch", metavar="NAME", help="Push to this branch instead, for a pull request.")
@no_registry_option
@signer_options(None)
def publish_command(
    stage: str | None, tag: str | None, branch: str, to_branch: str | None, no_registry: bool, signer: Signer | None
) -> None:
    """Commit only the release file of a stage on top of the remote's branch, and push it."""
    stage, _ = choose(stage, None, tag, read_registry())
    click.echo(publish.publish(stage, branch, to_branch, ImageCheck(signer, not no_registry)))


@command.command(name="status")
@on_branch
@json_option
def status_command(branch: str, as_json: bool) -> None:
    """Show the version that each stage should run and the version in its release file."""
    status = overview.status(read_registry(), branch)
    if as_json:
        click.echo(json.dumps(status, indent=2))
        return
    click.echo("\n".join(overview.status_lines(status)))


@command.command(name="history")
@click.argument("stage", required=False)
@on_branch
@json_option
def history_command(stage: str | None, branch: str, as_json: bool) -> None:
    """List the releases of a stage, or of all, newest first."""
    registry = read_registry()
    if stage is None:
        rows = overview.all_releases(registry, branch)
    else:
        registry.previous_stage(stage)
        rows = overview.releases(stage, registry, branch)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for line in overview.history_lines(rows):
        click.echo(line)


@command.command(name="mirror")
def mirror_command() -> None:
    """Copy versions and stages to MLflow's model registry; nothing is read back from it."""
    changes = mirror.mirror(read_registry())
    if changes is not None:
        click.echo(f"{changes} changes in MLflow's registry")


def choose(stage: str | None, version: str | None, tag: str | None, registry: Registry) -> tuple[str, str | None]:
    """The stage and, if it is given, the version: from the arguments or from a tag."""
    if tag:
        event = resolve(tag, registry)
        tagged = (registry.stage_of(event), registry.version_of(event))
        if stage not in (None, tagged[0]) or version not in (None, tagged[1]):
            raise OntimeError(f"{tag}: says {tagged[1]} for {tagged[0]}")
        return tagged
    if stage is None:
        raise click.UsageError("name the stage, or the tag with --tag")
    registry.previous_stage(stage)
    return stage, version
