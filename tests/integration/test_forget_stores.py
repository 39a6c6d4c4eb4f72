"""Earlier versions of DVC's objects on Google's and Azure's stores are read, told and removed, as on S3."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import fsspec
import pytest

from ontime.privacy.places import REMOTE, dvc_objects, dvc_stores
from ontime.privacy.search import Search, names_of
from ontime.privacy.stored import Stored
from ontime.privacy.versions import remove_objects, search_objects
from tests.checkouts import git, run
from tests.object_stores import BUCKET, STORES, AzureObjects, GoogleObjects, Store
from tests.releases import md5
from tests.remote import key_of
from tests.servers import JsonHandler, http_server

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("stores")]
PERSON = "ada-7311"
SEARCH = Search(names_of([PERSON]), "person", ["visit"])
THEIRS, OTHERS = f"visit,person\n1,{PERSON}\n".encode(), b"visit,person\n2,bob\n"


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store that keeps earlier versions, the remote of a checkout in which the test is."""
    with STORES[request.param](tmp_path) as made:
        top = tmp_path / "checkout"
        top.mkdir()
        git(top, "init", "--quiet", "--initial-branch=main")
        run("dvc", "init", "--quiet", cwd=top)
        run("dvc", "remote", "add", "--quiet", "--default", "models", made.address, cwd=top)
        made.point(top)
        monkeypatch.chdir(top)
        if isinstance(made.objects, GoogleObjects):
            made.objects.ask("PATCH", f"/storage/v1/b/{BUCKET}", json.dumps({"versioning": {"enabled": True}}).encode())
        yield made


def keep_version(store: Store, key: str) -> None:
    """An earlier version stays: Google's store keeps one by itself, of Azure's here there are snapshots."""
    if isinstance(store.objects, AzureObjects):
        store.objects.container.get_blob_client(key).create_snapshot()


def listed() -> list[tuple[str, bool, bytes]]:
    """What the remote has: name, whether it is the latest version, content."""
    with ExitStack() as stack:
        ((_, stored),) = [one for one in dvc_stores(stack) if one[0] == REMOTE]
        return sorted((one.name, one.latest, stored.read(one)) for one in stored.objects())


def test_an_earlier_version_is_read_and_the_others_stay_when_it_is_removed(store: Store) -> None:
    name, other = md5(THEIRS), md5(OTHERS)
    objects = store.objects
    # replaced by bytes without them, as whoever may write can do
    objects.write(name, THEIRS)
    keep_version(store, key_of(name))
    objects.write(name, OTHERS)
    objects.write(other, OTHERS)
    keep_version(store, key_of(other))
    path, kept = (key_of(one).removeprefix("dvc/") for one in (name, other))
    # a snapshot is of the content that an object has
    of_other = [(kept, False, OTHERS)] if isinstance(objects, AzureObjects) else []
    assert listed() == sorted([(path, False, THEIRS), (path, True, OTHERS), (kept, True, OTHERS), *of_other])
    assert search_objects(dvc_objects(), SEARCH).objects == {name}
    if isinstance(objects, GoogleObjects):
        # this server removes no generation that it is asked to; see the next test
        return
    assert remove_objects([name], []) == ({REMOTE: 2}, [])
    assert listed() == sorted([(kept, True, OTHERS), *of_other])
    assert not search_objects(dvc_objects(), SEARCH).objects


class Generations(JsonHandler):
    """Stands in for Google's storage: it has versions, page by page, and removes a generation that is named."""

    def __init__(self, kept: list[str], *arguments: Any) -> None:
        self.kept = kept
        super().__init__(*arguments)

    def respond(self, content: Any) -> tuple[int, Any]:
        """As Google answers."""
        del content
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if self.command == "DELETE":
            if query["generation"] not in self.kept:
                return 404, {}
            self.kept.remove(query["generation"])
            return 200, {}
        assert (query["versions"], query["prefix"]) == ("true", "dvc/")
        begin = int(query.get("pageToken", 0))
        page = {"items": [version_of(one, self.kept) for one in self.kept[begin : begin + 1]]}
        return 200, page | ({"nextPageToken": str(begin + 1)} if begin + 1 < len(self.kept) else {})

    def do_DELETE(self) -> None:  # noqa: N802 - the base class names it so
        """Answer."""
        self.do_GET()


def version_of(generation: str, kept: list[str]) -> dict[str, str]:
    """What Google says of a generation; the last one is the latest."""
    found = {"name": "dvc/one", "generation": generation, "timeCreated": "2024-01-01T00:00:00Z"}
    return found if generation == kept[-1] else {**found, "timeDeleted": "2024-01-02T00:00:00Z"}


def test_each_generation_of_googles_store_is_removed_by_its_number() -> None:
    kept = ["1", "2", "3"]
    with http_server(lambda *arguments: Generations(kept, *arguments)) as host:
        filesystem = fsspec.filesystem("gs", token="anon", endpoint_url=f"http://{host}")  # noqa: S106 - no token
        stored = Stored(filesystem, f"{BUCKET}/dvc", "here")
        found = stored.objects()
        assert [(one.name, one.version, one.latest) for one in found] == [
            ("one", "1", False),
            ("one", "2", False),
            ("one", "3", True),
        ]
        stored.remove(found[0])
        stored.remove(found[2])
        # one that is gone by now is no fault
        stored.remove(found[0])
    assert kept == ["2"]


def test_what_was_deleted_by_others_is_found_where_the_store_keeps_it(store: Store) -> None:
    if isinstance(store.objects, AzureObjects):
        pytest.skip("Azurite keeps no version of a deleted blob")
    name = store.objects.add(THEIRS)
    store.objects.delete(key_of(name))
    assert search_objects(dvc_objects(), SEARCH).objects == {name}
