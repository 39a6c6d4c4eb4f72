"""What is written about one run, and that the threshold comes from validation."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ontime.cli import commands
from ontime.common.arrays import Matrix
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, sha256, write_parquet
from ontime.common.layout import TARGET
from ontime.common.params import load_section
from ontime.encoder import Encoder
from ontime.model_evaluation.evaluate import permutation_importance, write_csv
from ontime.model_evaluation.metrics import DIGITS, cost_per_1000
from ontime.model_evaluation.publish import large_slices
from ontime.model_evaluation.settings import Decision
from ontime.model_training.families import FAMILIES
from ontime.tasks.binary import Binary

RUN = Path("models/training_runs/logistic_regression")


@pytest.fixture
def copy(fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `evaluate logistic_regression` reads, to be changed."""
    for name in (Path("data/processed"), RUN):
        shutil.copytree(fork / name, tmp_path / name)
    shutil.copyfile(fork / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate() -> dict[str, str]:
    """Run the command and return the hash of every file of the run."""
    commands.main(["evaluate", "logistic_regression"], standalone_mode=False)
    return {str(path.relative_to(RUN)): sha256(path) for path in RUN.rglob("*") if path.is_file()}


def test_evaluating_again_writes_the_same_bytes(copy: Path) -> None:
    before = {str(path.relative_to(copy / RUN)): sha256(path) for path in (copy / RUN).rglob("*") if path.is_file()}
    assert evaluate() == before


def test_the_threshold_and_validation_metrics_do_not_depend_on_test_rows(copy: Path) -> None:
    before = evaluate()
    test = copy / "data" / "processed" / "test.parquet"
    rows = pd.read_parquet(test)
    write_parquet(rows.assign(**{TARGET: (1 - rows[TARGET]).astype("Int8")}), test)
    after = evaluate()
    for name in ("metrics/validation.json", "plots/importance.csv"):
        assert after[name] == before[name]
    for name in ("metrics/test.json", "metrics/slices.csv", "plots/roc.csv"):
        assert after[name] != before[name]


@pytest.mark.parametrize("family", FAMILIES["binary"])
def test_the_cost_follows_from_the_stored_probabilities_and_the_threshold(fork: Path, family: str) -> None:
    run = fork / "models" / "training_runs" / family
    threshold = read_json(run / "metrics" / "validation.json")["threshold"]
    decision = load_section("decision", Decision, fork / "params.yaml")
    assert threshold == np.float32(threshold)
    for part in ("validation", "test"):
        rows = pd.read_parquet(run / "predictions" / f"{part}.parquet")
        alarm = rows["probability"].to_numpy(dtype=np.float64) >= threshold
        cost = cost_per_1000(rows[TARGET].to_numpy(dtype=np.int8), alarm, decision)
        assert round(cost, DIGITS) == read_json(run / "metrics" / f"{part}.json")["cost_per_1000"]


def test_the_cost_of_mistakes_moves_the_threshold(copy: Path) -> None:
    evaluate()
    before = read_json(RUN / "metrics" / "validation.json")["threshold"]
    params = copy / "params.yaml"
    params.write_text(params.read_text().replace("missed_event_cost: 3.0", "missed_event_cost: 0.3"))
    evaluate()
    assert read_json(RUN / "metrics" / "validation.json")["threshold"] > before


def test_a_slice_that_is_no_feature_is_one_line(copy: Path) -> None:
    params = copy / "params.yaml"
    params.write_text(params.read_text().replace("slices:\n  - depot\n", "slices:\n  - depott\n"))
    with pytest.raises(OntimeError, match=r"^params\.yaml: evaluate\.slices: no column depott among the features$"):
        evaluate()


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_each_run_has_metrics_slices_and_curves(fork: Path, name: str) -> None:
    run = fork / "models" / "training_runs" / name
    validation, test = (read_json(run / "metrics" / f"{part}.json") for part in ("validation", "test"))
    assert set(validation) == {*test, "threshold"}
    slices = pd.read_csv(run / "metrics" / "slices.csv")
    assert set(slices["slice"]) == {
        *(f"depot={value}" for value in ("north", "south", "east", "(missing)")),
        "service=day",
        "service=night",
    }
    assert slices["rows"].sum() == 2 * test["rows"]
    plots = sorted(path.name for path in (run / "plots").iterdir())
    assert plots == ["calibration.csv", "importance.csv", "precision_recall.csv", "roc.csv"]


def test_importance_is_the_rise_of_the_loss_when_a_feature_is_shuffled() -> None:
    random = np.random.default_rng(0)
    matrix = random.random((400, 3)).astype(np.float32)
    labels = (matrix[:, 1] > 0.5).astype(np.int8)

    def predict(asked: Matrix) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.where(asked[:, 1] > 0.5, 0.9, 0.1) + 0.05 * asked[:, 2].astype(np.float64)

    untouched, encoder = matrix.copy(), Encoder(("none", "all", "little"), {})
    table = permutation_importance(predict, matrix, labels, encoder, 0, Binary())
    assert table["feature"].tolist()[0] == "all"
    assert table.set_index("feature")["log_loss_increase"]["none"] == 0
    assert table["log_loss_increase"][0] == pytest.approx(np.log(0.9 / 0.1) / 2, rel=0.15)
    np.testing.assert_array_equal(matrix, untouched)
    again = permutation_importance(predict, matrix, labels, encoder, 0, Binary())
    pd.testing.assert_frame_equal(table, again)


def test_the_columns_of_a_text_are_shuffled_together() -> None:
    random = np.random.default_rng(0)
    words = random.integers(0, 2, 400).astype(np.float32)
    # number, known words of the text, weights of its two terms
    matrix = np.column_stack([random.random(400), words, words, 1 - words]).astype(np.float32)

    def predict(asked: Matrix) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        together = (asked[:, 1] == asked[:, 2]) & (asked[:, 2] == 1 - asked[:, 3])
        return np.where(together, 0.1 + 0.8 * asked[:, 1], np.nan)

    encoder = Encoder(("number",), {}, {"text": {"bad": 1.0, "good": 1.0}})
    table = permutation_importance(predict, matrix, words.astype(np.int8), encoder, 0, Binary())
    assert table["feature"].tolist() == ["text", "number"]
    assert table["log_loss_increase"][0] == pytest.approx(np.log(0.9 / 0.1) / 2, rel=0.15)


def test_a_table_is_written_with_plain_numbers_and_lines(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": ["a,b", "c"], "value": [0.1, None], "count": [1, 2]}, index=[5, 6])
    write_csv(frame, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b'name,value,count\n"a,b",0.1,1\nc,,2\n'


@pytest.mark.parametrize(
    ("rows", "least", "shown"),
    [
        ([60, 30, 5], 5, [60, 30, 5]),
        # 4 alone would follow from the total
        ([60, 30, 4], 5, [60]),
        ([60, 4, 3], 5, [60]),
        ([60, 30, 4], 1, [60, 30, 4]),
        ([4], 5, []),
    ],
)
def test_a_slice_of_few_rows_is_not_shown_and_does_not_follow_from_the_others(
    rows: list[int], least: int, shown: list[int]
) -> None:
    table = pd.DataFrame({"slice": [f"depot={name}" for name in range(len(rows))], "rows": rows})
    other = pd.DataFrame({"slice": ["depot_of=a"], "rows": [90]})
    left = large_slices(pd.concat([table, other], ignore_index=True), ["depot", "depot_of"], least)
    assert list(left["rows"]) == [*shown, 90]


def test_the_parameter_decides_which_slices_are_written(copy: Path) -> None:
    evaluate()
    before = pd.read_csv(RUN / "metrics" / "slices.csv")
    params = copy / "params.yaml"
    params.write_text(params.read_text().replace("slice_rows: 5", f"slice_rows: {before['rows'].max() + 1}"))
    evaluate()
    assert len(before) and not len(pd.read_csv(RUN / "metrics" / "slices.csv"))
