"""The label that counts for a key depends on what is known, not on the order and the number in which labels come."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ontime.monitoring.label_join import read_used, used_labels, watermark, write_used

DAY = "2024-03-01"
UNTIL = watermark(DAY, 10)
KEYS = pd.Series([f"k{number}" for number in range(50)], dtype="str")


def labels(*rows: tuple[str, int | None, str | None]) -> pd.DataFrame:
    """Labels as `read_labels` returns them: key, target, and hours and minutes of the next day."""
    return pd.DataFrame(
        {
            "key": pd.Series([row[0] for row in rows], dtype="str"),
            "target": pd.array([row[1] for row in rows], dtype="Int8"),
            "known_at": pd.Series([row[2] and f"2024-03-02T{row[2]}:00Z" for row in rows]).astype(
                "datetime64[us, UTC]"
            ),
        }
    )


def used(*rows: tuple[str, int | None, str | None], kept: pd.DataFrame | None = None) -> dict[str, Any]:
    """What counts for the key `a`."""
    found = used_labels(pd.Series(["a"], dtype="str"), labels(*rows), UNTIL, kept).iloc[0]
    return {name: found[name] for name in ("target", "contradicted", "late") if found[name] is not pd.NA}


def test_the_watermark_is_so_many_hours_after_the_end_of_the_day() -> None:
    assert pd.Timestamp("2024-03-02T10:00Z") == UNTIL


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], {"contradicted": False, "late": False}),
        ([("b", 1, None)], {"contradicted": False, "late": False}),
        ([("a", None, None)], {"contradicted": False, "late": False}),
        ([("a", 1, None)], {"target": 1, "contradicted": False, "late": False}),
        ([("a", 0, "10:00")], {"target": 0, "contradicted": False, "late": False}),
        ([("a", 1, "10:01")], {"contradicted": False, "late": True}),
        ([("a", 0, "09:00"), ("a", 0, "09:30")], {"target": 0, "contradicted": False, "late": False}),
        ([("a", 1, "09:00"), ("a", 0, "08:00")], {"target": 1, "contradicted": True, "late": False}),
        ([("a", 0, "09:00"), ("a", 1, "11:00")], {"target": 0, "contradicted": False, "late": False}),
        ([("a", 0, "09:00"), ("a", 1, None)], {"target": 0, "contradicted": True, "late": False}),
        ([("a", 0, None), ("a", 1, None)], {"target": 1, "contradicted": True, "late": False}),
        ([("a", 1, "09:00"), ("a", None, "09:30")], {"target": 1, "contradicted": False, "late": False}),
    ],
)
def test_the_newest_label_that_was_known_by_the_watermark_counts(rows: Any, expected: dict[str, Any]) -> None:
    assert used(*rows) == expected
    assert used(*rows[::-1]) == expected


def test_a_label_that_contradicts_what_was_used_wins_and_stays_marked() -> None:
    key = pd.Series(["a"], dtype="str")
    first = used_labels(key, labels(("a", 0, None)), UNTIL, None)
    changed = used_labels(key, labels(("a", 1, None)), UNTIL, first)
    assert changed[["target", "contradicted"]].values.tolist() == [[1, True]]
    for rows in ([("a", 1, None)], []):
        assert used_labels(key, labels(*rows), UNTIL, changed).equals(changed)


def test_a_file_without_an_earlier_label_takes_nothing_away() -> None:
    kept = used_labels(pd.Series(["a"], dtype="str"), labels(("a", 1, "03:00")), UNTIL, None)
    assert used(("b", 0, None), kept=kept) == {"target": 1, "contradicted": False, "late": False}


def test_keys_of_another_versions_rows_are_kept() -> None:
    kept = used_labels(pd.Series(["b"], dtype="str"), labels(("b", 1, None)), UNTIL, None)
    found = used_labels(pd.Series(["a"], dtype="str"), labels(("a", 0, None)), UNTIL, kept)
    assert found[["key", "target"]].values.tolist() == [["a", 0], ["b", 1]]


@pytest.mark.parametrize("seed", range(8))
def test_permuted_doubled_and_divided_labels_give_the_same(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    hours = [None if random.random() < 0.2 else f"{random.integers(0, 14):02d}:00" for _ in range(120)]
    targets = [None if random.random() < 0.1 else int(random.integers(0, 2)) for _ in range(120)]
    rows = labels(*zip(random.choice(KEYS, 120), targets, hours, strict=True))
    whole = used_labels(KEYS, rows, UNTIL, None)
    assert {*whole["target"].fillna(-1)} == {-1, 0, 1}
    assert whole["contradicted"].any()
    assert whole["late"].any()
    mixed = pd.concat([rows, rows]).sample(frac=1, random_state=seed, ignore_index=True)
    assert used_labels(KEYS.sample(frac=1, random_state=seed), mixed, UNTIL, None).equals(whole)
    write_used(tmp_path / "used.parquet", whole)
    kept = read_used(tmp_path / "used.parquet", pd.Int8Dtype())
    assert kept is not None
    assert kept.equals(whole)
    assert used_labels(KEYS, mixed, UNTIL, kept).equals(whole)
    # with times that all differ, it does not matter which labels come first either
    timed = rows[rows["known_at"].notna()].reset_index(drop=True)
    timed["known_at"] += pd.to_timedelta(np.arange(len(timed)), unit="s")
    expected = used_labels(KEYS, timed, UNTIL, None)
    cut = int(random.integers(1, len(timed)))
    order = timed.sample(frac=1, random_state=seed)
    part = used_labels(KEYS, order[:cut], UNTIL, None)
    columns = ["key", "target", "known_at", "contradicted"]
    found = used_labels(KEYS, order[cut:], UNTIL, part)[columns]
    # a label that neither the first part's newest nor the second part contradicts is not remembered
    assert found[["key", "target", "known_at"]].equals(expected[["key", "target", "known_at"]])
    assert (found["contradicted"] <= expected["contradicted"]).all()
