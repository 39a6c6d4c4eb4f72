"""The registry: reads the artifact's annotated tags as versions and assignments, and creates new ones.

GTO reads the same tags. This module is stricter than GTO and refuses a lightweight tag, a stage that `.gto` does not
list, two versions on one commit, and a version that is not newer. A tagger chooses the time in a tag; so the order of
versions is held to the order of their commits, which nobody chooses afterwards.
"""

import functools
import time
from dataclasses import dataclass
from pathlib import Path

from gto.config import read_registry_config
from gto.constants import Action
from gto.exceptions import GTOException
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.release.tags import (
    PLAIN,
    Event,
    assigning,
    check_tag_name,
    check_version,
    is_newer,
    read_event,
    registering,
)
from ontime.repository.git import REMOTE, commit_of, git, is_ancestor, push, remote_hash, tip, tried

DVC_FILE, STAGES_FILE = Path("dvc.yaml"), Path(".gto")
SHORT = 12
"""Digits of a commit's hash in messages."""


@dataclass(frozen=True)
class Registry:
    """The artifact's tags, oldest first, and the stages that a version goes through, in their order."""

    name: str
    stages: tuple[str, ...]
    events: tuple[Event, ...]

    def registrations(self) -> list[Event]:
        """The tags that register, oldest first."""
        return [event for event in self.events if event.action is Action.REGISTER]

    def registration(self, version: str) -> Event | None:
        """The tag that registered a version, whether it has been withdrawn since or not."""
        return next((event for event in self.registrations() if event.version == version), None)

    def required(self, version: str) -> Event:
        """The tag of a version that may be deployed.

        Raises:
            OntimeError: it is malformed, not registered, or withdrawn (`gto deprecate`), alone or with the artifact.
        """
        check_version(version)
        self.check_active()
        event = self.registration(version)
        if event is None:
            known = [event.version for event in self.registrations()]
            raise OntimeError(f"{version}: not registered; known: {', '.join(known[-5:]) or 'none'}")
        if version in self._withdrawn():
            raise OntimeError(f"{version}: withdrawn by the tag {event.tag}!")
        if self.version_at(event.commit) != version:
            raise OntimeError(f"{version}: on the same commit as {self.version_at(event.commit)}; one of them is wrong")
        return event

    def withdrawal(self) -> Event | None:
        """The tag that withdrew the artifact with all its versions (`gto deprecate NAME`), while it is there."""
        return next((event for event in reversed(self.events) if event.action is Action.DEPRECATE), None)

    def check_active(self) -> None:
        """Refuse an artifact that was withdrawn as a whole."""
        event = self.withdrawal()
        if event:
            raise OntimeError(
                f"{self.name}: withdrawn with all versions by the tag {event.tag}; to undo that: "
                f"git tag --delete {event.tag}, and git push --delete {REMOTE} {event.tag} if it was pushed"
            )

    def may_run(self, version: str) -> bool:
        """Whether a version may be deployed."""
        try:
            self.required(version)
        except OntimeError:
            return False
        return True

    def version_at(self, commit: str) -> str | None:
        """The version that a commit was first registered as."""
        return next((event.version for event in self.registrations() if event.commit == commit), None)

    def version_of(self, event: Event) -> str:
        """The version that an event is about; an assignment's is the one of its commit."""
        return event.version or self.version_at(event.commit) or ""

    def stage_of(self, event: Event) -> str:
        """The stage that an event deploys to: a registration to the first."""
        return event.stage or self.stages[0]

    def assigned(self, stage: str) -> Event | None:
        """The assignment in force, as `gto show NAME#STAGE` finds it."""
        assignments: list[Event] = []
        if self.withdrawal():
            return None
        for event in self.events:
            if event.stage == stage and event.action is Action.ASSIGN:
                assignments.append(event)
            elif event.stage == stage and event.action is Action.UNASSIGN:
                assignments = [assignment for assignment in assignments if assignment.commit != event.commit]
        excluded = self._withdrawn() | {""}
        return next((event for event in reversed(assignments) if self.version_of(event) not in excluded), None)

    def wanted(self, stage: str) -> Event | None:
        """The tag that says what a stage should run: its assignment or, for the first stage, a later registration.

        A registration of a version below one that was there before says nothing.
        """
        candidates = [self.assigned(stage)]
        if stage == self.stages[0] and not self.withdrawal():
            withdrawn, highest = self._withdrawn(), ""
            for event in self.registrations():
                if not highest or is_newer(event.version, than=highest):
                    highest = event.version
                    candidates += [event] if event.version not in withdrawn else []
        return max(filter(None, candidates), key=_order, default=None)

    def deploying(self, version: str, stage: str) -> list[Event]:
        """The tags that said that a stage should run a version, oldest first."""
        actions = (Action.REGISTER, Action.ASSIGN)
        events = [event for event in self.events if event.action in actions and self.stage_of(event) == stage]
        return [event for event in events if self.version_of(event) == version]

    def previous_stage(self, stage: str) -> str | None:
        """The stage that a version must have run in before it may be assigned to this one.

        Raises:
            OntimeError: `.gto` does not list the stage.
        """
        if stage not in self.stages:
            raise OntimeError(f"{stage}: not a stage; {STAGES_FILE} lists {', '.join(self.stages)}")
        position = self.stages.index(stage)
        return self.stages[position - 1] if position else None

    def check_new(self, version: str, commit: str) -> None:
        """Refuse a version that exists, is not the newest, or whose commit is registered as another version."""
        check_version(version)
        self.check_active()
        known, other = self.registration(version), self.version_at(commit)
        if known is not None:
            raise OntimeError(f"{version}: registered already, on commit {known.commit[:SHORT]}")
        above = [event.version for event in self.registrations() if not is_newer(version, event.version)]
        if above:
            newest = functools.reduce(lambda one, two: two if is_newer(two, one) else one, above)
            raise OntimeError(f"{version}: not above {newest}, the newest version")
        if other is not None:
            raise OntimeError(f"{version}: commit {commit[:SHORT]} is registered as {other} already")

    def without(self, tag: str) -> "Registry":
        """The registry as it was before a tag was created."""
        return Registry(self.name, self.stages, self.events[: [event.tag for event in self.events].index(tag)])

    def check_order(self, registration: Event) -> None:
        """Refuse a version below another one whose commit its own is not before: its time was set back."""
        for other in self.registrations():
            if not is_newer(other.version, than=registration.version):
                continue
            if other.commit == registration.commit or not is_ancestor(registration.commit, of=other.commit):
                raise OntimeError(
                    f"{registration.version}: below {other.version}, whose commit {other.commit[:SHORT]} does not come "
                    f"after its own {registration.commit[:SHORT]}; register a version above {other.version}"
                )

    def _withdrawn(self) -> set[str]:
        return {event.version for event in self.events if event.action is Action.DEREGISTER}


def read_registry() -> Registry:
    """The registry of the checkout in the current folder."""
    name, stages = artifact_name(), read_stages()
    form = "%(refname:strip=2)%00%(objecttype)%00%(*objecttype)%00%(*objectname)%00%(taggerdate:unix)"
    events = []
    for line in git("for-each-ref", f"--format={form}", "refs/tags").split("\n"):
        tag, kind, target, commit, seconds = line.split("\0") if line else [""] * 5
        event = read_event(tag, name, commit, int(seconds or 0)) if (kind, target) == ("tag", "commit") else None
        events += [event] if event else []
    return Registry(name, stages, tuple(sorted(events, key=_order)))


def artifact_name() -> str:
    """Name of the artifact that `dvc.yaml` has at models/champion."""
    try:
        artifacts = YAML(typ="safe").load(DVC_FILE.read_text(encoding="utf-8"))["artifacts"]
        (name,) = [name for name, artifact in artifacts.items() if Path(artifact["path"]) == paths.CHAMPION]
    except FileNotFoundError:
        raise OntimeError(f"{DVC_FILE}: not found; run this in the repository's top folder") from None
    except (YAMLError, TypeError, KeyError, AttributeError, ValueError):
        raise OntimeError(f"{DVC_FILE}: no artifact with the path {paths.CHAMPION}") from None
    return _plain(str(name), DVC_FILE)


def read_stages() -> tuple[str, ...]:
    """The stages that `.gto` lists, in the order that a version goes through them."""
    if not STAGES_FILE.is_file():
        raise OntimeError(f"{STAGES_FILE}: not found; it lists the stages")
    try:
        stages = read_registry_config(str(STAGES_FILE)).stages
    except GTOException:
        raise OntimeError(f"{STAGES_FILE}: GTO cannot read it") from None
    if not stages:
        raise OntimeError(f"{STAGES_FILE}: lists no stages")
    return tuple(_plain(stage, STAGES_FILE) for stage in stages)


def _plain(name: str, path: Path) -> str:
    if not PLAIN.fullmatch(name):
        raise OntimeError(f"{path}: {name}: a name may have letters, digits, - and _ alone, as it is part of tags")
    return name


def check_merged(commit: str, branch: str, pushed: bool = False) -> None:
    """Refuse a commit that is not in the branch; with `pushed`, in the remote's."""
    local = None if pushed else commit_of(f"refs/heads/{branch}")
    if not any(is_ancestor(commit, of=top) for top in (tip(branch), local) if top):
        raise OntimeError(f"commit {commit[:SHORT]}: not in {branch}{f' at {REMOTE}; push it first' if pushed else ''}")


def resolve(tag: str, registry: Registry) -> Event:
    """The event of a tag that registers or assigns a version of the artifact that may be deployed.

    Raises:
        OntimeError: the tag is absent, lightweight, malformed, of another artifact, or names an unknown stage or a
            commit without a version.
    """
    tag = tag.removeprefix("refs/tags/")
    check_tag_name(tag, registry.name)
    kind = tried("cat-file", "-t", f"refs/tags/{tag}")
    if kind is None:
        raise OntimeError(f"{tag}: no such tag here; git fetch --tags")
    event = next((event for event in registry.events if event.tag == tag), None)
    if event is None:
        reason = "lightweight" if kind != "tag" else "of no commit"
        raise OntimeError(f"{tag}: {reason}; the registry's tags are annotated, made by `ontime release`")
    registry.previous_stage(registry.stage_of(event))
    if not registry.version_of(event):
        raise OntimeError(f"{tag}: no version is registered on its commit {event.commit[:SHORT]}")
    registry.required(registry.version_of(event))
    return event


def tag_registration(registry: Registry, version: str, commit: str, pushed: bool) -> str:
    """Create the tag that registers a commit as a version, and return its name."""
    tag = registering(registry.name, version)
    _make(registry, tag, commit, f"Register {registry.name} {version}", pushed)
    return tag


def tag_assignment(registry: Registry, version: str, stage: str, pushed: bool) -> str:
    """Create the tag that assigns a version to a stage, numbered across all stages as in GTO, and return its name."""
    tag = assigning(registry.name, stage, max((event.number for event in registry.events), default=0) + 1)
    _make(registry, tag, registry.required(version).commit, f"Assign {registry.name} {version} to {stage}", pushed)
    return tag


def push_tag(tag: str) -> None:
    """Push a tag; one that the remote refuses is removed here too."""
    refused = push(f"refs/tags/{tag}:refs/tags/{tag}")
    if refused is not None:
        git("tag", "--delete", tag)
        raise OntimeError(f"{tag}: not pushed, and not kept here: {refused}")


def is_pushed(tag: str) -> bool:
    """Whether the remote has a tag."""
    return remote_hash(f"refs/tags/{tag}") is not None


def _make(registry: Registry, tag: str, commit: str, message: str, pushed: bool) -> None:
    # GTO orders tags by their time in seconds, so no two tags may have the same time
    moment = max([int(time.time()), *(event.time + 1 for event in registry.events)])
    git("tag", "--annotate", f"--message={message}", tag, commit, GIT_COMMITTER_DATE=f"@{moment} +0000")
    if pushed:
        push_tag(tag)


def _order(event: Event) -> tuple[int, int]:
    return event.time, event.number
