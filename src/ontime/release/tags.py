"""The format of the registry's tags, a subset of GTO's.

`NAME@v1.2.0` registers its commit as a version; `NAME#production#3` assigns the version of its commit to a stage. GTO
(https://github.com/iterative/gto) has more: `NAME@v1.2.0!` withdraws a version, `NAME#production!#4` unassigns it.
GTO also takes `/` in names, which a tag here never has: it would leave the patterns of `.github/rulesets/`.
"""

import re
from dataclasses import dataclass

from gto.constants import ACTION, COUNTER, NAME, STAGE, VERSION, Action
from gto.tag import parse_name
from gto.versions import SemVer

from ontime.common.errors import OntimeError

PLAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?")
"""Name of an artifact or a stage: GTO's, without `/`."""


@dataclass(frozen=True)
class Event:
    """One annotated tag of the registry."""

    tag: str
    action: Action
    commit: str
    time: int
    """Seconds since 1970, the tagger's."""
    number: int = 0
    version: str = ""
    stage: str = ""


def read_event(tag: str, name: str, commit: str, time: int) -> Event | None:
    """The event of an annotated tag; None if it is not a GTO tag of this artifact."""
    parsed = {} if "/" in tag else parse_name(tag, raise_on_fail=False)
    # GTO reads NAME@created too, which says nothing
    if parsed.get(NAME) != name or ACTION not in parsed:
        return None
    number, version, stage = parsed.get(COUNTER, 0), parsed.get(VERSION, ""), parsed.get(STAGE, "")
    return Event(tag, parsed[ACTION], commit, time, number, version, stage)


def check_tag_name(tag: str, name: str) -> None:
    """Refuse a tag name that neither registers nor assigns a version of the artifact in the expected format."""
    event = read_event(tag, name, "", 0)
    if event is None and "/" not in tag and parse_name(tag, raise_on_fail=False):
        raise OntimeError(f"{tag}: of another artifact; this repository releases {name}")
    if event is None or tag not in (registering(name, event.version), assigning(name, event.stage, event.number)):
        raise OntimeError(f"{tag}: neither {name}@vMAJOR.MINOR.PATCH nor {name}#STAGE#NUMBER")
    if event.version:
        check_version(event.version)


def registering(name: str, version: str) -> str:
    """Name of the tag that registers a version."""
    return f"{name}@{version}"


def assigning(name: str, stage: str, number: int) -> str:
    """Name of the tag that assigns a stage."""
    return f"{name}#{stage}#{number}"


def is_version(version: str) -> bool:
    """Whether text is v and a semantic version, without build metadata, which an image tag cannot contain."""
    return str(parse_name(f"name@{version}", raise_on_fail=False).get(VERSION)) == version and "+" not in version


def check_version(version: str) -> None:
    """Refuse a malformed version."""
    if not is_version(version):
        raise OntimeError(f"{version}: not a version; expected vMAJOR.MINOR.PATCH, as in v1.2.0")


def is_newer(version: str, than: str) -> bool:
    """Whether a version is newer than another one."""
    return bool(SemVer(version) > SemVer(than))
