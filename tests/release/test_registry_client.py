"""What a registry lists is taken whole or not at all."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ontime.common.errors import OntimeError
from ontime.release.registry_client import Repository
from tests.releases import StandIn
from tests.servers import http_server

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"


@contextmanager
def registry(pages: list[list[Any]], **statuses: int) -> Iterator[Repository]:
    """A registry that lists tags page by page, and answers for a tag with its status if it is not 200."""

    class Handler(StandIn):
        def do_GET(self) -> None:  # noqa: N802 - the base class chooses the name
            path, _, query = self.path.partition("?")
            name = path.rpartition("/")[2]
            if path.endswith("/tags/list"):
                place = int(query.partition("last=")[2] or 0)
                more = {"Link": f'<{path}?n=2&last={place + 1}>; rel="next"'} if place + 1 < len(pages) else {}
                self._answer(200, json.dumps({"name": "team/ontime", "tags": pages[place]}).encode(), more)
            else:
                self._answer(statuses.get(name, 200), MANIFEST, {})

    with http_server(Handler) as host:
        yield Repository(f"{host}/team/ontime")


def test_the_tags_of_every_page_are_listed() -> None:
    with registry([["v1.0.0", "v1.1.0"], ["v1.2.0", "v2.0.0"], ["v2.1.0"]]) as repository:
        assert repository.tagged() == dict.fromkeys(["v1.0.0", "v1.1.0", "v1.2.0", "v2.0.0", "v2.1.0"], DIGEST)


def test_a_list_that_goes_round_ends() -> None:
    with registry([["v1.0.0"], ["v1.0.0"], ["v1.0.0"]]) as repository:
        assert repository.tagged() == {"v1.0.0": DIGEST}


def test_a_tag_that_is_gone_is_left_out_and_one_that_is_not_given_is_an_error() -> None:
    with registry([["gone", "there"]], gone=404) as repository:
        assert repository.tagged() == {"there": DIGEST}
    with (
        registry([["there", "broken"]], broken=500) as repository,
        pytest.raises(OntimeError, match=r"^tag broken: the registry answers with status 500$"),
    ):
        repository.tagged()


@pytest.mark.parametrize("name", ["../other/manifests/v1", "a b", "", "-a", 7, None])
def test_a_name_that_no_tag_has_is_refused(name: object) -> None:
    with (
        registry([["v1.0.0", name]]) as repository,
        pytest.raises(OntimeError, match=r"^tags: the registry lists a name that is not a valid tag$"),
    ):
        repository.tagged()
