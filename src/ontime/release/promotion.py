"""Registers versions, assigns them to stages and rolls back, after checking that each is allowed."""

from ontime.common.errors import OntimeError
from ontime.release.commit_checks import check_lock, check_remote
from ontime.release.registry import (
    SHORT,
    Registry,
    check_merged,
    is_pushed,
    push_tag,
    read_registry,
    resolve,
    tag_assignment,
    tag_registration,
)
from ontime.release.release_file import ran
from ontime.release.tags import Event, check_version, is_newer
from ontime.repository.git import REMOTE, commit_of, fetch, git


def register(version: str, revision: str, branch: str, pushed: bool, remote: bool) -> str:
    """Register a commit as a version.

    Args:
        branch: the default branch, which must contain the commit; if `pushed`, the remote's branch.
        pushed: push the tag too.
        remote: check that the DVC remote has the commit's outputs.

    Returns:
        A line that says what was done.

    Raises:
        OntimeError: the commit cannot be registered, with the reason; no tag was created.
    """
    check_version(version)
    if pushed:
        fetch(branch)
    registry = read_registry()
    commit = commit_of(revision)
    if commit is None:
        raise OntimeError(f"--rev {revision}: no such commit")
    known = registry.registration(version)
    if pushed and known is not None and known.commit == commit and not is_pushed(known.tag):
        push_tag(known.tag)
        return f"{known.tag}: existed already, now pushed"
    registry.check_new(version, commit)
    if revision == "HEAD":
        check_clean()
    check_commit(commit, branch, pushed, remote)
    tag = tag_registration(registry, version, commit, pushed)
    return f"{tag}: commit {commit[:SHORT]}{_next(tag, pushed)}"


def assign(version: str, stage: str, branch: str, pushed: bool) -> str:
    """Assign a version to a stage.

    Returns:
        A line that says what was done.

    Raises:
        OntimeError: the version may not run there, with the reason; no tag was created.
    """
    check_version(version)
    if pushed:
        fetch(branch)
    registry = read_registry()
    registry.previous_stage(stage)
    check_merged(registry.required(version).commit, branch, pushed)
    now = registry.assigned(stage)
    if now is not None and registry.version_of(now) == version:
        if pushed and not is_pushed(now.tag):
            push_tag(now.tag)
            return f"{now.tag}: existed already, now pushed"
        return f"{stage}: {version} is assigned already ({now.tag})"
    check_ran_before(version, stage, branch, registry)
    tag = tag_assignment(registry, version, stage, pushed)
    return f"{tag}: {version}{_next(tag, pushed)}"


def roll_back(stage: str, version: str | None, branch: str, pushed: bool) -> str:
    """Assign the named version, or the last older one that the stage ran; returns and raises as `assign`."""
    if version is not None:
        check_version(version)
    if pushed:
        fetch(branch)
    return assign(older(stage, version, branch, read_registry()), stage, branch, pushed)


def older(stage: str, version: str | None, branch: str, registry: Registry) -> str:
    """The version to roll back to: the named one, if it ran in the stage, or the last older one that ran there.

    Raises:
        OntimeError: there is none.
    """
    registry.previous_stage(stage)
    registry.check_active()
    past = [written.release.version for written in ran(stage, branch) if written.release]
    if version is not None:
        registry.required(version)
        if version not in past:
            raise OntimeError(f"{version}: never ran in {stage}; it ran {', '.join(dict.fromkeys(past)) or 'nothing'}")
        return version
    event = registry.wanted(stage)
    if event is None:
        raise OntimeError(f"{stage}: nothing is assigned to it")
    now = registry.version_of(event)
    candidates = [name for name in past if is_newer(now, than=name) and registry.may_run(name)]
    if not candidates:
        raise OntimeError(f"{stage}: ran no version that is older than {now}")
    return candidates[0]


def check_tag(tag: str, branch: str, remote: bool, commit: str | None = None) -> tuple[Registry, Event]:
    """Check a pushed tag by the rules of `register` and `assign`.

    Args:
        commit: the one that the tag was on when it was pushed.

    Raises:
        OntimeError: `register` or `assign` would have refused it or it was moved, with the reason.
    """
    registry = read_registry()
    event = resolve(tag, registry)
    if commit not in (None, event.commit):
        raise OntimeError(f"{event.tag}: moved to commit {event.commit[:SHORT]} from {str(commit)[:SHORT]}")
    check_merged(event.commit, branch)
    version, stage = registry.version_of(event), registry.stage_of(event)
    if event.version:
        registry.without(event.tag).check_new(version, event.commit)
        registry.check_order(event)
        check_commit(event.commit, branch, pushed=False, remote=remote)
    else:
        check_ran_before(version, stage, branch, registry)
    return registry, event


def check_clean() -> None:
    """Refuse a checkout with uncommitted changes."""
    changed = git("status", "--porcelain", "--untracked-files=normal").splitlines()
    if changed:
        raise OntimeError(f"{changed[0][3:]}: not committed; commit or remove it, or name a commit with --rev")


def check_commit(commit: str, branch: str, pushed: bool, remote: bool) -> None:
    """Refuse a commit that is not in the branch, has a stale lock, or has outputs missing in the DVC remote."""
    check_merged(commit, branch, pushed)
    check_lock(commit)
    if remote:
        check_remote(commit)


def check_ran_before(version: str, stage: str, branch: str, registry: Registry) -> None:
    """Refuse a version that the previous stage never ran."""
    earlier = registry.previous_stage(stage)
    if earlier and not ran(earlier, branch, version):
        raise OntimeError(f"{version}: never ran in {earlier} according to {branch}; release it there first")


def _next(tag: str, pushed: bool) -> str:
    return ", pushed" if pushed else f"; push it: git push {REMOTE} '{tag}'"
