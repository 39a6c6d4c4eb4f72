"""Columns of one's own table to look at twice: what gives the target away, names rows, or stands for a group of rows.

Each is told in a line that says what was found and which option of `ontime init` mends it; no line shows a value.
Kaufman et al. 2012, "Leakage in data mining", says why: what is not known when the model is asked makes it look better
than it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.common.layout import Layout
from ontime.datasets.schema import TableSchema
from ontime.datasets.table import Options, feature_numbers, target_values
from ontime.datasets.table import layout as layout_of

SEPARATES = 0.99
"""ROC AUC of one feature from which on it is called a leak."""
SAME_ORDER = 0.999
"""Rank correlation of one feature with a target of numbers from which on it is called a leak."""
MOST_BINS, LEAST_BIN_ROWS = 30, 5
MOST_ROWS = 100_000
"""Of a larger table, about so many rows at even distances are looked at."""
SAME_LABEL, LEAST_PAIRS = 0.8, 30
"""Share of events among the rows that share a value with an event, and how many such rows, that make a group."""
ORDERED = 0.7
"""ROC AUC from which on whole numbers are a quantity, and no names."""

Codes = npt.NDArray[np.intp]


def identifiers(frame: pd.DataFrame, layout: Layout) -> list[str]:
    """The texts of which every row has another, from which no model learns."""
    return [name for name in layout.categories if _all_differ(frame[name])]


def table_suspicions(parts: Iterable[pd.DataFrame], options: Options, schemas: Mapping[str, TableSchema]) -> list[str]:
    """`suspicions` of the raw table, whose partitions are given."""
    frame = pd.concat(parts, ignore_index=True)
    labels = target_values(frame[options.target], options.positive, options.classes)
    return list(suspicions(frame, labels, layout_of(options, schemas), options.target))


def suspicions(frame: pd.DataFrame, labels: "pd.Series[Any]", layout: Layout, target: str) -> Iterator[str]:
    """A line for each column to look at.

    Args:
        frame: the typed columns of the table; labels: 0, 1 or missing, numbers of classes as Int8, or numbers, of the
            same rows.
        target: the column that the labels are of.
    """
    step = -(-len(frame) // MOST_ROWS)
    rows, values = frame[::step][labels[::step].notna()], labels[::step].dropna().to_numpy(dtype=np.float64)
    told: set[str] = set()
    events = set(np.unique(values)) == {0, 1}
    known = values.astype(np.int64)
    for name in layout.features if events or layout.classes else layout.numbers:
        if layout.classes:
            line = _of_class_leak(rows[name], known, target)
        else:
            line = _of_leak(rows[name], known, target) if events else _of_same_order(rows[name], values, target)
        if line:
            told.add(name)
            yield line
    if events and not layout.classes and layout.group is None:
        for name in frame.columns:
            if name not in {target, layout.time, layout.weight, *told} and _is_group(rows[name], known):
                told.add(name)
                yield (
                    f"{name}: rows that share a value of it nearly always share {target}; if they are of one person or "
                    f"thing, keep them on one side of the split with --group {name}"
                )
    yield from _useless(frame, layout, told)


def _useless(frame: pd.DataFrame, layout: Layout, told: set[str]) -> Iterator[str]:
    """A line for each feature whose values name rows or become the same; `told` are those with a line already."""
    for name in layout.categories:
        counts = frame[name].value_counts()
        if counts.max() < LEAST_BIN_ROWS and name not in told:
            yield (
                f"{name}: none of its {len(counts)} texts is in {LEAST_BIN_ROWS} rows, so a model learns nothing from "
                f"them; --exclude {name}?"
            )
    for name in layout.numbers:
        values = frame[name]
        if pd.api.types.is_integer_dtype(values) and _all_differ(values) and name not in told:
            yield f"{name}: its {len(values)} whole numbers are all different, so they may name rows; --exclude {name}?"
        before, after = values.nunique(), feature_numbers(values).nunique()
        if after < before:
            yield (
                f"{name}: its {before} different values are {after} as a number of 32 bits; "
                f"--type {name}=string or --exclude {name}?"
            )


def _all_differ(values: "pd.Series[Any]") -> bool:
    return len(values) > 1 and bool(values.is_unique) and not values.hasnans


def _of_leak(values: "pd.Series[Any]", labels: npt.NDArray[np.int64], target: str) -> str | None:
    """A line on a feature that alone tells the classes apart."""
    codes, distinct = pd.factorize(values, use_na_sentinel=False)
    if len(distinct) == 2 and min(np.mean(codes == labels), np.mean(codes != labels)) == 0:
        return (
            f"{values.name}: says the same as {target} in all {len(labels)} rows, so it may be the target under "
            f"another name; --exclude {values.name}?"
        )
    numeric = not pd.api.types.is_string_dtype(values) and not pd.api.types.is_object_dtype(values)
    if len(distinct) > MOST_BINS and not numeric:
        return None
    auc = separation(_binned(values) if len(distinct) > MOST_BINS else codes, labels)
    if numeric:
        auc = max(auc, _rank_separation(values, labels))
    if auc < SEPARATES:
        return None
    return (
        f"{values.name}: alone tells the two values of {target} apart (ROC AUC {auc:.3f}); if it is not known when the "
        f"model is asked: --exclude {values.name}"
    )


def _of_class_leak(values: "pd.Series[Any]", labels: npt.NDArray[np.int64], target: str) -> str | None:
    """A line on a feature that alone tells each of several classes from the others."""
    codes, distinct = pd.factorize(values, use_na_sentinel=False)
    numeric = not pd.api.types.is_string_dtype(values) and not pd.api.types.is_object_dtype(values)
    if len(distinct) > MOST_BINS and not numeric:
        return None
    binned = _binned(values) if len(distinct) > MOST_BINS else codes
    found = [separation(binned, (labels == one).astype(np.int64)) for one in np.unique(labels)]
    if min(found) < SEPARATES:
        return None
    return (
        f"{values.name}: alone tells the {len(found)} classes of {target} apart (ROC AUC {min(found):.3f} or more); if "
        f"it is not known when the model is asked: --exclude {values.name}"
    )


def _of_same_order(values: "pd.Series[Any]", numbers: npt.NDArray[np.float64], target: str) -> str | None:
    """A line on a number that rises or falls with a target of numbers, row by row (Spearman's correlation)."""
    there = values.notna().to_numpy()
    if there.sum() < LEAST_PAIRS or values[there].nunique() < MOST_BINS:
        return None
    one, other = (
        pd.Series(column).rank().to_numpy() - (there.sum() + 1) / 2
        for column in (values[there].to_numpy(dtype=np.float64), numbers[there])
    )
    correlation = float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))
    if not abs(correlation) >= SAME_ORDER:
        return None
    return (
        f"{values.name}: follows {target} row by row (rank correlation {correlation:.3f}); if it is not known when the "
        f"model is asked: --exclude {values.name}"
    )


def _binned(values: "pd.Series[Any]") -> Codes:
    """Bins of about as many rows each, by value; what is missing has one of its own."""
    ranks = values.rank(pct=True).to_numpy(dtype=np.float64, na_value=2.0)
    bins: Codes = np.minimum(np.ceil(ranks * MOST_BINS), MOST_BINS + 1).astype(np.intp)
    return bins


def separation(codes: Codes, labels: npt.NDArray[np.int64]) -> float:
    """ROC AUC of the share of events among the rows with the same code; codes of few rows count as one."""
    few = np.bincount(codes)[codes] < LEAST_BIN_ROWS
    codes = np.where(few, codes.max() + 1, codes)
    sizes, events = np.bincount(codes), np.bincount(codes, labels).astype(np.int64)
    order = np.argsort(events / np.maximum(sizes, 1), kind="stable")
    events, others = events[order], (sizes - events)[order]
    return float((events * (np.cumsum(others) - others / 2)).sum() / (events.sum() * others.sum()))


def _rank_separation(values: "pd.Series[Any]", labels: npt.NDArray[np.int64]) -> float:
    """ROC AUC of the values that are there, as a number, in whichever direction; 0.5 where a class has few."""
    there = values.notna().to_numpy()
    ranks, event = values[there].rank().to_numpy(dtype=np.float64), labels[there] == 1
    events, others = int(event.sum()), int((~event).sum())
    if min(events, others) < LEAST_BIN_ROWS:
        return 0.5
    auc = float((ranks[event].sum() - events * (events + 1) / 2) / (events * others))
    return max(auc, 1 - auc)


def _is_group(values: "pd.Series[Any]", labels: npt.NDArray[np.int64]) -> bool:
    """Whether texts or whole numbers come up again and again, and with hardly another label.

    Of the rows that share a value with a row of the rarer class, nearly all must be of that class too. Whole numbers
    that the classes put in order are a quantity.
    """
    whole = pd.api.types.is_integer_dtype(values)
    if not whole and not pd.api.types.is_string_dtype(values):
        return False
    codes, distinct = pd.factorize(values)
    if len(distinct) <= MOST_BINS or (whole and _rank_separation(values, labels) > ORDERED):
        return False
    rarer = labels == (labels.mean() < 0.5)
    sizes, members = (np.bincount(codes[chosen & (codes >= 0)], minlength=len(distinct)) for chosen in (True, rarer))
    pairs = int((members * (sizes - 1)).sum())
    return pairs >= LEAST_PAIRS and int((members * (members - 1)).sum()) >= SAME_LABEL * pairs
