"""Parts by time or stratified, and the vocabulary of the training rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.common.layout import TARGET, Layout
from ontime.common.params import check
from ontime.data_processing.split import PARTS, Split, assign_parts, left_out, vocabulary_of
from ontime.tasks.binary import Binary
from ontime.tasks.multiclass import Multiclass

LAYOUT = Layout(key=["row"], time="when", numbers=["size"], categories=["kind"])


def split_of(**changes: Any) -> Split:
    settings: dict[str, Any] = {
        "by": "time",
        "validation_from": "2013-03-01",
        "test_from": "2013-04-01T00:00:00+02:00",
        "until": None,
        "excluded_days": [],
        "validation_fraction": 0.2,
        "test_fraction": 0.1,
        "seed": 0,
        "folds": 1,
        "min_category_rows": 2,
    }
    return check(Split, settings | changes, "split")


def labelled(rows: int, events: int, missing: int = 0) -> pd.DataFrame:
    labels = [1] * events + [0] * (rows - events - missing) + [None] * missing
    return pd.DataFrame({"row": range(rows), TARGET: pd.Series(labels, dtype="Int8")})


def test_boundaries_belong_to_the_later_part_and_are_utc_unless_they_say_more() -> None:
    moments = ["2013-02-28T23:59:59.999999", "2013-03-01", "2013-03-31T21:59:59", "2013-03-31T22:00:00", "2014-01-01"]
    rows = pd.DataFrame({"when": pd.to_datetime(moments, utc=True, format="ISO8601")})
    expected = ["train", "validation", "validation", "test", "test"]
    assert assign_parts(rows, LAYOUT, split_of(), Binary()).tolist() == expected


def test_a_row_without_a_time_is_in_no_part() -> None:
    rows = pd.DataFrame({"when": pd.to_datetime(pd.Series(["2013-01-01", None]), utc=True)})
    first, second = assign_parts(rows, LAYOUT, split_of(), Binary())
    assert first == "train"
    assert second not in ("train", "validation", "test")


def test_rows_from_the_watermark_on_and_those_of_excluded_days_are_left_out() -> None:
    moments = ["2013-04-01T23:59:59", "2013-04-02", "2013-04-03T00:00:00", "2013-04-04T07:59:59", "2013-04-04T08:00:00"]
    rows = pd.DataFrame({"when": pd.to_datetime(pd.Series([*moments, None]), utc=True, format="ISO8601")})
    split = split_of(until="2013-04-04T10:00:00+02:00", excluded_days=["2013-04-02", "2013-01-01"])
    assert left_out(rows, LAYOUT, split).tolist() == [False, True, False, False, True, False]
    assert not left_out(rows, LAYOUT, split_of()).any()


@pytest.mark.parametrize("changes", [{"until": "2014-01-01"}, {"excluded_days": ["2013-01-01"]}])
def test_rows_without_a_time_have_no_watermark_and_no_days(changes: dict[str, Any]) -> None:
    rows, layout = labelled(4, 2), Layout(key=["row"], time=None, numbers=[], categories=[])
    with pytest.raises(OntimeError, match=r"until and excluded_days need data\.options\.time"):
        left_out(rows, layout, split_of(by="stratified", **changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"until": "2013-03-31T22:00:00Z"}, "until must be after test_from"),
        ({"until": "soon"}, "not an ISO 8601 time"),
        ({"by": "stratified", "until": "soon"}, "not an ISO 8601 time"),
        ({"excluded_days": ["2013-02-30"]}, "excluded_days"),
        ({"excluded_days": ["2013-02-01T00:00"]}, "expected a day"),
        ({"excluded_days": ["20130201"]}, "expected a day"),
    ],
)
def test_a_watermark_or_day_that_is_none_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(OntimeError, match=reason):
        split_of(**changes)


def test_a_split_by_time_needs_a_time() -> None:
    rows, layout = labelled(4, 2), Layout(key=["row"], time=None, numbers=[], categories=[])
    with pytest.raises(OntimeError, match=r"split\.by: time needs data\.options\.time; or use stratified"):
        assign_parts(rows, layout, split_of(), Binary())


def test_each_class_is_divided_by_the_fractions() -> None:
    rows = labelled(1010, 200, missing=10)
    parts = assign_parts(rows, LAYOUT, split_of(by="stratified"), Binary())
    known, labels = parts[:1000], rows[TARGET][:1000].to_numpy(dtype=int)
    counts = {name: [int(((known == name) & (labels == value)).sum()) for value in (0, 1)] for name in PARTS}
    assert counts == {"train": [560, 140], "validation": [160, 40], "test": [80, 20]}


@pytest.mark.parametrize("seed", range(5))
def test_a_split_by_group_divides_the_groups_with_the_rarest_class_by_the_fractions(seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds = random.choice(3, 100, p=[0.5, 0.4, 0.1])
    group = np.repeat(np.arange(100), 10)
    rows = pd.DataFrame({"row": range(1000), "group": group, TARGET: pd.Series(kinds[group], dtype="Int8")})
    layout = Layout(["row"], None, [], [], "group", ["a", "b", "c"])
    parts = pd.Series(assign_parts(rows, layout, split_of(by="group", seed=seed), Multiclass(layout.classes)))
    assert parts.groupby(group).nunique().max() == 1
    shares = parts[rows[TARGET] == kinds[np.bincount(kinds)[kinds].argmin()]].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"train": 0.7, "validation": 0.2, "test": 0.1}, abs=0.15)
    assert set(shares.index) == set(PARTS)


def test_the_seed_alone_decides_who_goes_where() -> None:
    rows = labelled(300, 100)
    parts = [assign_parts(rows, LAYOUT, split_of(by="stratified", seed=seed), Binary()) for seed in (0, 0, 1)]
    assert (parts[0] == parts[1]).all()
    assert (parts[0] != parts[2]).any()


def train_rows() -> pd.DataFrame:
    kinds = ["often"] * 4 + ["never"] * 3 + ["half"] * 4 + ["also half"] * 2 + ["rare"] + [None] * 2
    labels = [1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 1, 0]
    return pd.DataFrame({"kind": kinds, TARGET: pd.Series(labels, dtype="Int8"), "size": [1.0] * 15 + [np.nan]})


def test_categories_are_ordered_by_their_share_of_events_then_by_name() -> None:
    vocabulary = vocabulary_of(train_rows(), train_rows(), LAYOUT, 2, Binary())
    assert vocabulary["categories"] == {"kind": ["never", "also half", "half", "often"]}
    assert vocabulary["numbers"] == ["size"]


def test_categories_with_fewer_rows_than_the_least_are_left_out() -> None:
    assert vocabulary_of(train_rows(), train_rows(), LAYOUT, 4, Binary())["categories"] == {"kind": ["half", "often"]}
    assert "rare" in vocabulary_of(train_rows(), train_rows(), LAYOUT, 1, Binary())["categories"]["kind"]
    assert vocabulary_of(train_rows(), train_rows(), LAYOUT, 100, Binary())["categories"] == {"kind": []}


def test_the_typical_row_has_medians_and_the_most_frequent_categories() -> None:
    rows = train_rows()
    typical = vocabulary_of(rows, rows, LAYOUT, 1, Binary())["typical"]
    assert typical == {"size": rows["size"].median(), "kind": rows["kind"].mode().min()}


def test_the_vocabulary_says_which_features_may_be_missing() -> None:
    assert vocabulary_of(train_rows(), train_rows(), LAYOUT, 1, Binary())["may_be_missing"] == ["size", "kind"]
    assert vocabulary_of(train_rows().dropna(), train_rows().dropna(), LAYOUT, 1, Binary())["may_be_missing"] == []


def test_what_only_a_later_row_lacks_may_be_missing_too() -> None:
    assert vocabulary_of(train_rows().dropna(), train_rows(), LAYOUT, 1, Binary())["may_be_missing"] == ["size", "kind"]


def test_a_number_that_every_training_row_lacks_is_left_out() -> None:
    rows = train_rows().assign(empty=np.nan)
    layout = Layout(key=["row"], time="when", numbers=["empty", "size"], categories=["kind"])
    vocabulary = vocabulary_of(rows, rows, layout, 1, Binary())
    assert (vocabulary["numbers"], vocabulary["may_be_missing"]) == (["size"], ["size", "kind"])


def test_the_order_of_rows_changes_no_vocabulary() -> None:
    rows = train_rows()
    assert vocabulary_of(
        rows.sample(frac=1, random_state=3), rows.sample(frac=1, random_state=3), LAYOUT, 1, Binary()
    ) == vocabulary_of(rows, rows, LAYOUT, 1, Binary())


def test_the_vocabulary_of_whole_weights_is_that_of_repeated_rows() -> None:
    rows = train_rows().assign(w=[3.0, 0, 1, 2, 1, 0, 2, 4, 1, 1, 0, 3, 1, 1, 2, 1])
    layout = replace(LAYOUT, weight="w")
    repeated = rows.loc[np.repeat(rows.index, rows["w"].astype(int))]
    weighted = vocabulary_of(rows, rows, layout, 1, Binary())["categories"]
    assert weighted == vocabulary_of(repeated, rows, LAYOUT, 1, Binary())["categories"]
    assert weighted != vocabulary_of(rows, rows, LAYOUT, 1, Binary())["categories"]
    counting = rows[rows["w"] > 0]
    assert vocabulary_of(rows, rows, layout, 2, Binary()) == vocabulary_of(counting, rows, layout, 2, Binary())


def test_the_terms_of_a_text_are_those_of_the_training_rows() -> None:
    notes = ["Dry sand", "dry sand again", "wet", None, "dry"]
    train = train_rows().iloc[: len(notes)].reset_index(drop=True).assign(note=pd.Series(notes))
    later = train.assign(note="never heard")
    layout = Layout(key=["row"], time="when", numbers=["size"], categories=["kind"], texts=["note"])
    vocabulary = vocabulary_of(train, pd.concat([train, later]), layout, 2, Binary())
    assert list(vocabulary["texts"]["note"]) == ["dry", "dry sand", "sand"]
    assert vocabulary["may_be_missing"][-1] == "note"
    assert vocabulary["typical"]["note"] == "Dry sand"
