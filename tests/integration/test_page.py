"""The page in a real browser: what it shows is what the model says."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ontime.common.files import read_json
from tests.services import Running, start

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]


@pytest.fixture(scope="module")
def running(signed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = start(signed, tmp_path_factory.mktemp("log") / "service.log", DRAIN_SECONDS="0")
    yield found
    found.process.terminate()
    assert found.process.wait(timeout=20) == 0


class Texts(HTMLParser):
    """Text of each element with an id, and of each table cell in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.cells: list[str] = []
        self.text = ""
        self._element = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._element = "td" if tag == "td" else dict(attrs).get("id") or ""
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._element = ""

    def handle_data(self, data: str) -> None:
        if self._element == "td":
            self.cells[-1] += data
        elif self._element:
            self.found[self._element] = self.found.get(self._element, "") + data


def open_page(address: str, profile: Path) -> Texts:
    """The page after its script has run."""
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            f"--user-data-dir={profile}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            address,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    texts = Texts()
    texts.text = done.stdout
    texts.feed(done.stdout)
    return texts


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def test_the_page_shows_the_probability_the_decision_and_what_moved_it(
    running: Running, signed: Path, tmp_path: Path
) -> None:
    manifest = read_json(signed / "model" / "manifest.json")
    typical = {feature["name"]: feature["typical"] for feature in manifest["features"]}
    asked: dict[str, Any] = {"weight": 9.5, "fragile": 1.0, "depot": "north"}
    record = typical | asked
    without = [record | {name: typical[name]} for name in asked if record[name] != typical[name]]
    answer = httpx2.post(
        f"{running.url}/v1/models/parcels:predict", json={"instances": [record, typical, *without]}
    ).json()["predictions"]
    page = open_page(f"{running.url}/?weight=9.5&fragile=1&depot=north", tmp_path / "profile")
    assert page.found.get("error", "") == ""
    assert page.found["probability"] == percent(answer[0])
    assert page.found["typical"] == percent(answer[1])
    word = "Announce" if answer[0] >= manifest["threshold"] else "Do not announce"
    assert page.found["decision"].startswith(word)
    moved = sorted((abs(answer[0] - other) for other in answer[2:]), reverse=True)[:3]
    shown = [float(re.sub(r"[^0-9.]", "", cell)) for cell in page.cells[1::2]]
    assert shown == pytest.approx([100 * value for value in moved], abs=0.06)
    assert any(cell == "weight: 9.5" for cell in page.cells)


def test_the_page_shows_a_refusal(running: Running, tmp_path: Path) -> None:
    page = open_page(f"{running.url}/?weight=1e39", tmp_path / "profile")
    assert page.found["error"] == "weight: row 0: expected a finite float32 number"


def test_the_api_page_lists_the_routes(running: Running, tmp_path: Path) -> None:
    text = open_page(f"{running.url}/docs", tmp_path / "profile").text
    assert "/v2/models/{name}/infer" in re.sub("<[^>]*>|\u200b", "", text)
