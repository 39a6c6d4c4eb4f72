"""A test's object store is the one that its own variables name."""

import fsspec
import pytest

from tests.s3_server import forget_file_systems


@pytest.mark.parametrize("protocol", ["s3", "gs", "abfs"])
def test_no_file_system_is_kept_with_the_address_of_an_earlier_server(protocol: str) -> None:
    options = {"account_name": "storage"} if protocol == "abfs" else {}
    kept = fsspec.filesystem(protocol, **options)
    assert fsspec.filesystem(protocol, **options) is kept
    forget_file_systems()
    assert fsspec.filesystem(protocol, **options) is not kept
