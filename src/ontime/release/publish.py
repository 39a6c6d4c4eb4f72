"""Writes a release file, then commits it alone on top of the remote's branch, whatever is checked out, and pushes it.

A local ref, `refs/ontime/releases/<stage>`, records the commit of the branch at the time of writing. So a release of
the same stage that somebody else published since is detected, and the second of two concurrent releases is refused.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ontime.common.errors import OntimeError
from ontime.common.files import write_text
from ontime.model_deployment.inference.signing import Signer
from ontime.release import release_file
from ontime.release.commit_checks import champion_files, model_sha256
from ontime.release.registry import SHORT, Registry, check_merged, read_registry
from ontime.release.release_file import Release, path_of, ran, render
from ontime.release.signer_options import with_tag
from ontime.release.tags import Event
from ontime.repository.git import (
    REMOTE,
    blob_of,
    fetch,
    git,
    is_ancestor,
    push,
    remote_commit,
    tip,
    tried,
)

ATTEMPTS = 2


@dataclass(frozen=True)
class ImageCheck:
    """How the image of a version's first release is checked; a later release has the same image."""

    signer: Signer | None = None
    """Who must have signed model and image; None leaves out the signatures."""
    registry: bool = True
    """Whether it is checked at all."""


def write(
    stage: str,
    version: str | None,
    digest: str | None,
    image: str | None,
    branch: str,
    registry: Registry,
    check: ImageCheck = ImageCheck(),
) -> str:
    """Write the release file of a stage.

    Args:
        version: must be the version that the registry assigns to the stage; None takes that version.
        digest: of the version's image; only needed if neither the previous stage nor an earlier release has it.
        image: registry and repository; None takes those of the earlier release.

    Returns:
        A line that says what was done.

    Raises:
        OntimeError: another version is assigned, the digest is missing or differs, the image is not the commit's, or
            the file was edited.
    """
    registration = _assigned(stage, version, registry, branch)
    version = registration.version
    base, current = tip(branch), release_file.read(stage)
    earlier = _earlier(stage, registration, registry, branch)
    if earlier is None and registry.previous_stage(stage):
        raise OntimeError(f"{version}: never ran in {registry.previous_stage(stage)}, so its digest is unknown")
    if earlier is None and digest is None:
        raise OntimeError(f"{version}: never ran in {stage}; name its image's digest with --digest")
    if earlier is None and image is None and current is None:
        raise OntimeError(f"{stage}: nothing was released there yet; name the image with --image")
    if earlier is not None and digest not in (None, earlier.digest):
        raise OntimeError(f"{version}: released as {earlier.digest} before; a version has one image")
    known = earlier or current
    release = release_file.check(
        Release(
            version=version,
            commit=registration.commit,
            model_sha256=earlier.model_sha256 if earlier else _model_sha256(registration.commit, registry.name),
            image=image or (known.image if known else ""),
            digest=earlier.digest if earlier else str(digest),
        )
    )
    if earlier is None:
        _check_image(release, registry, check)
    changed = release != current
    if changed:
        write_text(path_of(stage), render(release))
    # after the file: if this is killed in between, the ref is too old and publishing is refused
    git("update-ref", _ref(stage), base)
    return f"{path_of(stage)}: {version}{'' if changed else ', unchanged'}"


def publish(stage: str, branch: str, to_branch: str | None, check: ImageCheck = ImageCheck()) -> str:
    """Commit the release file on top of the remote's branch and push it.

    Args:
        to_branch: another branch to push to, for a pull request.

    Returns:
        A line that says what was done.

    Raises:
        OntimeError: the file is not what `write` writes for the current registry, the image is not the commit's,
            somebody else has published a release of the stage meanwhile, or the remote refuses the push.
    """
    path = path_of(stage)
    release = release_file.read(stage)
    if release is None:
        raise OntimeError(f"{path}: contains no release; write one with `ontime release write`")
    base = tried("rev-parse", "--quiet", "--verify", _ref(stage))
    if base is None:
        raise OntimeError(f"{path}: not written in this checkout; run `ontime release write {stage}`")
    content = git("hash-object", "-w", "--stdin", content=render(release))
    for _ in range(ATTEMPTS):
        fetch(branch)
        registry, top = read_registry(), tip(branch)
        if check_release(stage, release, registry, branch) is None:
            _check_image(release, registry, check)
        if blob_of(top, path) == content:
            follow(branch, path)
            return f"{stage}: {release.version} is on {branch} already"
        if blob_of(top, path) != blob_of(base, path):
            raise OntimeError(
                f"{stage}: {_other(stage, branch)} since this file was written; "
                f"run `ontime release write {stage}` again, or keep that release"
            )
        commit = make_commit(top, path, content, message(stage, release, registry))
        if to_branch:
            return f"{stage}: {release.version} {_propose(commit, path, to_branch, branch)}"
        refused = push(f"{commit}:refs/heads/{branch}")
        if refused is None:
            follow(branch, path)
            return f"{stage}: {release.version} published on {branch}, commit {commit[:SHORT]}"
        fetch(branch)
        if tip(branch) == top:
            raise OntimeError(f"{branch}: {REMOTE} refused it: {refused}")
    raise OntimeError(f"{branch}: changed again while {stage} was published; run the command again")


def _propose(commit: str, path: Path, to_branch: str, branch: str) -> str:
    """Push a commit to a new branch, unless the branch exists with the same change alone, and say what was done."""
    existing = remote_commit(f"refs/heads/{to_branch}")
    if existing is None:
        refused = push(f"{commit}:refs/heads/{to_branch}")
        if refused is not None:
            raise OntimeError(f"{to_branch}: {REMOTE} refused it: {refused}")
        return f"published on {to_branch}, commit {commit[:SHORT]}"
    entries = {git("ls-tree", one, "--", path.as_posix()) for one in (existing, commit)}
    if not _changes_only(existing, path, branch) or len(entries) > 1:
        raise OntimeError(
            f"{to_branch}: exists already at {REMOTE} with other content, on commit {existing[:SHORT]}; "
            f"find out who pushed it, then remove it: git push {REMOTE} --delete refs/heads/{to_branch}"
        )
    return f"is on {to_branch} already"


def _changes_only(commit: str, path: Path, branch: str) -> bool:
    """Whether a commit is a commit of the branch with another content of one file, and no more."""
    parents = git("rev-list", "--parents", "--max-count=1", commit).split()[1:]
    if len(parents) != 1 or not is_ancestor(parents[0], of=tip(branch)):
        return False
    return git("diff-tree", "-r", "-z", "--name-only", parents[0], commit) == f"{path.as_posix()}\0"


def make_commit(parent: str, path: Path, content: str, text: str) -> str:
    """Create a commit that differs from its parent in one file, without touching the checkout or its index."""
    with tempfile.TemporaryDirectory(prefix="ontime-release-") as folder:
        index = str(Path(folder) / "index")
        git("read-tree", parent, GIT_INDEX_FILE=index)
        git("update-index", "--add", "--cacheinfo", f"100644,{content},{path.as_posix()}", GIT_INDEX_FILE=index)
        tree = git("write-tree", GIT_INDEX_FILE=index)
    signed = ["-S"] if tried("config", "--type=bool", "commit.gpgSign") == "true" else []
    return git("commit-tree", tree, "-p", parent, *signed, content=text)


def message(stage: str, release: Release, registry: Registry) -> str:
    """The release's commit message."""
    event = registry.wanted(stage)
    lines = [f"Tag: {event.tag if event else ''}", f"Image: {release.image}@{release.digest}"]
    return "\n".join([f"Release {registry.name} {release.version} to {stage}", "", *lines, ""])


def follow(branch: str, path: Path) -> None:
    """Fast-forward the checkout to the remote's branch, if that branch is checked out and nothing prevents it."""
    if tried("symbolic-ref", "--quiet", "HEAD") == f"refs/heads/{branch}" and is_ancestor("HEAD", tip(branch)):
        # a staged file with the same content does not block the merge
        tried("add", "--", str(path))
        tried("merge", "--quiet", "--ff-only", tip(branch))


def _assigned(stage: str, version: str | None, registry: Registry, branch: str) -> Event:
    """The registration of the version that a stage should run; another `version`, or an unmerged commit, is refused."""
    registry.previous_stage(stage)
    registry.check_active()
    if version is not None:
        registry.required(version)
    event = registry.wanted(stage)
    if event is None:
        name = version or "VERSION"
        raise OntimeError(f"{stage}: nothing is assigned to it; run `ontime release assign {name} {stage}`")
    assigned = registry.version_of(event)
    if version not in (None, assigned):
        raise OntimeError(f"{stage}: should run {assigned} by {event.tag}, not {version}")
    registration = registry.required(assigned)
    check_merged(registration.commit, branch)
    return registration


def _earlier(stage: str, registration: Event, registry: Registry, branch: str) -> Release | None:
    """The release of the version in the previous stage or, for the first stage, its earlier release there."""
    for written in ran(registry.previous_stage(stage) or stage, branch, registration.version):
        if written.release and written.release.commit == registration.commit:
            return written.release
    return None


def check_release(stage: str, release: Release, registry: Registry, branch: str) -> Release | None:
    """Refuse a release that is not assigned to the stage, or differs from the version's earlier release.

    Returns:
        The earlier release, if there is one.
    """
    registration = _assigned(stage, release.version, registry, branch)
    if release.commit != registration.commit:
        raise OntimeError(f"{path_of(stage)}: commit {release.commit[:SHORT]} is not that of {registration.tag}")
    earlier = _earlier(stage, registration, registry, branch)
    if earlier is None and registry.previous_stage(stage):
        raise OntimeError(f"{release.version}: never ran in {registry.previous_stage(stage)}")
    if earlier and (earlier.digest, earlier.model_sha256) != (release.digest, release.model_sha256):
        raise OntimeError(f"{path_of(stage)}: not the image and model that {release.version} was released with before")
    return earlier


def _check_image(release: Release, registry: Registry, check: ImageCheck) -> None:
    """Refuse an image that is not the one of the release's commit and model."""
    if not check.registry:
        return
    # only this needs the registry's client
    from ontime.release.image_check import require_image

    require_image(release, registry.name, with_tag(check.signer, registry.name, release.version))


def _model_sha256(commit: str, name: str) -> str:
    return model_sha256(champion_files(commit), name)


def _other(stage: str, branch: str) -> str:
    """What somebody else changed."""
    newest = release_file.history(stage, branch)[:1]
    if newest and newest[0].release:
        return f"{newest[0].release.version} was published in commit {newest[0].commit[:SHORT]}"
    return "its file was changed by hand"


def _ref(stage: str) -> str:
    return f"refs/ontime/releases/{stage}"
