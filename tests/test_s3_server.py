"""A test's object store is the one that its own variables name."""

import fsspec
import pytest

from tests.s3_server import forget_file_systems


@pytest.mark.parametrize(
    ("protocol", "options"), [("s3", {}), ("gs", {"token": "anon"}), ("abfs", {"account_name": "storage"})]
)
def test_no_file_system_is_kept_with_the_address_of_an_earlier_server(protocol: str, options: dict[str, str]) -> None:
    kept = fsspec.filesystem(protocol, **options)
    assert fsspec.filesystem(protocol, **options) is kept
    forget_file_systems()
    assert fsspec.filesystem(protocol, **options) is not kept
