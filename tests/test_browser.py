"""Tests of pages: skipped where there is no browser, and patient with a page that leads to another."""

from typing import Any

import pytest

from tests.browser import NavigatedError, Tab, chromium
from tests.servers import JsonHandler, http_server


class Pages(JsonHandler):
    """Two pages, one a text, the other a number."""

    def respond(self, content: Any) -> tuple[int, Any]:
        assert content is None
        return 200, "first" if self.path == "/" else 2


def test_without_chromium_a_test_is_skipped_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    skipped = pytest.raises(
        pytest.skip.Exception, match=r"^chromium is not installed \(.*: apt-get install chromium\)$"
    )
    with skipped, chromium():
        pass


@pytest.mark.integration
def test_a_script_is_run_again_when_the_tab_went_to_another_page_meanwhile() -> None:
    leave = "(location.href = '/second', new Promise(() => {}))"
    with http_server(Pages) as host, chromium() as browser:
        tab = Tab(browser)
        tab.open(f"http://{host}/")
        with pytest.raises(NavigatedError, match="navigated or closed"):
            tab.run(leave)
        tab.open(f"http://{host}/")
        assert tab.wait(f"document.body.innerText === '2' || {leave}")
