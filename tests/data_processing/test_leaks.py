"""What of a table is told as a leak, an identifier or a group, and what is not."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from ontime.common.layout import Layout
from ontime.data_processing.leaks import identifiers, suspicions

ROWS = 400


@pytest.fixture
def labels() -> "pd.Series[Any]":
    """0 or 1 of each row, and some missing."""
    drawn = np.random.default_rng(1).random(ROWS) < 0.4
    return pd.Series(drawn.astype(int), dtype="Int8").mask(pd.Series(np.arange(ROWS) % 50 == 7))


def told(labels: "pd.Series[Any]", group: str | None = None, **columns: Any) -> list[str]:
    """The lines on a table of these columns, all of which are features; `y` is the target."""
    frame = pd.DataFrame(columns).reset_index(drop=True)
    categories = [name for name in columns if pd.api.types.is_string_dtype(frame[name])]
    layout = Layout(["row"], None, [name for name in columns if name not in categories], categories, group)
    return list(suspicions(frame.assign(y=labels), labels, layout, "y"))


def random_of() -> np.random.Generator:
    return np.random.default_rng(2)


Make = Callable[[Any], Any]

COPIES: dict[str, Make] = {
    "number": lambda labels: labels.astype("float64"),
    "opposite": lambda labels: 1 - labels.astype("Int64"),
    "text": lambda labels: labels.map({0: "no", 1: "yes"}).astype("str"),
    "boolean": lambda labels: (labels == 1).fillna(False).astype(bool),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_of_the_target_is_named(labels: "pd.Series[Any]", kind: str) -> None:
    (line,) = told(labels, copy=COPIES[kind](labels), x=random_of().normal(size=ROWS))
    assert line.startswith("copy: says the same as y in all 392 rows, so it may be the target under another name;")
    assert "--exclude copy" in line


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_that_follows_a_target_of_numbers_is_named_and_a_good_feature_is_not(sign: int) -> None:
    prices = pd.Series(random_of().gamma(2, size=ROWS))
    good = prices + 0.2 * random_of().permutation(prices.to_numpy())
    (line,) = told(prices, copy=sign * prices**3, good=good, few=prices.round())
    assert line.startswith(f"copy: follows y row by row (rank correlation {sign:.3f});") and "--exclude copy" in line


def test_a_feature_that_tells_all_classes_apart_is_named_and_one_that_tells_some_is_not() -> None:
    labels = pd.Series(random_of().integers(0, 3, ROWS), dtype="Int8")
    columns = {
        "copy": labels.map({0: "zero", 1: "one", 2: "two"}).astype("str"),
        "number": labels.astype("float64") + random_of().uniform(0, 0.9, ROWS),
        "some": (labels == 1).astype(bool),
    }
    frame = pd.DataFrame(columns).assign(y=labels)
    layout = Layout(["row"], None, ["number", "some"], ["copy"], classes=["a", "b", "c"])
    lines = list(suspicions(frame, labels, layout, "y"))
    assert [line.partition(":")[0] for line in lines] == ["number", "copy"]
    assert all("alone tells the 3 classes of y apart" in line and "--exclude" in line for line in lines)


SEPARATING: dict[str, Make] = {
    "threshold": lambda event: np.where(event, 5.0, -5.0) + random_of().normal(size=ROWS),
    "within a range": lambda event: (
        np.where(event, 0.0, random_of().choice([-9.0, 9.0], ROWS)) + random_of().normal(size=ROWS)
    ),
    "missing": lambda event: np.where(event, random_of().normal(size=ROWS), np.nan),
    "status": lambda event: np.where(
        event, random_of().choice(["paid late", "default"], ROWS), random_of().choice(["paid", "open"], ROWS)
    ),
    "code": lambda event: np.where(event, random_of().choice([1, 7], ROWS), random_of().choice([3, 9], ROWS)),
    "date": lambda event: (
        pd.to_datetime("2020-01-01", utc=True)
        + pd.to_timedelta(np.where(event, 0, 100) + random_of().integers(0, 90, ROWS), unit="D")
    ),
}


@pytest.mark.parametrize("kind", SEPARATING)
def test_a_feature_that_alone_tells_the_classes_apart_is_named(labels: "pd.Series[Any]", kind: str) -> None:
    lines = told(labels, leak=SEPARATING[kind]((labels == 1).fillna(False).to_numpy(dtype=bool)))
    assert [line[:44] for line in lines] == ["leak: alone tells the two values of y apart "]
    assert "--exclude leak" in lines[0]


def test_strong_but_honest_features_are_not_named(labels: "pd.Series[Any]") -> None:
    random, event = random_of(), (labels == 1).fillna(False).to_numpy(dtype=bool)
    assert (
        told(
            labels,
            strong=event * 2.0 + random.normal(size=ROWS),
            holes=np.where(random.random(ROWS) < 0.5, np.nan, 1.0),
            kind=np.where(event, random.choice(["a", "b"], ROWS), random.choice(["a", "c"], ROWS)),
            rare=[f"v{number // 5}" for number in range(ROWS)],
            age=(event * 8 + random.integers(20, 80, ROWS)).astype("int64"),
            empty=np.full(ROWS, np.nan),
            constant=np.ones(ROWS),
            flag=random.random(ROWS) < 0.5,
        )
        == []
    )


def test_whole_numbers_that_are_all_different_may_name_rows(labels: "pd.Series[Any]") -> None:
    (line,) = told(labels, id=random_of().permutation(ROWS), x=random_of().normal(size=ROWS))
    assert line == "id: its 400 whole numbers are all different, so they may name rows; --exclude id?"


@pytest.mark.parametrize("kind", ["str", "int64"])
def test_repeated_values_whose_label_hardly_changes_may_be_a_group(kind: Literal["str", "int64"]) -> None:
    random = random_of()
    patient = random.integers(0, 80, ROWS)
    ill = random.random(80) < 0.3
    labels = pd.Series((ill[patient] ^ (random.random(ROWS) < 0.03)).astype(int), dtype="Int8")
    named = pd.Series(patient).astype(kind)
    (line,) = told(labels, patient=named)
    assert line.startswith("patient: rows that share a value of it nearly always share y; ")
    assert line.endswith("--group patient")
    assert told(labels, group="patient", patient=named) == []


def test_texts_that_hardly_come_up_again_are_named(labels: "pd.Series[Any]") -> None:
    (line,) = told(labels, note=[f"v{number // 4}" for number in range(ROWS)], kind=["a", "b"] * 200)
    assert line == "note: none of its 100 texts is in 5 rows, so a model learns nothing from them; --exclude note?"


def test_texts_that_no_two_rows_share_are_identifiers() -> None:
    frame = pd.DataFrame({"id": ["a", "b", "c"], "holes": ["a", None, "b"], "twice": ["a", "a", "b"], "n": [1, 2, 3]})
    assert identifiers(frame, Layout(["row"], None, ["n"], ["id", "holes", "twice"])) == ["id"]


def test_a_large_table_is_looked_at_in_parts() -> None:
    event = np.arange(250_000) % 10 < 3
    labels = pd.Series(event.astype(int), dtype="Int8")
    frame = pd.DataFrame({"leak": event * 1.0 + np.arange(250_000) / 1e6, "y": labels})
    (line,) = suspicions(frame, labels, Layout(["row"], None, ["leak"], []), "y")
    assert line.startswith("leak: alone tells")


@pytest.mark.parametrize("targets", [[1] * ROWS, [0.5, 1.5] * (ROWS // 2)])
def test_a_target_that_is_not_of_two_classes_has_no_leaks(targets: list[float]) -> None:
    assert told(pd.Series(targets), x=np.array(targets)) == []
