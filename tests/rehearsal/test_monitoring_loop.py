"""The service of a fork is watched for a month on a throw-away cluster, told in chapters.

Each day of the month is asked about in seconds; its labels come a day later. The weather feed freezes, which opens an
incident and trains nothing. Then the odds rise by half, which the labels alone can tell: a challenger is trained and
proposed, merged, released, and serves. No request is lost in all this.
"""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.forge import hub_server
from tests.rehearsal.deliveries import NAME, Town, fork, records_of, served_day, weather
from tests.rehearsal.story import CACHE, Fork, Story
from tests.rehearsal.telling import begun, canary
from tests.rehearsal.watch import TABLE, Watch, files_served

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("rehearsal")]
needs = pytest.mark.needs
FROZEN_FROM, FROZEN_DAYS = 7, 3
SOUND_DAYS = 3
"""Days after which an incident is over: `monitor.sound_days`."""
ODDS_FROM, ODDS = 15, 1.5
MONTH_DAYS = 28
BRANCH = "retrain-1-1"
RETRAINING = {"every_days": 90, "pause_days": 7, "validation_days": 21, "test_days": 7}
"""No challenger by age. Fewer validation days of some 200 rows set a threshold that costs more than the gate allows."""


@pytest.fixture(scope="module")
def town() -> Town:
    """Where the deliveries are made."""
    return Town(weather()).with_odds(ODDS, served_day(ODDS_FROM))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, town: Town) -> Path:
    """Where the team's table lies, and what watches the service keeps its files."""
    made = tmp_path_factory.mktemp("watch")
    (made / "table").mkdir()
    town.until(served_day(0)).to_csv(made / "table" / TABLE, index=False)
    return made


@pytest.fixture(scope="module")
def story(folder: Path, tmp_path_factory: pytest.TempPathFactory, figures: dict[str, Any]) -> Iterator[Story]:
    """The cluster, and a checkout whose graph has not run yet; its table is at an address."""
    own = figures.setdefault("monitoring", {})
    with files_served(folder / "table") as url:
        made = Fork(NAME, partial(fork, source=f"{url}/{TABLE}"))
        with begun(CACHE / "watch", tmp_path_factory, own, made) as told:
            yield told


@pytest.fixture(scope="module")
def watch(story: Story, folder: Path, town: Town) -> Iterator[Watch]:
    """What watches the service, and the forge."""
    with hub_server() as hub:
        yield Watch(story, folder, hub, town)


def test_1_a_version_is_trained_released_and_serves(watch: Watch) -> None:
    story = watch.story
    story.set("retraining", **RETRAINING)
    story.ontime("s3")
    story.make("v1.0.0", "Train")
    story.publish("v1.0.0")
    story.rig.add_gpg_key(story.folder / "key.asc")
    story.rig.kubectl("apply", "--filename", str(story.checkout / "argocd" / "bootstrap.yaml"))
    story.wait_synced("staging", story.git("rev-parse", "HEAD"), 300)
    assert set(story.pods("staging").values()) == {story.digests["v1.0.0"]}


@needs("1_a_version_is_trained_released_and_serves")
def test_2_sound_days_are_silent(watch: Watch) -> None:
    for number in range(FROZEN_FROM):
        day = watch.live(number)
        assert (day.alarms, day.record["challenger"], day.incidents) == ({}, None, []), day.record
    assert {"inputs", "labels", "replay"} <= day.record["checks"].keys(), day.record["skipped"]


@needs("2_sound_days_are_silent")
def test_3_a_frozen_feed_opens_an_incident_and_trains_nothing(watch: Watch, figures: dict[str, Any]) -> None:
    for number in range(FROZEN_FROM, FROZEN_FROM + FROZEN_DAYS):
        day = watch.live(number, frozen_since=FROZEN_FROM)
        assert "temperature" in day.alarms["inputs"]
        assert day.record["quarantined"]
        assert day.record["challenger"] is None
        if number == FROZEN_FROM:
            figures["monitoring"]["fault_to_incident_seconds"] = round(day.checked - day.asked, 1)
    opened = [issue["title"] for issue in watch.open_issues()]
    assert opened.count("Monitoring: inputs: temperature") == 1
    assert watch.hub.started == []


@needs("3_a_frozen_feed_opens_an_incident_and_trains_nothing")
def test_4_the_incident_is_closed_when_the_days_are_sound(watch: Watch) -> None:
    for number in range(FROZEN_FROM + FROZEN_DAYS, ODDS_FROM):
        day = watch.live(number)
        assert (day.alarms, day.record["challenger"]) == ({}, None), day.record
        if number == FROZEN_FROM + FROZEN_DAYS + SOUND_DAYS - 1:
            assert watch.open_issues() == []
    assert watch.open_issues() == []


@needs("4_the_incident_is_closed_when_the_days_are_sound")
def test_5_higher_odds_ask_for_a_challenger_by_the_labels(watch: Watch, figures: dict[str, Any]) -> None:
    for number in range(ODDS_FROM, MONTH_DAYS):
        day = watch.live(number)
        assert day.alarms.keys() <= {"labels"}, day.record
        assert not day.record["quarantined"]
        if day.record["challenger"]:
            break
    assert day.record["challenger"] == "labels"
    assert watch.open_issues() == []
    figures["monitoring"]["odds_to_label_alarm_days"] = number - ODDS_FROM + 1


@needs("5_higher_odds_ask_for_a_challenger_by_the_labels")
def test_6_the_challenger_is_proposed_by_the_workflows_steps(watch: Watch, figures: dict[str, Any]) -> None:
    newest = max(watch.days)
    watch.fill_table(newest + timedelta(days=1))
    start = [".github/scripts/start_retraining.sh", str(watch.output)]
    watch.at_the_forge("bash", *start, DAY=str(newest))
    ((workflow, content),) = watch.hub.started
    settings = content["inputs"]["settings"]
    assert workflow == "retrain.yml"
    quarantined = [served_day(FROZEN_FROM + place).isoformat() for place in range(FROZEN_DAYS)]
    assert f"split.excluded_days={json.dumps(quarantined)}" in settings.splitlines()
    proposal = train(watch, settings)
    propose(watch, settings, proposal)
    (pull_request,) = watch.hub.opened
    assert pull_request["head"] == BRANCH
    seconds = time.time() - watch.days[newest].checked
    figures["monitoring"]["label_alarm_to_pull_request_seconds"] = round(seconds, 1)


def train(watch: Watch, settings: str) -> Path:
    """The workflow's first job; what it leaves."""
    checkout = watch.clone("retrain")
    output = watch.folder / "github_output"
    watch.at_the_forge(
        "bash", ".github/scripts/retrain.sh", "proposal", cwd=checkout, SETTINGS=settings, GITHUB_OUTPUT=str(output)
    )
    assert "changed=true" in output.read_text()
    return checkout / "proposal"


def propose(watch: Watch, settings: str, proposal: Path) -> None:
    """The workflow's second job, in another clone."""
    checkout = watch.clone("propose")
    told = watch.at_the_forge("ontime", "propose", str(proposal), cwd=checkout, text=settings)
    watch.at_the_forge("bash", ".github/scripts/push_branch.sh", BRANCH, "Retrain", cwd=checkout)
    watch.at_the_forge("bash", ".github/scripts/open_pull_request.sh", BRANCH, "Retrain", cwd=checkout, text=told)


@needs("6_the_challenger_is_proposed_by_the_workflows_steps")
def test_7_the_pull_request_is_judged_and_merged(watch: Watch, figures: dict[str, Any]) -> None:
    story = watch.story
    story.git("fetch", "--quiet", "origin")
    story.git("switch", "--quiet", "--create", "judged", f"origin/{BRANCH}")
    story.ontime("pull")
    # `make pull-request`, but for the setup of an environment
    output = ["--base", "origin/main", "--output", str(story.folder / "report")]
    story.ontime("lock")
    assert "dvc.lock: proven" in story.ontime("proof", *output)
    story.ontime("report", *output)
    assert "## Gate passed" in (story.folder / "report" / "report.md").read_text()
    story.git("switch", "--quiet", "main")
    story.git("merge", "--quiet", "--no-ff", "--message", "Merge the retrained model", f"origin/{BRANCH}")
    story.push()
    seconds = time.time() - watch.days[max(watch.days)].checked
    figures["monitoring"]["label_alarm_to_merge_seconds"] = round(seconds, 1)


@needs("7_the_pull_request_is_judged_and_merged")
def test_8_it_is_released_canaried_and_serves(watch: Watch, figures: dict[str, Any]) -> None:
    story, own = watch.story, figures["monitoring"]
    alarm = watch.days[max(watch.days)].checked
    story.register("v1.1.0")
    day = max(watch.days) + timedelta(days=1)
    serves = canary(
        story,
        own,
        "staging",
        "v1.1.0",
        lambda: story.publish("v1.1.0"),
        told=True,
        records=records_of(watch.town.day(day)),
        meanwhile=lambda: watch.answer(day),
    )
    own["label_alarm_to_serving_seconds"] = round(serves - alarm, 1)
    watch.version = "1.1.0"
    answered = {path.parent.name for path in watch.log.glob(f"model_version=*/day={day}")}
    assert answered == {"model_version=1.0.0", "model_version=1.1.0"}
    assert watch.conclude(day).alarms.keys() <= {"labels"}


@needs("8_it_is_released_canaried_and_serves")
def test_9_no_request_was_lost(watch: Watch, figures: dict[str, Any]) -> None:
    for number in range((max(watch.days) - served_day(0)).days + 1, MONTH_DAYS):
        day = watch.live(number)
        assert day.alarms.keys() <= {"labels"}
    assert len(watch.days) == MONTH_DAYS
    own = figures["monitoring"]
    own["days"], own["asked"] = len(watch.days), watch.requests
    assert watch.failures == []
    assert own["failures"] == 0
