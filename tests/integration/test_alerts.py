"""Alerts from Prometheus through Alertmanager to those who must know, by the committed rules and configuration.

What the daily check and the service say is in a page of metrics that changes; the receivers are servers on loopback.
Waiting times are seconds in place of minutes, and the addresses are those of the receivers; all else is as committed.
"""

import contextlib
import json
import shutil
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from ontime.common.files import read_json, write_json
from ontime.manifests.render import Manifest, render_all
from ontime.manifests.tools import find_kustomize
from tests.alertmanager import find_alertmanager, write_configuration
from tests.checkouts import TOP
from tests.mail import Mailbox, mail_server
from tests.owned import owned
from tests.prometheus import prometheus, serving
from tests.promtool import rule_groups
from tests.servers import free_port, http_server

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("manifests")]
SECRETS = {"smtp-password": "sesame", "dispatch-token": "token-of-the-app"}
SECONDS = 60
LINES = {
    "inputs": 'ontime_monitor_alarms{check="inputs"}',
    "labels": 'ontime_monitor_alarms{check="labels"}',
    "replay": 'ontime_monitor_alarms{check="replay"}',
}


@dataclass
class World:
    """What is said, and what came of it."""

    metrics: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LINES, 0))
    is_up: bool = True
    received: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    """Path, headers and content of each request to a receiver."""
    mailbox: Mailbox = field(default_factory=Mailbox)
    alertmanager: str = ""
    changed: threading.Lock = field(default_factory=threading.Lock)

    def say(self, **metrics: int) -> None:
        """Change what the daily check says, in one piece."""
        with self.changed:
            self.metrics |= metrics

    def texts(self, path: str) -> list[str]:
        """Contents that a receiver got, as text."""
        return [json.dumps(content) for where, _, content in self.received if where == path]

    def subjects(self) -> list[str]:
        """Subjects of the mails."""
        return [str(mail["Subject"]) for mail in self.mailbox.mails]

    def held_back(self) -> set[str]:
        """Alerts that fire and wait for another one."""
        with urllib.request.urlopen(f"{self.alertmanager}/api/v2/alerts", timeout=SECONDS) as answer:  # noqa: S310
            alerts = json.load(answer)
        return {one["labels"]["alertname"] for one in alerts if one["status"]["inhibitedBy"]}


def wait(condition: Callable[[], object], world: World) -> None:
    """Wait until something holds."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, (world.received, world.subjects())
        time.sleep(0.1)


def handler(world: World) -> type[BaseHTTPRequestHandler]:
    """Answers with metrics, and keeps what is sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with world.changed:
                text = "".join(f"{LINES[name]} {value}\n" for name, value in world.metrics.items())
            is_there = world.is_up or self.path != "/service"
            self.send_response(200 if is_there else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode() if self.path == "/monitor" else b"")

        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            world.received.append((self.path, dict(self.headers), content))
            # GitHub's answer to a dispatch has no content; Slack wants its `ok`
            self.send_response(204 if self.path == "/dispatches" else 200)
            self.send_header("Content-Length", "0" if self.path == "/dispatches" else "2")
            self.end_headers()
            if self.path != "/dispatches":
                self.wfile.write(b"ok")

        def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing."""

    return Handler


def shorter(content: Any) -> Any:
    """A configuration whose waiting times are a second, and that of the web hook three."""
    times = {"group_wait": "1s", "group_interval": "1s"}
    if isinstance(content, dict):
        made = {name: times.get(name, shorter(value)) for name, value in content.items()}
        return made | ({"group_wait": "3s"} if made.get("receiver") == "challenger" else {})
    return [shorter(value) for value in content] if isinstance(content, list) else content


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Manifest]]:
    if shutil.which("go") is None:
        pytest.skip("go is not installed: it builds kustomize")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(TOP)
        return render_all(Path(), find_kustomize())


@pytest.fixture
def world(rendered: dict[str, list[Manifest]], tmp_path: Path) -> Iterator[World]:
    found = World()
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(http_server(handler(found)))
        found.mailbox = stack.enter_context(mail_server())
        secrets = tmp_path / "alertmanager-receivers"
        secrets.mkdir()
        urls = {"slack-url": "slack", "teams-url": "teams", "dispatch-url": "dispatches"}
        for name, text in {**SECRETS, **{key: f"http://{host}/{path}" for key, path in urls.items()}}.items():
            (secrets / name).write_text(f"{text}\n")
        path = write_configuration(rendered["argocd"], tmp_path, tmp_path)
        content = shorter(read_json(path))
        content["global"] |= {"smtp_smarthost": found.mailbox.address, "smtp_require_tls": False}
        write_json(path, content)
        port = free_port()
        command = [find_alertmanager(), f"--config.file={path}", f"--storage.path={tmp_path / 'alertmanager'}"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
        found.alertmanager = f"http://127.0.0.1:{port}"
        stack.enter_context(serving(command, f"{found.alertmanager}/-/ready", tmp_path / "alertmanager.log"))
        groups = rule_groups(rendered["overlays/production"])
        for group in groups:
            group["interval"] = "1s"
            for rule in group["rules"]:
                rule.pop("for", None)
        write_json(tmp_path / "rules.yaml", {"groups": groups})
        service = {"service": "ontime-metrics", "namespace": "ontime-production"}
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(tmp_path / "rules.yaml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]},
            "scrape_configs": [
                {"job_name": "monitor", "metrics_path": "/monitor", "static_configs": [{"targets": [host]}]},
                {
                    "job_name": "service",
                    "metrics_path": "/service",
                    "static_configs": [{"targets": [host], "labels": service}],
                },
            ],
        }
        # an alert that fires before Prometheus has found its Alertmanager is sent again after a minute
        stack.enter_context(prometheus(tmp_path, configuration, "--rules.alert.resend-delay=1s"))
        yield found


def test_who_must_know_is_told_and_what_follows_from_another_alert_waits(world: World) -> None:
    # labels move because the inputs do: nobody is asked for a new model
    world.say(inputs=2, labels=1)
    wait(lambda: any("OntimeInputsMoved" in text for text in world.texts("/slack")), world)
    wait(lambda: world.held_back() == {"OntimeLabelsMoved"}, world)
    (first,) = (text for text in world.texts("/slack") if "FIRING: OntimeInputsMoved" in text)
    assert "inputs moved further than on any day of the model's rows: 2" in first
    assert "docs/monitoring.md#ontimeinputsmoved" in first
    # longer than the web hook waits
    time.sleep(5)
    assert world.texts("/dispatches") == [] and not any("OntimeLabelsMoved" in text for text in world.texts("/slack"))

    # the inputs are sound again, the labels are not
    world.say(inputs=0)
    wait(lambda: any("RESOLVED: OntimeInputsMoved" in text for text in world.texts("/slack")), world)
    wait(lambda: world.texts("/dispatches"), world)
    wait(lambda: any("FIRING: OntimeLabelsMoved" in text for text in world.texts("/slack")), world)
    ((headers, content),) = ((told, sent) for path, told, sent in world.received if path == "/dispatches")
    assert headers["Authorization"] == f"Bearer {SECRETS['dispatch-token']}"
    assert content == {
        "event_type": "drift",
        "client_payload": {
            "alert": "OntimeLabelsMoved",
            "namespace": "ontime-production",
            "summary": "series of labels beyond their limits: 1",
        },
    }

    world.say(labels=0)
    wait(lambda: any("RESOLVED: OntimeLabelsMoved" in text for text in world.texts("/slack")), world)

    # another model answers: mail too
    world.say(replay=1)
    wait(lambda: "FIRING: OntimeReplayDiffers" in world.subjects(), world)
    wait(lambda: any("FIRING: OntimeReplayDiffers" in text for text in world.texts("/slack")), world)
    assert set(world.mailbox.passwords) == {SECRETS["smtp-password"]}
    (mail,) = (mail for mail in world.mailbox.mails if mail["Subject"] == "FIRING: OntimeReplayDiffers")
    assert mail["To"] == f"on-call@{owned()['domain']}"

    # the service is down: that is told, and of its inputs nothing
    world.say(replay=0)
    wait(lambda: "RESOLVED: OntimeReplayDiffers" in world.subjects(), world)
    told = Counter(world.texts("/slack"))
    world.is_up = False
    wait(lambda: any("FIRING: OntimeDown" in text for text in world.texts("/teams")), world)
    wait(lambda: "FIRING: OntimeDown" in world.subjects(), world)
    world.say(inputs=1)
    wait(lambda: world.held_back() == {"OntimeInputsMoved"}, world)
    time.sleep(3)
    assert not [text for text in Counter(world.texts("/slack")) - told if "OntimeInputsMoved" in text]

    # all is well: each receiver gets the end of what it was told of, the web hook does not
    world.is_up = True
    world.say(inputs=0)
    wait(lambda: any("RESOLVED: OntimeDown" in text for text in world.texts("/teams")), world)
    wait(lambda: "RESOLVED: OntimeDown" in world.subjects(), world)
    assert len(world.texts("/dispatches")) == 1
