"""Older versions of data and models that have somebody's rows: which objects, and their removal when it is due.

An object is removed from DVC's cache and remote, there with its earlier versions, if no kept version needs it: neither
the checkout, nor the last commit, nor the remote's main branch.
"""

import hashlib
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ontime.common.errors import OntimeError
from ontime.privacy.places import Held, dvc_stores
from ontime.privacy.search import Search
from ontime.privacy.trainings import Hashes
from ontime.repository.dvc import cache_folder
from ontime.repository.git import commit_of, content_of, git
from ontime.repository.lock_file import LOCK, Stages, committed_lock, outputs, read_lock
from ontime.repository.objects import LISTING, MD5, read_listing
from ontime.repository.pull import all_outputs, fetch_listings, wanted_files
from ontime.repository.remote import object_name

MAIN = "refs/remotes/origin/main"


@dataclass
class Found:
    """Objects that have somebody in them, the listings of folders among all objects, and the SHA-256 of each."""

    objects: set[str] = field(default_factory=set)
    listings: dict[str, dict[str, str]] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    def add(self, one: Held, search: Search) -> bool:
        """Read an object of DVC; whether it has somebody in it."""
        md5 = one.name.partition(" ")[0]
        self.sha256[md5] = hashlib.sha256(one.content).hexdigest()
        if md5.endswith(LISTING):
            try:
                self.listings[md5] = read_listing(one.content, md5)
            except OntimeError:
                # what is no listing is searched as anything else
                self.listings.setdefault(md5, {})
        if search.found_in(one.content):
            self.objects.add(md5)
        return md5 in self.objects

    def hashes(self) -> Hashes:
        """By which the training rows of a run are recognised."""
        theirs = {*self.objects, *derived_from(self)}
        return Hashes(set(self.sha256.values()), {self.sha256[md5] for md5 in theirs & self.sha256.keys()})


def search_objects(objects: Iterable[Held], search: Search) -> Found:
    """Read every object."""
    found = Found()
    for one in objects:
        found.add(one, search)
    return found


def derived_from(found: Found) -> list[str]:
    """MD5s of the other outputs of each lock that has an object that was found: models too."""
    objects: set[str] = set()
    for stages in _every_lock():
        made = {one for one in outputs(stages).values() if MD5.fullmatch(one)}
        made |= {md5 for one in made for md5 in found.listings.get(one, {}).values()}
        if made & found.objects:
            objects |= made
    return sorted(objects - found.objects)


def _every_lock() -> Iterable[Stages]:
    if LOCK.exists():
        yield read_lock()
    for commit in git("rev-list", "--all", "--", str(LOCK)).split():
        yield committed_lock(commit)


def needed() -> set[str]:
    """MD5s of the objects that the kept versions need.

    Raises:
        OntimeError: the listing of a folder is nowhere, so it is not known what the version needs.
    """
    found = set()
    locks = [read_lock() if LOCK.exists() else {}]
    locks += [committed_lock(commit) for commit in ("HEAD", MAIN) if commit_of(commit)]
    for stages in locks:
        wanted = all_outputs(stages)
        fetch_listings(wanted)
        try:
            found |= {*wanted.values(), *wanted_files(wanted, cache_folder()).values()}
        except FileNotFoundError as error:
            raise OntimeError(
                f"{error.filename}: neither in DVC's cache nor in its remote; nothing was removed"
            ) from None
    return found


def remove_objects(due: Collection[str], kept: Collection[str]) -> tuple[dict[str, int], list[str]]:
    """Remove objects from DVC's cache and remote.

    Returns:
        Number of objects and versions that were removed by place, and the MD5s of those that a kept version needs.
    """
    wanted = set(due) - set(kept)
    counts: dict[str, int] = {}
    with ExitStack() as stack:
        for place, stored in dvc_stores(stack):
            for one in stored.objects():
                if object_name(one.name) in wanted:
                    stored.remove(one)
                    counts[place] = counts.get(place, 0) + 1
    return counts, sorted(set(due) & set(kept))


def released_digests(folder: Path) -> set[str]:
    """Digests that the release files of the checkout or of the last commit name."""
    found: set[str] = set()
    for path in folder.rglob("*.yaml"):
        for text in (path.read_text(encoding="utf-8"), content_of("HEAD", path) or ""):
            found |= {word for word in text.replace('"', " ").split() if word.startswith("sha256:")}
    return found
