"""The built site: its links lead somewhere, it asks no other host for anything, and every person can use it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Tab, axe, chromium
from tests.checkouts import TOP, run

pytestmark = pytest.mark.rehearsal
ASSET = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?(?:src|href)=\"([^\"]+)\"")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, in a folder of the test."""
    run("make", "setup-docs", cwd=TOP)
    folder = tmp_path_factory.mktemp("site") / "site"
    run("mkdocs", "build", "--strict", "--site-dir", str(folder), cwd=TOP)
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> list[Path]:
    """Its pages but the one for an address that does not exist, which only a server shows."""
    return sorted(path for path in site.rglob("*.html") if path.name != "404.html")


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """A tab of Chromium."""
    with chromium() as browser:
        yield Tab(browser)


def test_a_broken_link_stops_the_build(site: Path, tmp_path: Path) -> None:
    assert site.is_dir()
    copied = tmp_path / "checkout"
    for name in ("docs", "data", "src"):
        shutil.copytree(TOP / name, copied / name, ignore=shutil.ignore_patterns("raw", "processed", "__pycache__"))
    for name in ("mkdocs.yml", "params.yaml", "Makefile"):
        shutil.copy(TOP / name, copied / name)
    for link in ("how-to/nowhere.md", "security.md#nowhere"):
        page = copied / "docs" / "fork.md"
        before = page.read_text()
        page.write_text(f"{before}\n[nowhere]({link})\n")
        done = run("mkdocs", "build", "--strict", cwd=copied, check=False)
        assert done.returncode == 1
        assert link in done.stderr
        page.write_text(before)
    assert run("mkdocs", "build", "--strict", cwd=copied).returncode == 0


def test_every_link_within_the_site_leads_to_a_page_and_a_place(pages: list[Path]) -> None:
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    places = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in texts.items()}
    seen = 0
    for page, text in texts.items():
        for link in re.findall(r'<a\b[^>]*?href="([^"]+)"', text):
            if "://" in link or link == ".":
                continue
            name, _, place = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            assert target.is_file(), f"{page.name}: {link}"
            assert not place or place in places[target], f"{page.name}: {link}"
            seen += 1
    assert seen > 100


def test_no_page_names_an_asset_of_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        found = ASSET.findall(page.read_text(encoding="utf-8"))
        assert found
        assert not [link for link in found if "//" in link], page.name
    for style in site.rglob("*.css"):
        assert "//" not in "".join(
            re.findall(r"url\(([^)]*)\)", re.sub(r"url\(\"?data:[^)]*\)", "", style.read_text()))
        )


def test_no_page_asks_another_host_for_anything_and_every_person_can_use_it(pages: list[Path], tab: Tab) -> None:
    rules = axe()
    tab.screen(1280, 900, ("prefers-color-scheme", "light"))
    for page in pages:
        tab.open(f"file://{page}", "document.querySelector('.md-search') !== null")
        asked = tab.run("performance.getEntriesByType('resource').map((one) => one.name)")
        assert not [name for name in asked if not name.startswith("file:")], page.name
        assert not tab.violations(rules), page.name


@pytest.mark.parametrize("name", ["security.html", "monitoring.html", "reference/parameters.html"])
def test_a_keyboard_reaches_a_wide_table_on_a_telephone(site: Path, tab: Tab, name: str) -> None:
    tab.screen(390, 800, ("prefers-color-scheme", "light"))
    tab.open(f"file://{site}/{name}", "document.querySelector('.md-typeset__scrollwrap') !== null")
    wider = "[...document.querySelectorAll('.md-typeset__scrollwrap')].some((one) => one.scrollWidth > one.clientWidth)"
    assert tab.run(wider)
    assert not tab.violations(axe())


def test_the_search_answers_without_a_server(site: Path, tab: Tab) -> None:
    tab.open(f"file://{site}/how-to/release.html", "document.querySelector('.md-search__input') !== null")
    tab.run("document.querySelector('.md-search__input').focus()")
    tab.write("canary")
    links = tab.wait("[...document.querySelectorAll('.md-search-result__link')].map((one) => one.href)")
    assert any(link.split("?")[0].endswith("/how-to/cluster.html") for link in links)


def test_a_diagram_is_drawn_and_said_in_words(site: Path, tab: Tab) -> None:
    tab.open(f"file://{site}/index.html")
    assert tab.run("document.querySelectorAll('.diagram svg .node').length") > 5
    assert "production" in tab.run("document.querySelector('.diagram').getAttribute('aria-label')")
    assert tab.run("document.querySelector('.diagram svg').getBoundingClientRect().width") > 100
