"""Folds of any training and validation rows: each row in one, no group in two, none that sees what came later."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontime.common.errors import OntimeError
from ontime.common.layout import TARGET, Layout
from ontime.common.params import check
from ontime.data_processing.folds import assign_folds, most_folds
from ontime.data_processing.split import MOST_FOLDS, Split
from ontime.model_training.out_of_fold_file import fitted_for
from ontime.tasks.binary import LEAST_CLASS_ROWS, Binary
from ontime.tasks.multiclass import Multiclass
from ontime.tasks.regression import Regression
from ontime.tasks.task import Task

LAYOUT = Layout(["row"], "when", ["size"], [], group="person")
BEGIN, VALIDATION = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-03-01", tz="UTC")
EXAMPLES = settings(max_examples=30, deadline=None, derandomize=True, database=None)
TASKS = [Binary(), Multiclass(["a", "b", "c"]), Regression()]


def split_of(folds: int, by: str = "stratified", seed: int = 0) -> Split:
    content: dict[str, Any] = {
        "by": by,
        "validation_from": VALIDATION.tz_convert("Asia/Tokyo").isoformat(),
        "test_from": "2024-04-01",
        "until": None,
        "excluded_days": [],
        "validation_fraction": 0.2,
        "test_fraction": 0.1,
        "seed": seed,
        "folds": folds,
        "min_category_rows": 2,
    }
    return check(Split, content, "split")


def table(count: int, task: Task, seed: int, persons: int = 60, days: int = 90, share: float = 0.4) -> pd.DataFrame:
    """Rows up to the validation boundary and some of the validation rows behind it, in disorder."""
    random = np.random.default_rng(seed)
    target: Any = (random.random(count) < share).astype(int)
    if task.classes:
        target = random.integers(0, len(task.classes), count)
    if task.name == "regression":
        target = random.normal(size=count)
    when = BEGIN + pd.to_timedelta(random.integers(0, days, count), unit="D")
    return pd.DataFrame(
        {
            "row": np.arange(count),
            "when": when,
            "person": random.integers(0, persons, count).astype("str"),
            TARGET: pd.Series(target).astype("Float64" if task.name == "regression" else "Int8"),
        }
    )


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@EXAMPLES
@given(st.integers(200, 500), st.integers(2, 8), st.integers(0, 99))
def test_a_stratified_row_is_in_one_fold_and_a_fold_has_its_share_of_rows_and_of_each_stratum(
    task: Task, count: int, folds: int, seed: int
) -> None:
    rows = table(count, task, seed)
    fold = assign_folds(rows, LAYOUT, split_of(folds, seed=seed), task)
    for members in (np.arange(count), *task.strata(rows[TARGET])):
        sizes = np.bincount(fold[members], minlength=folds + 1)
        assert sizes[0] == 0
        assert sizes[1:].max() - sizes[1:].min() <= 1
    for number in range(1, folds + 1):
        assert (fitted_for(number, fold) == (fold != number)).all()


@EXAMPLES
@given(st.integers(300, 500), st.integers(2, 5), st.integers(0, 99), st.integers(40, 200))
def test_no_group_is_in_two_folds_and_every_row_is_in_one(count: int, folds: int, seed: int, persons: int) -> None:
    rows = table(count, Binary(), seed, persons)
    fold = assign_folds(rows, LAYOUT, split_of(folds, "group", seed), Binary())
    assert set(fold) == set(range(1, folds + 1))
    assert pd.Series(fold).groupby(rows["person"].to_numpy()).nunique().max() == 1


@EXAMPLES
@given(st.integers(300, 600), st.integers(2, 6), st.integers(0, 99), st.sampled_from(["s", "ms", "us", "ns"]))
def test_a_window_is_predicted_by_earlier_rows_alone_and_the_last_one_is_the_validation_rows(
    count: int, folds: int, seed: int, unit: Any
) -> None:
    rows = table(count, Binary(), seed)
    rows["when"] = rows["when"].dt.as_unit(unit)
    fold = assign_folds(rows, LAYOUT, split_of(folds, "time"), Binary())
    assert set(fold) == set(range(folds + 1))
    assert ((fold == folds) == (rows["when"] >= VALIDATION)).all()
    for number in range(1, folds + 1):
        fitted, asked = rows["when"][fitted_for(number, fold)], rows["when"][fold == number]
        assert fitted.max() < asked.min()
        assert len(fitted) == (rows["when"] < asked.min()).sum()
    windows = np.bincount(fold)[1:-1]
    assert len(windows) < 2 or windows.max() - windows.min() <= 2 * rows["when"].value_counts().max()


@pytest.mark.parametrize("by", ["stratified", "group", "time"])
def test_another_seed_gives_other_folds_but_by_time_and_the_same_seed_the_same(by: str) -> None:
    rows = table(400, Binary(), 0)
    first, again, other = (assign_folds(rows, LAYOUT, split_of(4, by, seed), Binary()) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first == other).all() == (by == "time")


@pytest.mark.parametrize(("events", "most"), [(2 * LEAST_CLASS_ROWS, 2), (7 * LEAST_CLASS_ROWS - 1, 6)])
def test_more_folds_than_the_rarer_class_has_rows_for_are_refused_with_what_to_set(events: int, most: int) -> None:
    rows = table(400, Binary(), 0).assign(**{TARGET: pd.Series([1] * events + [0] * (400 - events), dtype="Int8")})
    with pytest.raises(OntimeError) as error:
        assign_folds(rows, LAYOUT, split_of(10), Binary())
    assert str(error.value) == (
        f"params.yaml: split.folds: 10: fold 1 has {events // 10} rows of the rarer class and needs 5; "
        f"set {most} or fewer, or add rows"
    )
    assert most_folds(rows, LAYOUT, split_of(MOST_FOLDS), Binary()) == most
    assign_folds(rows, LAYOUT, split_of(most), Binary())


def test_more_folds_than_groups_are_refused_with_what_to_set() -> None:
    rows = table(400, Binary(), 0, persons=3)
    with pytest.raises(
        OntimeError, match=r"^params\.yaml: split\.folds: 4: fold \d has 0 rows of the .*; set 3 or fewer"
    ):
        assign_folds(rows, LAYOUT, split_of(4, "group"), Binary())


def test_windows_without_a_class_or_without_moments_are_refused_with_what_to_set() -> None:
    rows = table(400, Binary(), 0)
    late = rows.assign(**{TARGET: rows[TARGET].mask(rows["when"] < BEGIN + pd.Timedelta(days=40), 0)})
    same = rows.assign(when=rows["when"].where(rows["when"] >= VALIDATION, BEGIN))
    for one, fold in ((late, 0), (same, 0)):
        told = f"^params\\.yaml: split\\.folds: 3: fold {fold} has 0 rows of the .*; set 1, which takes the validation"
        with pytest.raises(OntimeError, match=told):
            assign_folds(one, LAYOUT, split_of(3, "time"), Binary())


def test_of_classes_and_numbers_a_fold_needs_what_a_part_needs() -> None:
    rows = table(400, Multiclass(["a", "b", "c"]), 0)
    rare = rows.assign(**{TARGET: rows[TARGET].mask(rows.index > 8, rows[TARGET] % 2)})
    with pytest.raises(
        OntimeError, match=r"^params\.yaml: split\.folds: 5: fold \d has \d rows of class c and needs 5; "
    ):
        assign_folds(rare, LAYOUT, split_of(5), Multiclass(["a", "b", "c"]))
    few = table(10, Regression(), 0)
    with pytest.raises(OntimeError, match=r"fold 1 has 2 different values and needs 3; set 3 or fewer, or add rows$"):
        assign_folds(few, LAYOUT, split_of(5), Regression())


@pytest.mark.parametrize("folds", [0, MOST_FOLDS + 1])
def test_folds_out_of_range_are_refused(folds: int) -> None:
    with pytest.raises(OntimeError, match=r"^split: folds: input should be "):
        split_of(folds)
