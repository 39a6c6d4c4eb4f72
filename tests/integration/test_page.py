"""The pages in a real browser: what they show is what the model says, and every person can use them."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import numpy as np
import pytest

from ontime.common.files import read_json, sha256
from ontime.model_deployment.inference.page import PAGE
from ontime.model_deployment.inference.signing import sign
from tests.browser import Tab, axe, chromium
from tests.servers import http_server
from tests.services import Running, start

pytestmark = pytest.mark.integration

ANSWERED = "document.getElementById('why')?.hidden === false"
REFUSED = "document.getElementById('problem')?.textContent"
LIGHT, DARK = ("prefers-color-scheme", "light"), ("prefers-color-scheme", "dark")
HTML = "<img src=x onerror=document.title=1>"
Serve = Callable[[Callable[[Any], Any]], Running]


@pytest.fixture(scope="module")
def serve(signed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A function that serves the fork's champion with a changed page, signed again."""
    started: list[Running] = []

    def changed(change: Callable[[Any], Any]) -> Running:
        top = tmp_path_factory.mktemp("changed")
        model = Path(shutil.copytree(signed / "model", top / "model"))
        names = (PAGE, "golden.json", "vocabulary.json", "manifest.json")
        files = change({name: read_json(model / name) for name in names})
        for name, content in files.items():
            if name != "manifest.json":
                (model / name).write_text(json.dumps(content))
                size = (model / name).stat().st_size
                files["manifest.json"]["files"][name] = {"sha256": sha256(model / name), "size": size}
        (model / "manifest.json").write_text(json.dumps(files["manifest.json"]))
        sign(model, top / "model.sig", signed / "model.key")
        shutil.copyfile(signed / "model.pub", top / "model.pub")
        started.append(start(top, top / "service.log", DRAIN_SECONDS="0"))
        return started[-1]

    yield changed
    for running in started:
        running.process.terminate()
    assert [running.process.wait(timeout=20) for running in started] == [0] * len(started)


@pytest.fixture(scope="module")
def running(serve: Serve) -> Running:
    """The champion as it is, but for what follows from what, a clock, a unit and words of its own."""
    return serve(with_everything)


def with_everything(files: Any) -> Any:
    """The fork's page with each thing that a page can have."""
    page = files[PAGE]
    weight, fragile, depot, _ = page["features"]
    weight |= {"title": "Weight", "unit": "kilograms", "description": "With its box."}
    fragile |= {"title": "Collected", "kind": "clock", "choices": [], "candidates": [0, 0.5, 1], "minimum": 0}
    depot["choices"] = [{"value": value, "label": value.title()} for value in ("east", "north", "south")]
    page["asked"] = ["depot", "weight", "fragile"]
    rows = [["east", "day"], ["north", "night"]]
    page["follows"] = [{"feature": "service", "of": ["depot"], "values": rows}]
    page["texts"] |= {"question": "Will it be late?", "event": "Write to them.", "no_event": "Say nothing."}
    return files


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """A tab on a wide screen."""
    with chromium() as browser:
        tab = Tab(browser)
        tab.screen(1280, 900, LIGHT)
        yield tab


def about(running: Running) -> Any:
    """What the page is built from."""
    return httpx2.get(f"{running.url}/page.json").json()


def followed(start: dict[str, Any], **given: Any) -> dict[str, Any]:
    """A start with other values, and with what follows from them by the rule of `with_everything`."""
    record = start | given
    rule = {"east": "day", "north": "night"} if record["depot"] != start["depot"] else {}
    return record | ({"service": rule[record["depot"]]} if record["depot"] in rule else {})


def ask(running: Running, *records: dict[str, Any]) -> list[float]:
    """The model's probabilities."""
    answer = httpx2.post(f"{running.url}/v1/models/parcels:predict", json={"instances": records})
    found: list[float] = answer.json()["predictions"]
    return found


def shown(tab: Tab) -> float:
    """The probability on the page."""
    return float(tab.text("#probability").removesuffix(" %")) / 100


def field(tab: Tab, title: str) -> str:
    """The selector of the input whose label begins with a title; each label is tied to one."""
    label = f"[...document.querySelectorAll('label')].find((one) => one.textContent.startsWith({json.dumps(title)}))"
    identity = tab.run(f"{label}.htmlFor")
    assert tab.run(f"document.querySelector('#{identity}') !== null")
    return f"#{identity}"


def fill(tab: Tab, selector: str, value: str) -> None:
    """Set an input as a person does, and wait for the answer."""
    before = tab.run("history.length + location.href")
    tab.run(
        f"(() => {{ const input = document.querySelector({json.dumps(selector)}); input.value = {json.dumps(value)};"
        "input.dispatchEvent(new Event('input', {bubbles: true}));"
        "input.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    tab.wait(f"history.length + location.href !== {json.dumps(before)} || ({REFUSED})")


def test_the_page_says_what_the_model_says_in_the_forks_words(tab: Tab, running: Running) -> None:
    tab.open(f"{running.url}/?weight=9.5&depot=north", ANSWERED)
    data = about(running)
    record = followed(data["starts"][0], weight=9.5, depot="north")
    (probability,) = ask(running, record)
    assert tab.text("h1") == tab.run("document.title") == "Will it be late?"
    assert shown(tab) == pytest.approx(probability, abs=6e-4)
    assert tab.text("#decision") == ("Write to them." if probability >= data["threshold"] else "Say nothing.")
    assert tab.text("#threshold") == f"The decision changes at {100 * data['threshold']:.1f} %."
    assert tab.run("document.getElementById('follows').textContent") == f"Service: {record['service']}"
    assert tab.text("#model") == "Model parcels, version 1.2.3."


def test_values_are_shown_as_what_they_are(tab: Tab, running: Running) -> None:
    tab.open(f"{running.url}/?fragile=837", ANSWERED)
    clock = field(tab, "Collected")
    assert tab.run(f"document.querySelector('{clock}').type") == "time"
    assert tab.run(f"document.querySelector('{clock}').value") == "13:57"
    assert [text.strip() for text in tab.texts("label .unit")] == ["(kilograms)"]
    assert "With its box." in tab.texts(".help")
    assert tab.texts(f"{field(tab, 'Depot')} option") == ["East", "North", "South", "not known"]
    data = about(running)
    assert shown(tab) == pytest.approx(ask(running, data["starts"][0] | {"fragile": 837})[0], abs=6e-4)
    low, high = (
        tab.run(f"Number(document.querySelector('{field(tab, 'Weight')}').{bound})") for bound in ("min", "max")
    )
    assert (low, high) == pytest.approx([data["features"][0][bound] for bound in ("minimum", "maximum")], rel=1e-5)


def test_a_boolean_of_a_fork_is_yes_or_no(tab: Tab, serve: Serve) -> None:
    tab.open(serve(lambda files: files).url, ANSWERED)
    assert tab.texts(f"{field(tab, 'Fragile')} option") == ["no", "yes", "not known"]
    assert "parcels" not in tab.text("h1")
    assert tab.text("h1") == "Will late be yes?"


def test_what_was_never_seen_is_said_and_what_follows_stays(tab: Tab, running: Running) -> None:
    tab.open(f"{running.url}/?depot=south#example-1", ANSWERED)
    start = about(running)["starts"][1]
    assert start["depot"] != "south"
    assert tab.text("#unseen").startswith(
        f"The model has never seen this: Depot South. Unchanged: Service {start['service']}"
    )
    assert shown(tab) == pytest.approx(ask(running, start | {"depot": "south"})[0], abs=6e-4)


def test_every_example_is_a_golden_record(tab: Tab, running: Running, signed: Path) -> None:
    golden = read_json(signed / "model" / "golden.json")
    starts = about(running)["starts"]
    for number, record in enumerate(starts[1:], start=1):
        expected = golden["probabilities"][golden["records"].index(record)]
        tab.open(f"{running.url}/#example-{number}", ANSWERED)
        assert shown(tab) == pytest.approx(expected, abs=6e-4)
    assert len(tab.texts("#start option")) == len(starts) > 4
    assert len({json.dumps(record) for record in starts}) > 4


def contributions(running: Running, record: dict[str, Any], typical: dict[str, Any]) -> tuple[float, bool, Any]:
    """What moved a record's probability: its margin, whether that is log-odds, and a contribution by feature."""
    answer = httpx2.post(f"{running.url}/v1/models/parcels:explain", json={"instances": [record]})
    if answer.status_code == 200:
        (found,) = answer.json()["explanations"]
        return found["margin"], found["scale"] == "log-odds", found["contributions"]
    changed = [name for name in record if record[name] != typical[name]]
    probability, *others = ask(running, record, *(record | {name: typical[name]} for name in changed))
    return probability, False, {name: probability - other for name, other in zip(changed, others, strict=True)}


def test_bars_are_what_moves_the_probability_with_what_follows(tab: Tab, running: Running) -> None:
    tab.open(f"{running.url}/?weight=9.5&depot=north&fragile=1", ANSWERED)
    typical = about(running)["starts"][0]
    margin, log_odds, moved = contributions(running, followed(typical, weight=9.5, depot="north", fragile=1), typical)
    moved["depot"] = moved.get("depot", 0) + moved.pop("service", 0)
    points = [
        100 * (1 / (1 + np.exp(-margin)) - 1 / (1 + np.exp(value - margin)) if log_odds else value)
        for value in moved.values()
    ]
    expected = sorted((value for value in points if abs(value) >= 0.05), key=abs, reverse=True)[:3]
    found = [
        float(number) * (1 if verb == "raises" else -1)
        for verb, number in re.findall(r"(raises|lowers) it by ([0-9.]+) percentage points", tab.text("#reasons"))
    ]
    assert found == pytest.approx(expected, abs=0.06)
    widths = tab.run("[...document.querySelectorAll('.fill')].map((fill) => fill.getBoundingClientRect().width)")
    assert np.array(widths) / widths[0] == pytest.approx(np.abs(expected) / abs(expected[0]), abs=0.03)
    assert tab.texts("#reasons li")[0].splitlines()[0] in ("Weight: 9.5 kilograms", "Depot: North", "Collected: 00:01")


def test_each_value_that_changes_the_decision_does_and_is_the_nearest(tab: Tab, running: Running) -> None:
    data = about(running)
    tab.open(f"{running.url}/?weight=9.5&depot=east", ANSWERED)
    record = followed(data["starts"][0], weight=9.5, depot="east")
    decided = ask(running, record)[0] >= data["threshold"]
    candidates = data["features"][0]["candidates"]
    answers = ask(running, *(record | {"weight": value} for value in candidates))
    flipping = [
        value for value, answer in zip(candidates, answers, strict=True) if (answer >= data["threshold"]) != decided
    ]
    (sentence,) = [text for text in tab.texts("#flips li") if text.startswith("Weight: ")]
    assert flipping
    nearest = min(flipping, key=lambda value: abs(value - 9.5))
    told = re.fullmatch(r"Weight: ([0-9.]+) kilograms instead of 9\.5 kilograms\.", sentence)
    assert told
    assert float(told[1]) == pytest.approx(nearest, rel=6e-3)
    others = [text for text in tab.texts("#flips li") if "Weight" not in text]
    assert all(re.search(r" instead of |: no other value alone changes the decision\.$", text) for text in others)


def test_a_change_is_answered_kept_in_the_address_and_found_again(tab: Tab, running: Running) -> None:
    tab.open(f"{running.url}/#example-2", ANSWERED)
    fill(tab, field(tab, "Weight"), "7.25")
    fill(tab, field(tab, "Collected"), "09:10")
    address = tab.run("location.pathname + location.search + location.hash")
    assert address == "/?weight=7.25&fragile=550#example-2"
    before = shown(tab)
    tab.open(f"{running.url}{address}", ANSWERED)
    assert shown(tab) == before
    assert tab.run(f"document.querySelector('{field(tab, 'Collected')}').value") == "09:10"
    fill(tab, "#start", "0")
    assert tab.run("location.pathname + location.search + location.hash") == "/"


def test_what_the_service_refuses_is_shown_beside_its_field(tab: Tab, running: Running) -> None:
    tab.open(f"{running.url}/?weight=1e39", REFUSED)
    weight = field(tab, "Weight")
    assert tab.text("#problem") == "Weight: expected a finite float32 number"
    assert tab.run(f"document.querySelector('{weight}').getAttribute('aria-invalid')") == "true"
    (problem, note, helps) = tab.run(
        f"document.querySelector('{weight}').getAttribute('aria-describedby').split(' ')"
        ".map((id) => document.getElementById(id).textContent)"
    )
    assert (problem, helps) == ("expected a finite float32 number", "With its box.")
    assert note.startswith("The model has only seen ")
    assert tab.text("#decision") == ""
    fill(tab, weight, "2")
    tab.wait(ANSWERED)
    assert tab.text("#problem") == ""
    assert tab.run(f"document.querySelector('{weight}').hasAttribute('aria-invalid')") is False


def test_a_missing_value_that_the_model_needs_is_asked_for(tab: Tab, serve: Serve) -> None:
    def needed(files: Any) -> Any:
        files[PAGE]["features"][0]["may_be_missing"] = False
        return files

    tab.open(f"{serve(needed).url}/?weight=", REFUSED)
    assert tab.text("#problem") == "Weight: A value is needed. Enter a number."


def test_a_service_that_is_gone_is_said(tab: Tab, running: Running) -> None:
    tab.open(running.url, ANSWERED)
    tab.call("Network.enable")
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    tab.call("Network.emulateNetworkConditions", offline=True, **offline)
    fill(tab, field(tab, "Weight"), "3")
    assert tab.text("#problem") == "The service does not answer. Try again in a moment."
    tab.call("Network.emulateNetworkConditions", offline=False, **offline)
    fill(tab, field(tab, "Weight"), "4")
    tab.wait(f"{ANSWERED} && !({REFUSED})")


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize(
    ("path", "ready"),
    [
        ("/?weight=9.5&depot=south&fragile=1#example-1", ANSWERED),
        ("/?weight=1e39", REFUSED),
        ("/card", "document.querySelector('dl')"),
    ],
    ids=["answer", "refusal", "card"],
)
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    tab: Tab, running: Running, scheme: tuple[str, str], width: int, path: str, ready: str
) -> None:
    tab.screen(width, 640, scheme)
    tab.open(f"{running.url}{path}", ready)
    tab.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    sideways = tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    background = tab.run("getComputedStyle(document.body).backgroundColor")
    found = tab.violations(axe())
    tab.screen(1280, 900, LIGHT)
    assert found == []
    assert sideways == 0
    assert (background == "rgb(255, 255, 255)") == (scheme == LIGHT)


def test_every_control_is_reached_by_keyboard_and_shows_the_focus(tab: Tab, running: Running) -> None:
    tab.open(running.url, ANSWERED)
    controls = tab.run("document.querySelectorAll('select, input, summary, a').length")
    seen = []
    for _ in range(2 * controls):
        tab.press("Tab")
        if tab.run("document.activeElement === document.body"):
            break
        style = tab.run("getComputedStyle(document.activeElement).outlineStyle")
        seen.append(tab.run("document.activeElement.id || document.activeElement.textContent"))
        assert style == "solid", seen[-1]
    # the parts of a time are one control
    assert len(dict.fromkeys(seen)) == controls


def test_a_question_is_asked_by_keyboard_alone(tab: Tab, running: Running) -> None:
    tab.open(running.url, ANSWERED)
    tab.press("Tab")
    assert tab.run("document.activeElement.id") == "start"
    tab.press("ArrowDown", 2)
    tab.wait("location.hash === '#example-2'")
    tab.press("Tab", 2)
    tab.run("document.activeElement.select()")
    tab.write("8.5")
    tab.wait("location.search === '?weight=8.5'")
    assert shown(tab) == pytest.approx(ask(running, about(running)["starts"][2] | {"weight": 8.5})[0], abs=6e-4)


def test_nothing_moves_for_a_person_who_wants_that(tab: Tab, running: Running) -> None:
    durations = []
    for wish in ("no-preference", "reduce"):
        tab.screen(1280, 900, LIGHT, ("prefers-reduced-motion", wish))
        tab.open(running.url, ANSWERED)
        durations.append(tab.run("getComputedStyle(document.getElementById('level')).transitionDuration"))
    tab.screen(1280, 900, LIGHT)
    assert durations == ["0.2s", "0s"]


def rename(files: Any, names: dict[str, str]) -> Any:
    """A champion's files with features of other names."""
    text = json.dumps(files)
    for old, new in names.items():
        text = text.replace(json.dumps(old), json.dumps(new))
    return json.loads(text)


def test_names_and_texts_that_look_like_code_stay_texts(tab: Tab, serve: Serve) -> None:
    def hostile(files: Any) -> Any:
        files[PAGE]["texts"] = dict.fromkeys(files[PAGE]["texts"], HTML)
        files = rename(files, {"weight": HTML, "depot": "constructor", "service": "a&b=c d#"})
        for feature in files[PAGE]["features"]:
            feature |= {"title": feature["name"], "description": HTML, "unit": HTML}
        return files

    running = serve(hostile)
    tab.open(f"{running.url}/?{quote(HTML)}=9.5&constructor=north&a%26b%3Dc%20d%23=night", ANSWERED)
    assert tab.run("document.querySelectorAll('main img').length") == 0
    assert tab.run("document.title") == tab.text("h1") == HTML
    record = about(running)["starts"][0] | {HTML: 9.5, "constructor": "north", "a&b=c d#": "night"}
    assert shown(tab) == pytest.approx(ask(running, record)[0], abs=6e-4)
    assert f"{HTML}: 9.5 {HTML}" in tab.text("#reasons")


def test_a_page_that_asks_nothing_still_answers_for_each_example(tab: Tab, serve: Serve) -> None:
    def silent(files: Any) -> Any:
        files[PAGE] |= {"asked": [], "follows": [], "sums": []}
        return files

    running = serve(silent)
    tab.open(f"{running.url}/#example-1", ANSWERED)
    assert tab.texts("#fields input, #fields select") == []
    assert shown(tab) == pytest.approx(ask(running, about(running)["starts"][1])[0], abs=6e-4)
    assert tab.violations(axe()) == []


def test_examples_that_lack_what_they_may_are_asked_about(tab: Tab, serve: Serve) -> None:
    def empty(files: Any) -> Any:
        page = files[PAGE]
        missing = {feature["name"]: None for feature in page["features"] if feature["may_be_missing"]}
        page["starts"] = [start | missing for start in page["starts"]]
        return files

    running = serve(empty)
    for number in (0, 2):
        tab.open(f"{running.url}/#example-{number}", ANSWERED)
        assert shown(tab) == pytest.approx(ask(running, about(running)["starts"][number])[0], abs=6e-4)
        assert tab.run(f"document.querySelector('{field(tab, 'Weight')}').value") == ""
    fill(tab, field(tab, "Weight"), "9.5")
    tab.wait("document.getElementById('reasons').textContent.includes('9.5')")


class Proxy(BaseHTTPRequestHandler):
    """Passes on what is asked below a path, as an ingress does; all else is not found."""

    port: int
    prefix = "/team/ontime"

    def do_GET(self) -> None:
        """Pass on."""
        if not self.path.startswith(f"{self.prefix}/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(self.command, self.path.removeprefix(self.prefix), body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    def do_POST(self) -> None:
        """Pass on."""
        self.do_GET()

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


def test_every_page_works_behind_a_path_of_a_proxy(tab: Tab, running: Running) -> None:
    with http_server(type("Handler", (Proxy,), {"port": running.port})) as host:
        top = f"http://{host}{Proxy.prefix}"
        tab.open(f"{top}/?weight=9.5", ANSWERED)
        assert tab.run("location.pathname") == f"{Proxy.prefix}/"
        links = tab.run("[...document.querySelectorAll('a')].map((link) => link.href)")
        assert links == [f"{top}/card", f"{top}/docs"]
        tab.open(links[0], "document.querySelector('dl')")
        assert tab.run("document.querySelector('footer a').href") == f"{top}/"
        tab.open(links[1], "document.body.innerText.includes('/v2/models')")
        server = tab.wait("document.querySelector('.servers select, .servers .computed-url')?.textContent")
        assert server.strip() in (".", f"{Proxy.prefix}", f"{top}")


def test_the_api_page_lists_the_routes(tab: Tab, running: Running) -> None:
    tab.open(f"{running.url}/docs", "document.querySelectorAll('.opblock').length > 5")
    assert "/v2/models/{name}/infer" in tab.text("#api").replace("\u200b", "")


def test_each_route_of_the_api_page_answers_when_it_is_tried_as_it_stands(tab: Tab, running: Running) -> None:
    tab.open(f"{running.url}/docs", "document.querySelectorAll('.opblock').length > 5")
    routes = len(tab.texts(".opblock"))
    assert routes == sum(len(set(path) - {"parameters"}) for path in documented(running).values())
    for number in range(routes):
        block = f"document.querySelectorAll('.opblock')[{number}]"
        tab.run(f"{block}.querySelector('.opblock-summary-control').click()")
        tab.wait(f"{block}.querySelector('.try-out__btn') !== null")
        tab.run(f"{block}.querySelector('.try-out__btn').click()")
        tab.wait(f"{block}.querySelector('.execute') !== null")
        tab.run(f"{block}.querySelector('.execute').click()")
        status = tab.wait(f"{block}.querySelector('.live-responses-table tbody .response-col_status')?.innerText")
        assert status.split()[0] == "200", tab.run(f"{block}.innerText")
        tab.run(f"{block}.querySelector('.opblock-summary-control').click()")


def documented(running: Running) -> dict[str, Any]:
    """The paths of the OpenAPI document."""
    paths: dict[str, Any] = httpx2.get(f"{running.url}/openapi.json").json()["paths"]
    return paths
