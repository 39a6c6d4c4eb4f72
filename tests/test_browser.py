"""A machine without a browser skips what needs one."""

import pytest

from tests.browser import chromium


def test_without_chromium_a_test_is_skipped_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    skipped = pytest.raises(
        pytest.skip.Exception, match=r"^chromium is not installed \(.*: apt-get install chromium\)$"
    )
    with skipped, chromium():
        pass
