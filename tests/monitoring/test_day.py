"""A day's checks, what follows, report and metrics; the same bytes after any interruption."""

import io
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from ontime.data_processing.split import Split
from ontime.monitoring.checks import CHECKS, LabelSource
from ontime.monitoring.day_files import DayRecord
from ontime.monitoring.days import ALARM, Checked, Day, Finding
from ontime.monitoring.monitor import command
from ontime.parameters import load_params
from ontime.retraining.settings import read_settings
from tests.checkouts import environment
from tests.watched import LIVE_DAYS, ROWS, add_labels, watched_model

FAULTY = LIVE_DAYS[3]
KILLS = 25
OPTIONS = ["--log", "log", "--model", "model", "--model-version", "1.1.0"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A watched model whose fourth day has a fault."""
    monkeypatch.chdir(tmp_path)
    return watched_model(tmp_path, LIVE_DAYS, [FAULTY])


def monitor(*arguments: str) -> tuple[int, str]:
    """Exit status and output of a command of the group."""
    done = CliRunner().invoke(command, list(arguments), catch_exceptions=True)
    return done.exit_code, done.output + str(done.exception or "")


def contents(output: Path) -> dict[str, bytes]:
    """The files below a folder."""
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(output.rglob("*")) if path.is_file()}


def day_of(checkout: Path, day: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((checkout / "monitoring" / "day" / f"{day}.json").read_text())
    return found


def test_a_sound_day_and_a_faulty_one(checkout: Path) -> None:
    status, text = monitor("day", LIVE_DAYS[2], *OPTIONS)
    assert status == 0, text
    assert "No alarm." in text
    assert day_of(checkout, LIVE_DAYS[2])["quarantined"] is False
    status, text = monitor("day", FAULTY, *OPTIONS)
    assert status == ALARM, text
    found = DayRecord.model_validate(day_of(checkout, FAULTY))
    assert {one.cause for one in found.checks["inputs"]} == {"depot"}
    assert (found.quarantined, found.challenger) == (True, None)
    report = (checkout / "monitoring" / "report.md").read_text()
    assert text.startswith(report)
    assert "1 alarm. The day is quarantined" in report
    assert f"- inputs: `depot`, since {FAULTY}" in report
    assert f"## Inputs on {FAULTY}" in report


def test_the_pictures_of_the_report_show_something(checkout: Path) -> None:
    monitor("day", FAULTY, *OPTIONS)
    report = (checkout / "monitoring" / "report.md").read_text()
    assert "![inputs](inputs.png)" in report
    image = Image.open(io.BytesIO((checkout / "monitoring" / "inputs.png").read_bytes())).convert("RGB")
    assert image.size[0] > 500
    colours = image.getcolors(1 << 24)
    assert colours is not None and len(colours) > 50


def test_all_metrics_are_one_text_that_prometheus_reads(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor("day", FAULTY, *OPTIONS)

    def other(where: Day, _: LabelSource) -> Checked:
        text = (where.output / "inputs.prom").read_text()
        (where.output / "other.prom").write_text(
            text.replace('check="inputs"', 'check="other"').partition("# HELP ontime_monitor_rows")[0]
        )
        return Checked("other", [], "## Other")

    monkeypatch.setitem(CHECKS, "other", other)
    monitor("day", LIVE_DAYS[4], *OPTIONS)
    text = (checkout / "monitoring" / "day.prom").read_text()
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert len(families) == text.count("# TYPE") == text.count("# HELP")
    assert [one.labels["check"] for one in families["ontime_monitor_alarms"]] == ["inputs", "other"]
    assert families["ontime_monitor_rows"][0].value == ROWS
    assert families["ontime_monitor_incidents_open"][0].value == 1
    assert families["ontime_monitor_quarantined_days"][0].value == 1


def test_a_check_that_cannot_run_is_told_with_its_reason_and_the_others_run(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "model" / "reference.json").unlink()
    status, text = monitor("day", FAULTY, *OPTIONS)
    assert status == 1
    assert "no check could run: inputs: model/reference.json: not found" in text
    assert not (checkout / "monitoring").exists()

    def replay(where: Day, _: LabelSource) -> Checked:
        (where.output / "replay.prom").parent.mkdir(exist_ok=True)
        (where.output / "replay.prom").write_text("")
        return Checked("replay", [Finding("replay", 3, 0)], "## Replay")

    monkeypatch.setitem(CHECKS, "replay", replay)
    status, text = monitor("day", FAULTY, *OPTIONS)
    assert status == ALARM, text
    found = DayRecord.model_validate(day_of(checkout, FAULTY))
    assert found.skipped["inputs"].startswith("model/reference.json: not found")
    assert found.quarantined


@pytest.mark.parametrize("day", ["yesterday", "2024-04-31", "../../x", "2024-04-20"])
def test_a_day_that_is_none_is_one_line_and_nothing_is_written(checkout: Path, day: str) -> None:
    status, text = monitor("day", day, *OPTIONS)
    assert status == 1
    assert "Traceback" not in text
    assert not (checkout / "monitoring" / "day").exists()


def test_a_schedule_asks_for_a_challenger_with_settings_that_a_retraining_takes(checkout: Path) -> None:
    path = checkout / "params.yaml"
    path.write_text(path.read_text().replace("every_days: 14", "every_days: 7"))
    monitor("day", FAULTY, *OPTIONS)
    assert monitor("challenger", FAULTY) == (0, "")
    status, _ = monitor("day", LIVE_DAYS[4], *OPTIONS)
    assert status == 0
    # the newest row of the reference is of 25 March
    assert day_of(checkout, LIVE_DAYS[4])["challenger"] == "schedule"
    status, text = monitor("challenger", LIVE_DAYS[4])
    assert status == 0, text
    assert monitor("challenger", FAULTY) == (0, "")
    assert "2024-04-09 was not checked" in monitor("challenger", "2024-04-09")[1]
    settings = read_settings(text)
    assert settings["split.until"] == "2024-04-06T00:00:00Z"
    assert settings["split.excluded_days"] == [FAULTY]
    names = {key.removeprefix("split."): value for key, value in settings.items()}
    assert Split.model_validate({**load_params(path).split.model_dump(), **names}).excluded_days == [FAULTY]


@pytest.mark.parametrize(("odds", "reason"), [(1.0, None), (4.0, "labels")])
def test_labels_that_the_model_does_not_expect_ask_for_a_challenger_while_no_incident_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odds: float, reason: str | None
) -> None:
    days = ["2024-03-31", *(f"2024-04-{day:02d}" for day in range(1, 8))]
    for name, faulty in (("clean", []), ("fault", days[-2:-1])):
        monkeypatch.chdir(watched_model(tmp_path / name, days, faulty))
        labels = ["--labels", str(add_labels(tmp_path / name, odds))]
        for day in days[-2:] if faulty else days[-1:]:
            monitor("day", day, *OPTIONS, *labels)
        found = DayRecord.model_validate(day_of(tmp_path / name, days[-1]))
        assert bool(found.checks["labels"]) == (odds > 1), found
        assert found.challenger == (reason if name == "clean" else None)
        families = text_string_to_metric_families((tmp_path / name / "monitoring" / "day.prom").read_text())
        assert {"ontime_monitor_quality", "ontime_monitor_input_shift"} <= {family.name for family in families}
        assert "![quality](quality.png)" in (tmp_path / name / "monitoring" / "report.md").read_text()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"checks": {"inputs": [{"cause": "a", "found": "much", "limit": 1}]}}, "found"),
        ({"checks": {"../x": []}}, "checks"),
        ({"day": "2024-01-01"}, "is of 2024-01-01"),
        ({"challenger": "now"}, "challenger"),
        ({"more": 1}, "more"),
    ],
)
def test_a_days_file_of_another_form_is_one_line(checkout: Path, change: dict[str, object], reason: str) -> None:
    monitor("day", FAULTY, *OPTIONS)
    path = checkout / "monitoring" / "day" / f"{FAULTY}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    status, text = monitor("day", LIVE_DAYS[4], *OPTIONS)
    assert status == 1
    assert f"monitoring/day/{FAULTY}.json: " in text
    assert reason in text
    assert len(text.strip().splitlines()) == 1


def test_a_second_run_gives_the_same_bytes(checkout: Path) -> None:
    for day in (FAULTY, LIVE_DAYS[4]):
        monitor("day", day, *OPTIONS)
    first = contents(checkout / "monitoring")
    monitor("day", LIVE_DAYS[4], *OPTIONS)
    assert contents(checkout / "monitoring") == first


@pytest.mark.rehearsal
def test_kills_at_any_moment_leave_what_another_run_makes_whole(checkout: Path) -> None:
    program = [sys.executable, "-m", "ontime", "monitor", "day"]
    started = time.monotonic()
    for day in (FAULTY, LIVE_DAYS[4]):
        options = [*OPTIONS, "--output", "expected"]
        subprocess.run([*program, day, *options], cwd=checkout, env=environment(), check=False, capture_output=True)
    seconds = (time.monotonic() - started) / 2
    drawn, alive, seen = random.Random(3), 0, set()
    for number in range(KILLS):
        day = (FAULTY, LIVE_DAYS[4])[number % 2]
        process = subprocess.Popen(
            [*program, day, *OPTIONS, "--output", "found"], cwd=checkout, env=environment(), stdout=subprocess.DEVNULL
        )
        time.sleep(drawn.uniform(0.3 * seconds, 1.1 * seconds))
        alive += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen.add(len(contents(checkout / "found")))
        for path in sorted((checkout / "found").rglob("*.json")):
            if not path.name.startswith("."):
                json.loads(path.read_bytes())
            if drawn.random() < 0.5:
                path.unlink()
    assert alive > KILLS // 3
    assert len(seen) > 2
    for day in (FAULTY, LIVE_DAYS[4]):
        subprocess.run(
            [*program, day, *OPTIONS, "--output", "found"],
            cwd=checkout,
            env=environment(),
            check=False,
            capture_output=True,
        )
    expected, found = (
        {name: content for name, content in contents(checkout / top).items() if not name.endswith(".partial")}
        for top in ("expected", "found")
    )
    assert found == expected
