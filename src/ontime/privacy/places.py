"""Every place that can have a copy of somebody's rows, and every object there, earlier versions too.

The checkout, git's history, DVC's cache and remote, the prediction log, labels, and images of a registry. Objects are
read one at a time.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import fsspec

from ontime.common import paths
from ontime.common.params import load_section
from ontime.datasets.content import without_secrets
from ontime.datasets.source import Data
from ontime.monitoring.store import Store
from ontime.privacy.record import FOLDER
from ontime.privacy.rows import SOURCE, queried
from ontime.privacy.settings import Privacy
from ontime.privacy.stored import Stored
from ontime.privacy.table_versions import versions_of
from ontime.privacy.tables import read_bytes
from ontime.release.registry_client import Repository
from ontime.release.registry_image import read_image
from ontime.repository.dvc import cache_folder
from ontime.repository.git import every_file
from ontime.repository.remote import object_name, remote_folder

CHECKOUT, HISTORY, CACHE, REMOTE, LOG, REGISTRY = (
    "checkout",
    "git history",
    "DVC cache",
    "DVC remote",
    "prediction log",
    "registry",
)
FOLDERS = (Path("data"), Path("models"), Path("monitoring"), Path("predictions"))
"""Where the graph, monitoring and batch scoring write."""
OTHER_TAGS = "sha256-"
"""How the tags of signatures begin."""


@dataclass(frozen=True)
class Held:
    """One object: where it is, what it is called there, and its bytes."""

    place: str
    name: str
    content: bytes


def every_object(privacy: Privacy) -> Iterator[Held]:
    """All objects of all places.

    Raises:
        OntimeError: a place does not answer; what is not read is not proved.
    """
    yield from _checkout(privacy)
    for name, content in every_file():
        yield Held(HISTORY, name, content)
    yield from dvc_objects()
    if privacy.log:
        stored = Stored(*Store(privacy.log).place, privacy.log)
        for one in stored.objects():
            yield Held(LOG, str(one), stored.read(one))
    for repository in privacy.images:
        for name, digest in tagged_images(repository).items():
            for path, content in read_image(repository, digest).files.items():
                yield Held(REGISTRY, f"{repository}:{name} {path}", content)


def dvc_objects() -> Iterator[Held]:
    """The objects of DVC's cache and remote; `name` is an object's MD5, or the path of what is no object."""
    with ExitStack() as stack:
        for place, stored in dvc_stores(stack):
            for one in stored.objects():
                name = object_name(one.name)
                yield Held(place, name if one.latest else f"{name} version {one.version}", stored.read(one))


def dvc_stores(stack: ExitStack) -> list[tuple[str, Stored]]:
    """DVC's cache and, where there is one, its remote."""
    cache = cache_folder().parents[1]
    found = [(CACHE, Stored(fsspec.filesystem("file"), str(cache), str(cache)))]
    if remote := stack.enter_context(remote_folder()):
        found.append((REMOTE, Stored(*remote)))
    return found


def tagged_images(repository: str) -> dict[str, str]:
    """Digest of each image by its tag."""
    tagged = Repository(repository).tagged()
    return {tag: digest for tag, digest in tagged.items() if not tag.startswith(OTHER_TAGS)}


def _stored_table(address: str) -> Iterator[Held]:
    versions = list(versions_of(address))
    if not versions:
        yield Held(CHECKOUT, without_secrets(address), read_bytes(address))
    for stored, one in versions:
        name = without_secrets(address) if one.latest else f"{without_secrets(address)} version {one.version}"
        yield Held(CHECKOUT, name, stored.read(one))


def _checkout(privacy: Privacy) -> Iterator[Held]:
    source = load_section("data", Data).source
    files = {path for folder in FOLDERS for path in folder.rglob("*") if path.is_file()}
    for address in (source, privacy.labels, privacy.monitoring):
        if not address or Path(address) in files:
            continue
        if "://" in address:
            yield from _stored_table(address)
        elif Path(address).is_dir():
            files |= {path for path in Path(address).rglob("*") if path.is_file()}
        elif Path(address).is_file():
            files.add(Path(address))
    if source.endswith(".sql"):
        yield Held(SOURCE, source, queried(source))
    for path in sorted(files):
        if FOLDER not in path.parents and PurePosixPath(path).parts[:2] != paths.SCHEMA.parts:
            yield Held(CHECKOUT, str(path), path.read_bytes())
