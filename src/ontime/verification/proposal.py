"""Checks a proposed change of a release file, read from git as data: nothing of the change is checked out or runs.

In: the branch's commit and the change's. Out: nothing to check where no release file differs; otherwise the change must
be one release file alone, for what the registry assigns to its stage, and pass everything that `ontime verify release`
checks.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

import click

from ontime.common.errors import OntimeError
from ontime.release.image_check import link_of
from ontime.release.publish import check_release
from ontime.release.registry import SHORT, read_registry
from ontime.release.release_file import FOLDER, Release, parse, path_of
from ontime.repository.git import commit_of, content_of, git
from ontime.verification.release import Checks, checks_options, verify_release

PLAIN_FILE = "100644"


@click.command(name="release-file")
@click.argument("onto", metavar="BASE")
@click.argument("head")
@click.option("--branch", default="main", show_default=True, help="The default branch.")
@checks_options
def command(onto: str, head: str, branch: str, checks: Checks) -> None:
    """Check the release file in a change from commit BASE of the branch to commit HEAD, which is not checked out."""
    for link, what in verify_proposal(onto, head, branch, checks):
        click.echo(f"{link:<16}{what}")


def verify_proposal(base: str, head: str, branch: str, checks: Checks) -> Iterator[tuple[str, str]]:
    """Yield the name and a description of each check that passes.

    Raises:
        OntimeError: a check fails; the message begins with its name.
    """
    with link_of("change"):
        stage, said = changed_stage(base, head)
    yield "change", said
    if stage is None:
        return
    with link_of("release file"):
        release = _proposed(stage, head)
        registry = read_registry()
        check_release(stage, release, registry, branch)
    yield from verify_release(stage, branch, checks, release)


def changed_stage(base: str, head: str) -> tuple[str | None, str]:
    """The stage whose release file a change has, and what the change is; None where it has no release file.

    Raises:
        OntimeError: it changes something else beside a release file, or that is not a plain file.
    """
    for revision in (base, head):
        if commit_of(revision) is None:
            raise OntimeError(f"{revision}: not a commit here; fetch it")
    # three points: what the change did since it left the branch
    listed = git("diff", "--no-renames", "--name-only", "-z", f"{base}...{head}").split("\0")
    changed = [name for name in listed if name]
    releases = [name for name in changed if PurePosixPath(name).is_relative_to(FOLDER.as_posix())]
    if not releases:
        return None, f"{len(changed)} files, none of them a release file"
    if len(changed) > 1:
        other = next((name for name in changed if name not in releases), releases[-1])
        raise OntimeError(f"{releases[0]}: a release is a change of one file alone, this changes {other} too")
    stage = PurePosixPath(releases[0]).parent.name
    if releases[0] != path_of(stage).as_posix():
        raise OntimeError(f"{releases[0]}: not the release file of a stage")
    mode = git("ls-tree", "--format=%(objectmode)", head, "--", releases[0])
    if mode != PLAIN_FILE:
        raise OntimeError(f"{releases[0]}: {'deleted' if not mode else f'mode {mode}, not a plain file'}")
    return stage, f"{releases[0]} of {head[:SHORT]} alone"


def _proposed(stage: str, head: str) -> Release:
    path = path_of(stage)
    release = parse(content_of(head, path) or "", path)
    if release is None:
        raise OntimeError(f"{path}: takes back every release")
    return release
