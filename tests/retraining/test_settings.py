"""Settings of a retraining: a known parameter and a plain value, or nothing is written."""

import difflib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from ontime.common.errors import OntimeError
from ontime.parameters import load_params
from ontime.retraining.settings import LONGEST_LINE, MOST_CHARACTERS, MOST_LINES, read_settings
from tests.commands import run_command
from tests.live import PARAMS


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkout's parameters in a folder of their own."""
    path = tmp_path / "params.yaml"
    path.write_bytes(PARAMS.read_bytes())
    monkeypatch.chdir(tmp_path)
    return path


def set_lines(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    run_command("set")


@pytest.mark.parametrize(
    ("line", "section", "name", "value"),
    [
        ("split.test_from=2013-12-01T05:00:00Z", "split", "test_from", "2013-12-01T05:00:00Z"),
        ('split.test_from="2013-12-01T05:00:00+01:00"', "split", "test_from", "2013-12-01T05:00:00+01:00"),
        ("split.seed=7", "split", "seed", 7),
        ("decision.false_alarm_cost=2", "decision", "false_alarm_cost", 2.0),
        ("tune.trials=3", "tune", "trials", 3),
        ('evaluate.slices=["carrier", "dest"]', "evaluate", "slices", ["carrier", "dest"]),
        ("split.until=2013-12-31T06:00:00Z", "split", "until", "2013-12-31T06:00:00Z"),
    ],
)
def test_one_line_of_the_file_changes_and_the_rest_stays(
    params: Path, monkeypatch: pytest.MonkeyPatch, line: str, section: str, name: str, value: Any
) -> None:
    before = params.read_text()
    set_lines(monkeypatch, f"\n{line}\r\n\n")
    assert getattr(getattr(load_params(params), section), name) == value
    changed = [one for one in difflib.ndiff(before.splitlines(), params.read_text().splitlines()) if one[0] in "+-"]
    assert [one[0] for one in changed] == ["-", "+"]


def test_a_list_that_was_empty_gets_a_line_for_each_day(params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = params.read_text()
    days = [f"2013-12-{day:02d}" for day in range(1, 32)]
    set_lines(monkeypatch, f"split.excluded_days={json.dumps(days)}")
    assert load_params(params).split.excluded_days == days
    written = "".join(f"\n  - '{day}'" for day in days)
    assert params.read_text() == before.replace("excluded_days: []", f"excluded_days:{written}")


def test_without_settings_nothing_changes(params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = params.read_bytes()
    set_lines(monkeypatch, "\n\n")
    assert params.read_bytes() == before


@pytest.mark.attack("dispatch-input")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('dvc.yaml:stages.ingest.cmd="touch owned"', "expected KEY=VALUE, with a key"),
        ("params.yaml:split.seed=1", "expected KEY=VALUE, with a key"),
        ("+split.seed=1", "expected KEY=VALUE, with a key"),
        ("++split.seed=1", "expected KEY=VALUE, with a key"),
        ("~split.seed", "expected KEY=VALUE, with a key"),
        ("~split.seed=0", "expected KEY=VALUE, with a key"),
        ("split.seed=0\v--help=1", "a text may have"),
        ("--force", "expected KEY=VALUE, with a key"),
        ("=1", "expected KEY=VALUE, with a key"),
        ("split.seed", "expected KEY=VALUE, with a key"),
        (" split.seed=1", "expected KEY=VALUE, with a key"),
        ("split.__class__=1", "expected KEY=VALUE, with a key"),
        ("split.test_from=${oc.env:GITHUB_TOKEN}", "a text may have"),
        ('split.test_from="${oc.env:GITHUB_TOKEN}"', "a text may have"),
        ("split.test_from=$(id)", "a text may have"),
        ("split.test_from=`id`", "a text may have"),
        ('split.test_from="2013\\n${x}"', "a text may have"),
        ("split.test_from=2013\u202e", "a text may have"),
        ('evaluate.slices=["carrier", "${x}"]', "a text may have"),
        ("split.test_from=" + "9" * 201 + "x", "a text may have"),
        ("split.seed=!!python/object/apply:os.system [id]", "a text may have"),
        ("split.by=[time]", "a text may have"),
        ("split={}", "expected one value"),
        ('train.random_forest={"n_estimators": 1}', "expected one value"),
        ("evaluate.slices=[[1]]", "expected one value"),
        ("split.test_fraction=NaN", "NaN is not a number"),
        ("split.test_fraction=-Infinity", "Infinity is not a number"),
        ("data.options.late_minutes=1e999", "too large a number"),
        ("split.seed=1\nsplit.seed=2", "the key is set twice"),
        ("split.seed=" + "1" * LONGEST_LINE, f"longer than {LONGEST_LINE:,} characters"),
        ("split.test_from=" + "[" * LONGEST_LINE, f"longer than {LONGEST_LINE:,} characters"),
        ("\n".join(["split.seed=1"] * (MOST_LINES + 1)), "51 lines; at most 50"),
        ("\n" * (MOST_CHARACTERS + 1), f"longer than {MOST_CHARACTERS:,} characters"),
        ("split.sed=1", "split.sed: unknown key; did you mean seed?"),
        ("spilt.seed=1", "spilt: unknown key; did you mean split?"),
        ("split.seed.inner=1", "split.seed.inner: unknown key"),
        ("data.options.path=/etc/passwd", "data.options.path: unknown key"),
        ("train.gradient_boosting.callbacks=1", "train.gradient_boosting.callbacks: unknown key"),
        ("train=1", "train: a section; set one of its parameters"),
        ("split.seed=true", "split.seed: expected a number, found True"),
        ("split.seed=1.5", "split.seed: input should be a valid integer"),
        ("split.seed=-1", "split.seed: input should be greater than or equal to 0"),
        ("split.seed=one", "split.seed: expected a number, found 'one'"),
        ("split.seed=null", "split.seed: expected a number, found None"),
        ("split.seed=[1]", "split.seed: expected a number, found [1]"),
        ("evaluate.slices=carrier", "evaluate.slices: expected a list, found 'carrier'"),
        ("evaluate.slices=[1]", "evaluate.slices: expected a list of a text, found [1]"),
        ("train.neural_network.hidden_units=[true]", "hidden_units: expected a list of a number"),
        ("split.by=month", "split.by: input should be 'time', 'group' or 'stratified'"),
        ("split.test_from=2000-01-01T00:00:00Z", "validation_from must be before test_from"),
        ("train.random_forest.n_estimators=0", "n_estimators: input should be greater than or equal to 1"),
        ("gate.confidence=0.5", "gate.confidence: not set for a retraining, because it judges what is trained"),
        ("gate.metrics.roc_auc.absolute=1", "not set for a retraining, because it judges what is trained"),
        ("data.source=https://example.invalid/x.csv", "not set for a retraining, because it says where data is read"),
        ("engine.backend=spark", "not set for a retraining, because it says where tasks run"),
        ("forward.folds=1", "not set for a retraining, because it makes the limits of what is served"),
        ("retraining.every_days=1", "not set for a retraining, because it decides when a model is trained"),
        ("export.name=other", "not set for a retraining, because it is the name of the versions"),
        ("split.seed=1\nsplit.test_from=${x}", "a text may have"),
        ("split.seed=1\nsplit.by=month", "split.by: input should be"),
    ],
)
def test_a_line_that_is_more_than_a_parameter_and_its_value_is_refused_and_nothing_is_written(
    params: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    before = params.read_bytes()
    with pytest.raises(OntimeError) as error:
        set_lines(monkeypatch, text)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
    assert [path.name for path in params.parent.iterdir()] == ["params.yaml"]
    assert params.read_bytes() == before


def test_what_other_alphabets_write_is_a_text() -> None:
    assert read_settings("split.by=größe")["split.by"] == "größe"
