"""The workflow `monitor` run by act: what an alarm opens and closes, and what starts a retraining."""

import json
import os
import shutil
from pathlib import Path

import pytest

from ontime.retraining.settings import read_settings
from tests.checkouts import BIN, run
from tests.forge import ROLE, Forge, Hub, Run
from tests.watched import add_labels, watched_model
from tests.watched_release import VERSION, released_forge

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("act", path=f"{BIN}:{os.environ['PATH']}") is None, reason="act is not installed"),
]
DAYS = [f"2024-04-{day:02d}" for day in range(1, 9)]
FAULTY = DAYS[1:3]
TITLES = ["Monitoring: inputs: depot"]


@pytest.fixture
def watched(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Forge:
    """A repository whose model is in production, and the log of what it answered, with a fault of two days."""
    return released_forge(tmp_path, hub, monkeypatch, watched_model(tmp_path / "watched", DAYS, FAULTY))


@pytest.fixture
def watched_by_labels(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Forge:
    """The same without a fault, and labels with four times the odds that the model says."""
    top = watched_model(tmp_path / "watched", DAYS, [])
    labels = add_labels(top, 4.0)
    forge = released_forge(tmp_path, hub, monkeypatch, top)
    forge.variables["LABELS"] = str(labels)
    return forge


def monitored(forge: Forge, day: str) -> Run:
    """Run the workflow for a day."""
    shutil.rmtree(forge.folder / "artifacts", ignore_errors=True)
    content = {"ref": "refs/heads/main", "inputs": {"day": day}}
    return forge.act("workflow_dispatch", "monitor", content, "refs/heads/main")


def checked_here(tmp_path: Path, day: str) -> None:
    """Check a day as the workflow does, without the jobs around it."""
    top = tmp_path / "watched"
    options = ["--log", str(top / "log"), "--model", str(top / "model"), "--model-version", VERSION]
    run("ontime", "monitor", "day", day, *options, "--output", str(tmp_path / "results"), cwd=top)


def test_a_fault_opens_an_issue_for_each_cause_that_closes_by_itself_and_no_retraining_starts_until_the_model_is_old(
    watched: Forge, tmp_path: Path
) -> None:
    hub = watched.hub
    for count, day in enumerate(FAULTY, start=1):
        done = monitored(watched, day)
        assert done.succeeded, done.text
        assert sorted((one["title"], one["state"]) for one in hub.issues) == [(title, "open") for title in TITLES]
        assert all(one["body"].count("| 2024-04-") == count for one in hub.issues)
    for day in DAYS[3:5]:
        checked_here(tmp_path, day)
    done = monitored(watched, DAYS[5])
    assert done.succeeded, done.text
    assert sorted((one["title"], one["state"]) for one in hub.issues) == [(title, "closed") for title in TITLES]
    assert not hub.started
    assert {token for _, _, token in hub.requests} == {"Bearer job-token"}
    assert set(watched.asked("configure-aws-credentials")) == {ROLE}
    checked_here(tmp_path, DAYS[6])
    # its newest row is of 25 March, two weeks before
    done = monitored(watched, DAYS[7])
    assert done.succeeded, done.text
    ((workflow, content),) = hub.started
    assert (workflow, content["ref"]) == ("retrain.yml", "main")
    settings = read_settings(content["inputs"]["settings"])
    assert settings["split.until"] == "2024-04-09T00:00:00Z"
    assert settings["split.excluded_days"] == FAULTY
    kept = json.loads((tmp_path / "results" / "day" / f"{DAYS[7]}.json").read_text())
    assert kept["challenger"] == "schedule"
    assert (tmp_path / "results" / "report.md").is_file()


def test_labels_that_the_model_does_not_expect_start_a_retraining_while_the_inputs_are_clean(
    watched_by_labels: Forge,
) -> None:
    done = monitored(watched_by_labels, DAYS[6])
    assert done.succeeded, done.text
    ((workflow, content),) = watched_by_labels.hub.started
    assert workflow == "retrain.yml"
    assert read_settings(content["inputs"]["settings"])["split.until"] == "2024-04-08T00:00:00Z"
    assert not watched_by_labels.hub.issues


def test_a_day_that_cannot_be_checked_fails_and_changes_nothing(watched: Forge, tmp_path: Path) -> None:
    done = monitored(watched, "2024-05-01")
    assert not done.succeeded
    assert "no check could run: inputs: " in done.text
    assert not watched.hub.requests
    assert not (tmp_path / "results").exists()


@pytest.mark.attack("dispatch-input")
def test_a_day_that_is_more_than_a_day_runs_nothing(watched: Forge, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    done = monitored(watched, f"2024-04-01; touch {owned} $(touch {owned})")
    assert not done.succeeded
    assert not owned.exists()
    assert not watched.hub.requests
