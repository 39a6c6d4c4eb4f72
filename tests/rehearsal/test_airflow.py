"""Real Airflow on a small repository: from an event to a proposed champion, failures, kills, and two runs at once."""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.airflow_server import AROUND, Airflow, airflow_server, connections, make_environment
from tests.browser import Tab, chromium
from tests.checkouts import git
from tests.forge import REPOSITORY, Hub, hub_server
from tests.servers import JsonHandler, http_server
from tests.teams import OF_BOOSTING, Team, team_at, team_graph

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("airflow")]
START = datetime(2013, 7, 1)
MONTH = "2013-10"
TOKEN = "app-token"  # noqa: S105 - of no account
RUN_SECONDS = 900


@dataclass(frozen=True)
class Stack:
    """Airflow, the repository whose graph it runs, the forge, and what the web hook was told."""

    airflow: Airflow
    team: Team
    hub: Hub
    told: list[dict[str, Any]]
    folder: Path

    def run_of(self, asset: str, **extra: Any) -> dict[str, Any]:
        """The run that an event starts."""
        known = self.airflow.runs("training")
        self.airflow.event(asset, **extra)
        return self.airflow.new_run("training", known, RUN_SECONDS)

    def states(self, run: dict[str, Any]) -> dict[str, tuple[str, int]]:
        """State and number of attempts of each task."""
        return {name: (one["state"], one["try_number"]) for name, one in self.airflow.tasks(run).items()}


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Address of a web hook, and what it was told."""
    messages: list[dict[str, Any]] = []

    class Handler(JsonHandler):
        def respond(self, content: Any) -> tuple[int, Any]:
            messages.append(content)
            return 200, {}

    with http_server(Handler) as host:
        yield f"http://{host}/hook", messages


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, told: tuple[str, list[dict[str, Any]]]) -> Iterator[Stack]:
    """Airflow with the DAGs of the repository, as `make airflow` starts it."""
    make_environment()
    top = tmp_path_factory.mktemp("airflow")
    address, messages = told
    with team_at(team_graph(top, START)) as team, hub_server() as hub:
        variables = {
            **dict(line.split("=", 1) for line in team.aws.splitlines()),
            **connections(AIRFLOW_CONN_FORGE=TOKEN, AIRFLOW_CONN_ALERTS=address),
            "GITHUB_API_URL": hub.url,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": REPOSITORY,
        }
        with airflow_server(team.clone, top / "airflow", **variables) as airflow:
            airflow.call("dags/training", {"is_paused": False}, "PATCH")
            # the newest month is run at once
            airflow.new_run("training", [], 60)
            yield Stack(airflow, team, hub, messages, top)


def test_a_run_by_schedule_without_anything_new_skips_every_stage_and_proposes_nothing(stack: Stack) -> None:
    run = stack.airflow.ended(stack.airflow.runs("training")[0], RUN_SECONDS)
    assert (run["run_type"], run["state"]) == ("scheduled", "success")
    assert set(stack.airflow.stages(run).values()) == {"skipped"}
    states = stack.states(run)
    assert {states[name][0] for name in ("keep", "report", "propose", "announce")} == {"skipped"}
    assert not stack.airflow.events("champion")
    assert not stack.hub.opened
    assert not list((stack.folder / "airflow" / "runs").iterdir())


def test_an_alert_leads_to_a_proposed_champion_while_a_second_event_waits(stack: Stack) -> None:
    begun = time.monotonic()
    first = stack.run_of("alert", settings="train.gradient_boosting.max_iter=6", alert="age")
    known = stack.airflow.runs("training")
    stack.airflow.event("merged_pull_request", number=7)
    (event,) = stack.airflow.wait(lambda: stack.airflow.events("champion"), RUN_SECONDS)
    seconds = time.monotonic() - begun
    first = stack.airflow.ended(first, RUN_SECONDS)
    assert first["state"] == "success"
    second = stack.airflow.new_run("training", known, 60)
    assert second["start_date"] >= first["end_date"]
    stages = stack.airflow.stages(first)
    assert {name for name, what in stages.items() if what == "ran"} == OF_BOOSTING
    (pull_request,) = stack.hub.opened
    branch = pull_request["head"]
    assert "train.gradient_boosting.max_iter=6" in pull_request["body"] and '"alert": "age"' in pull_request["body"]
    assert event["extra"]["proposed"] == pull_request["html_url"]
    assert event["extra"]["base"] == stack.team.graph
    assert git(stack.team.origin, "rev-parse", f"{branch}^").strip() == stack.team.graph
    lock = YAML(typ="safe").load(git(stack.team.origin, "show", f"{branch}:dvc.lock"))
    (made,) = lock["stages"]["export"]["outs"]
    assert event["extra"]["md5"] == made["md5"]
    assert "passed" in stack.airflow.returned(first, "report")
    second = stack.airflow.ended(second, RUN_SECONDS)
    assert set(stack.airflow.stages(second).values()) == {"skipped"}
    ran = sum(what == "ran" for what in stages.values())
    print(f"\nevent to champion: {seconds:.0f} s; stages run: {ran}, skipped: {len(stages) - ran}")
    print(f"second run waited: {(stamp(second['start_date']) - stamp(first['start_date'])):.0f} s")


def stamp(text: str) -> float:
    """Seconds of a time that the API gives."""
    return datetime.fromisoformat(text).timestamp()


def test_a_killed_worker_ends_its_command_which_has_no_key_and_the_task_is_tried_again(stack: Stack) -> None:
    run = stack.run_of("new_data", settings="train.gradient_boosting.max_iter=7")
    runs = str(stack.folder / "airflow" / "runs")
    pid = stack.airflow.wait(lambda: command_of("train@gradient_boosting", runs), RUN_SECONDS)
    variables = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"AWS_ACCESS_KEY_ID=" in variables
    assert b"AIRFLOW" not in variables and TOKEN.encode() not in variables
    worker = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert Path(f"/proc/{worker}/cmdline").read_bytes().startswith(b"airflow worker")
    killed = time.monotonic()
    os.kill(worker, signal.SIGKILL)
    stack.airflow.wait(lambda: not command_of("train@gradient_boosting", runs), 10)
    run = stack.airflow.ended(run, RUN_SECONDS)
    assert run["state"] == "success"
    assert stack.states(run)["train.gradient_boosting"] == ("success", 2)
    assert stack.airflow.stages(run)["export"] == "ran"
    print(f"\nkilled worker: the run succeeded {time.monotonic() - killed:.0f} s after")


def command_of(stage: str, folder: str) -> int | None:
    """The process of a stage's `dvc repro` below a folder."""
    for path in Path("/proc").iterdir():
        try:
            words = (path / "cmdline").read_bytes().split(b"\0") if path.name.isdigit() else []
            # not `setpriv`, which it is before
            if (
                stage.encode() in words
                and b"setpriv" not in words
                and str((path / "cwd").readlink()).startswith(folder)
            ):
                return int(path.name)
        except OSError:
            continue
    return None


def test_a_stage_that_fails_twice_ends_the_run_and_the_web_hook_is_told(stack: Stack) -> None:
    before = len(stack.hub.opened)
    run = stack.airflow.ended(stack.run_of("alert", settings='evaluate.slices=["nowhere"]'), RUN_SECONDS)
    assert run["state"] == "failed"
    states = stack.states(run)
    assert states["evaluate.gradient_boosting"] == ("failed", 2)
    assert states["propose"][0] == "upstream_failed"
    assert "no column nowhere" in stack.airflow.log(run, "evaluate.gradient_boosting", 2)
    stack.airflow.wait(lambda: stack.told, 60)
    (message,) = stack.told
    assert message["text"].startswith(f"training: run {run['dag_run_id']} failed")
    assert len(stack.hub.opened) == before
    print(f"\nfailed run: told {len(stack.told)} time, after two attempts")


@pytest.mark.attack("dispatch-input")
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("gate.confidence=0.5", "gate.confidence: not set for a retraining"),
        ("train.seed={{ conn.forge.password }}", "a text may have"),
        (["train.seed=1"], "not a text of lines"),
    ],
    ids=["gate", "template", "list"],
)
def test_an_event_whose_settings_are_no_parameters_runs_no_stage(stack: Stack, settings: Any, reason: str) -> None:
    run = stack.airflow.ended(stack.run_of("alert", settings=settings), RUN_SECONDS)
    assert run["state"] == "failed"
    states = stack.states(run)
    assert states["prepare"][0] == "failed"
    assert {states[name][0] for name in states if name not in AROUND} == {"upstream_failed"}
    log = stack.airflow.log(run, "prepare")
    assert reason in log
    assert TOKEN not in log


def test_a_backfill_trains_as_of_the_end_of_each_month_and_opens_no_pull_request(stack: Stack) -> None:
    known, before = stack.airflow.runs("training"), len(stack.hub.opened)
    dates = ["--from-date", f"{MONTH}-01", "--to-date", f"{MONTH}-01", "--max-active-runs", "1"]
    stack.airflow.command("backfill", "create", "--dag-id", "training", *dates)
    run = stack.airflow.ended(stack.airflow.new_run("training", known, 60), RUN_SECONDS)
    assert (run["run_type"], run["state"]) == ("backfill", "success"), stack.states(run)
    branch = stack.airflow.returned(run, "propose")
    assert branch == f"backfill-{MONTH}-1"
    split = YAML(typ="safe").load(git(stack.team.origin, "show", f"{branch}:params.yaml"))["split"]
    names = ("validation_from", "test_from", "until")
    assert [split[name][:10] for name in names] == ["2013-09-01", "2013-10-01", "2013-11-01"]
    assert len(stack.hub.opened) == before


def test_the_user_interface_shows_the_runs_and_asks_who_it_is(stack: Stack) -> None:
    with chromium() as browser:
        tab = Tab(browser)
        tab.screen(1400, 1000)
        tab.open(f"{stack.airflow.address}/dags/training")
        tab.wait("document.querySelector('input[name=username]') !== null")
        assert "stages" not in tab.text("body")
        for name, text in zip(("username", "password"), stack.airflow.account, strict=True):
            tab.run(f"document.querySelector('input[name={name}]').focus()")
            tab.write(text)
        tab.press("Enter")
        for text in ("stages", "announce"):
            tab.wait(f"document.body?.innerText.includes({json.dumps(text)})")
