"""The champion's report in a browser: axe-core finds nothing, and it fits the screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Tab, axe, chromium

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with chromium() as browser:
        yield Tab(browser)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(tab: Tab, fork: Path, scheme: str) -> None:
    tab.screen(320, 640, ("prefers-color-scheme", scheme))
    tab.open((fork / "models" / "champion" / "report.html").as_uri())
    tab.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert tab.violations(axe()) == []
    assert tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
