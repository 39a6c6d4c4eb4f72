"""No group is on two sides of a split, whatever groups and labels there are."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontime.data_processing.group_split import group_parts

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
GROUPS = st.one_of(st.none(), st.integers(0, 12), st.integers(-(1 << 62), 1 << 62))
TEXTS = st.one_of(st.none(), st.sampled_from(["a", "b", "", " ", "NA", "1", "1.0"]), st.text(max_size=3))
LABELS = st.sampled_from([0, 0, 1, None])


def tables(groups: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, Any]]]:
    return st.lists(st.tuples(groups, LABELS), min_size=1, max_size=60)


def parts_of(rows: list[tuple[Any, Any]], kind: str, seed: int = 0) -> tuple["pd.Series[Any]", list[str]]:
    groups = pd.Series([group for group, _ in rows], dtype=kind)
    labels = pd.Series([label for _, label in rows], dtype="Int8")
    return groups, group_parts(groups, labels, SHARES, seed).tolist()


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.one_of(tables(GROUPS).map(lambda rows: (rows, "Int64")), tables(TEXTS).map(lambda rows: (rows, "str"))))
def test_no_group_is_on_two_sides_and_every_row_with_a_group_is_on_one(
    drawn: tuple[list[tuple[Any, Any]], str],
) -> None:
    groups, parts = parts_of(*drawn)
    side: dict[Any, str] = {}
    for group, missing, part in zip(groups, groups.isna(), parts, strict=True):
        assert part == "" if missing else part in SHARES
        assert missing or side.setdefault(group, part) == part


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(tables(GROUPS), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_part(rows: list[tuple[Any, Any]], random: Any) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    _, parts = parts_of(rows, "Int64")
    assert parts_of([rows[place] for place in order], "Int64")[1] == [parts[place] for place in order]


@pytest.mark.parametrize("largest", [1, 5, 40])
def test_the_parts_have_their_shares_of_the_rows_and_of_the_groups_with_an_event(largest: int) -> None:
    random = np.random.default_rng(0)
    sizes = random.integers(1, largest + 1, 600)
    ill = random.random(600) < 0.2
    rows = [(group, int(ill[group])) for group in range(600) for _ in range(sizes[group])]
    _, parts = parts_of(rows, "Int64")
    for chosen in ([True] * len(rows), [label == 1 for _, label in rows]):
        found = pd.Series(parts)[chosen].value_counts(normalize=True)
        assert found.to_dict() == pytest.approx(SHARES, abs=0.02)


def test_the_seed_decides_who_goes_where() -> None:
    rows = [(number, number % 2) for number in range(100)]
    assert (
        parts_of(rows, "Int64", seed=0)[1] == parts_of(rows, "Int64", seed=0)[1] != parts_of(rows, "Int64", seed=1)[1]
    )


def test_a_group_of_half_the_rows_is_trained_on() -> None:
    rows = [("large" if number % 2 else f"small {number}", number % 3 == 0) for number in range(400)]
    for seed in range(5):
        groups, parts = parts_of([(group, int(label)) for group, label in rows], "str", seed)
        assert {part for group, part in zip(groups, parts, strict=True) if group == "large"} == {"train"}
        assert set(parts) == set(SHARES)
