"""Every panel of every dashboard shows something after replayed days, by a real service and the daily check.

The pods' labels are written into Prometheus' configuration, as the ServiceMonitor would. What a node's kubelet counts
of pods, processor and memory, is read of the services' processes.
"""

import base64
import contextlib
import functools
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from ontime.common import paths
from ontime.common.files import read_json, write_json
from ontime.encoder import Encoder
from ontime.manifests.dashboards.command import FOLDER
from ontime.manifests.render import KUBERNETES
from ontime.model_deployment.inference.manifest import VOCABULARY
from tests.browser import Tab, chromium
from tests.checkouts import TOP
from tests.live import live, predicts_flights
from tests.panels import built_page
from tests.prometheus import asked, prometheus
from tests.promtool import find_promtool
from tests.replay import (
    VERSION,
    Span,
    ask,
    backfill,
    expression,
    flights_by_day,
    pod_metrics,
    replay,
    request_body,
    signed_champion,
    texts_by_day,
)
from tests.servers import http_server
from tests.services import start

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("dashboards"),
    pytest.mark.skipif(not live(paths.CHAMPION).is_dir(), reason="needs the graph's outputs: make repro"),
    pytest.mark.skipif(not predicts_flights(), reason="replays days of flights"),
]
CANARY = "1.1.0"
PODS = {"ontime-stable": (VERSION, "5d8f"), "ontime-canary": (CANARY, "7c4b")}
LOAD_SECONDS = 15
DASHBOARDS = ("operations", "model", "business")
SPANS = [
    pytest.param(Span(21, 4, 14), id="three-weeks"),
    pytest.param(Span(61, 1, 50), id="two-months", marks=pytest.mark.rehearsal),
]
VALUES = {"namespace": "ontime-production", "unit_price": 100}
PICTURES = Path(os.environ["ONTIME_PICTURES"]) if "ONTIME_PICTURES" in os.environ else None
"""Where the pictures of the dashboards are kept, to be looked at."""


class Quiet(SimpleHTTPRequestHandler):
    """Answers with the files of a folder."""

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@dataclass(frozen=True)
class Shown:
    """A Prometheus that knows a span's days."""

    address: str
    now: float
    span: Span

    def seconds(self, name: str) -> int:
        """What a dashboard looks at."""
        return 30 if name == "operations" else self.span.panel_days * 86400


@pytest.fixture(scope="module", params=SPANS)
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("dashboards")
    (folder / "signed").mkdir()
    signed = signed_champion(folder / "signed")
    labels = {
        pod: {
            "namespace": "ontime-production",
            "service": "ontime-metrics",
            "pod": pod,
            "rollouts_pod_template_hash": pod_hash,
            "app_kubernetes_io_version": version,
        }
        for pod, (version, pod_hash) in PODS.items()
    }
    services = {}
    days = flights_by_day(request.param)
    with contextlib.ExitStack() as stack:
        for pod, (version, _) in PODS.items():
            services[pod] = start(signed, folder / f"{pod}.log", MODEL_VERSION=version)
            stack.callback(services[pod].process.wait)
            stack.callback(services[pod].process.terminate)
        stable = services["ontime-stable"]
        replay(stable, days, folder / "log")
        backfill(texts_by_day(days, folder / "log", folder / "monitoring"), time.time(), folder, find_promtool())

        class Kubelet(Quiet):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(pod_metrics(services, labels).encode())

        kubelet = stack.enter_context(http_server(Kubelet))
        rules = yaml.safe_load((TOP / KUBERNETES / "base" / "rules.yaml").read_text(encoding="utf-8"))["spec"]
        for group in rules["groups"]:
            group["interval"] = "2s"
        write_json(folder / "rules.yaml", rules)
        targets = [{"targets": [f"127.0.0.1:{services[pod].metrics_port}"], "labels": labels[pod]} for pod in services]
        configuration = {
            "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
            "rule_files": [str(folder / "rules.yaml")],
            "scrape_configs": [
                {"job_name": "service", "static_configs": targets},
                {"job_name": "kubelet", "static_configs": [{"targets": [kubelet]}]},
            ],
        }
        # a sample a day stands for one that is scraped all day
        options = ("--query.lookback-delta=25h", "--storage.tsdb.retention.time=90d")
        address = stack.enter_context(prometheus(folder, configuration, *options))
        encoder = Encoder.from_vocabulary(read_json(live(paths.CHAMPION) / VOCABULARY))
        rows = [*days.values()][-1]
        bodies = [request_body(rows.iloc[place : place + 100], encoder.features) for place in range(0, len(rows), 100)]
        loads = [threading.Thread(target=load, args=(service, bodies)) for service in services.values()]
        for thread in loads:
            thread.start()
        for thread in loads:
            thread.join()
        time.sleep(3)
        yield Shown(address, time.time(), request.param)


def load(service: Any, bodies: list[bytes]) -> None:
    """Ask for a while."""
    end = time.monotonic() + LOAD_SECONDS
    number = 0
    while time.monotonic() < end:
        ask(service, bodies[number % len(bodies)], f"load-{number}")
        number += 1
        time.sleep(0.1)


def test_every_query_of_every_panel_finds_numbers(shown: Shown) -> None:
    empty, count = [], 0
    for name in DASHBOARDS:
        seconds = shown.seconds(name)
        for panel in read_json(TOP / FOLDER / f"{name}.json")["panels"]:
            for target in panel.get("targets", ()):
                count += 1
                query = expression(target["expr"], seconds, VALUES)
                step = seconds / 50
                times = {"start": f"{shown.now - seconds}", "end": f"{shown.now}", "step": f"{step}"}
                found = asked(shown.address, "query_range", query=query, **times)["result"]
                numbers = [float(value) for series in found for _, value in series["values"]]
                if not [number for number in numbers if number == number]:
                    empty.append(f"{name}: {panel['title']}: {query}")
    assert count > 50
    assert not empty, "\n".join(empty)


def test_every_series_that_an_alert_of_the_daily_check_asks_for_is_there(shown: Shown) -> None:
    path = TOP / KUBERNETES / "overlays" / "production" / "monitor_rules.yaml"
    rules = [rule for group in yaml.safe_load(path.read_text())["spec"]["groups"] for rule in group["rules"]]
    selectors = {found for rule in rules for found in re.findall(r"ontime_monitor_\w+(?:{[^}]*})?", rule["expr"])}
    assert len(selectors) > 10
    assert not [one for one in selectors if not asked(shown.address, "query", query=f"count({one})")["result"]]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafanas_own_components_draw_every_panel(shown: Shown, tmp_path: Path, name: str) -> None:
    content = read_json(TOP / FOLDER / f"{name}.json")
    for panel in content["panels"]:
        for target in panel.get("targets", ()):
            target["expr"] = expression(target["expr"], shown.seconds(name), VALUES)
    page = shutil.copytree(built_page(), tmp_path / "page")
    write_json(page / "dashboard.json", content)
    place = {"prometheus": shown.address, "seconds": shown.seconds(name), "end": shown.now}
    asked_for = {"dashboard": "dashboard.json", **place}
    with http_server(functools.partial(Quiet, directory=str(page))) as host, chromium() as browser:
        tab = Tab(browser)
        tab.screen(1240, 1000)
        tab.open(f"http://{host}/index.html?{urlencode(asked_for)}")
        tab.wait("document.title === 'drawn'")
        panels = tab.texts(".panel")
        picture = tab.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        (PICTURES or tmp_path).joinpath(f"{name}.png").write_bytes(base64.b64decode(picture))
        lines = tab.run("document.querySelectorAll('.panel canvas').length")
    wanted = [panel for panel in content["panels"] if panel["type"] != "row"]
    assert [text.splitlines()[0] for text in panels] == [panel["title"] for panel in wanted]
    assert lines == len([panel for panel in wanted if panel["type"] == "timeseries"])
    assert not [text for text in panels if "No data" in text]


def test_canary_and_stable_are_told_apart(shown: Shown) -> None:
    query = {"query": "ontime:request_duration_seconds:p95_2m", "time": f"{shown.now}"}
    found = asked(shown.address, "query", **query)["result"]
    assert {one["metric"]["rollouts_pod_template_hash"] for one in found} == {pod_hash for _, pod_hash in PODS.values()}


def test_what_the_real_check_said_of_the_last_day_is_what_is_shown(shown: Shown) -> None:
    (rows,) = asked(shown.address, "query", query="max(ontime_monitor_rows)")["result"]
    assert float(rows["value"][1]) == len([*flights_by_day(shown.span).values()][-1])
