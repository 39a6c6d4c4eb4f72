"""Earlier versions of the raw table and of the labels, where they are in a bucket that keeps versions."""

from collections.abc import Iterator, Mapping

from ontime.datasets.content import without_secrets
from ontime.monitoring.store import Store
from ontime.privacy.search import Search
from ontime.privacy.settings import Privacy
from ontime.privacy.stored import Stored, StoredObject

TABLE_VERSIONS = "versions of tables"


def versions_of(address: str) -> Iterator[tuple[Stored, StoredObject]]:
    """Each version of a file at an address, the latest too; none of a folder of this machine or a web server.

    Raises:
        OntimeError: the store does not answer.
    """
    if "://" not in address or address.startswith(("http://", "https://")):
        return
    folder, _, name = address.rpartition("/")
    stored = Stored(*Store(folder).place, without_secrets(address))
    for one in stored.objects(name):
        if one.name == name:
            yield stored, one


def versions_with(source: str, privacy: Privacy, search: Search) -> dict[str, list[str]]:
    """Versions that have somebody, by the table's address."""
    found: dict[str, list[str]] = {}
    for address in filter(None, (source, privacy.labels)):
        for stored, one in versions_of(address):
            if one.version and search.found_in(stored.read(one)):
                found.setdefault(address, []).append(one.version)
    return found


def remove_versions(due: Mapping[str, list[str]]) -> dict[str, int]:
    """Remove versions that are no longer the latest; their number, if there were any."""
    count = 0
    for address, versions in due.items():
        # the latest one is the table itself, without them by now
        for stored, one in list(versions_of(address)):
            if not one.latest and one.version in versions:
                stored.remove(one)
                count += 1
    return {TABLE_VERSIONS: count} if count else {}
