"""Training, validation and test rows, and the vocabulary of the training rows.

In: `data/processed/features/` and `feature_layout.json`. Out: `{train,validation,test}.parquet` with labelled rows
alone, and `vocabulary.json`. By time, so that a model is judged on what came later, by group, so that it is judged on
groups that it has not seen, or stratified; the last two with a seed. No part has rows from the watermark on, whose
labels may still change, or of days whose data are not to be trusted.
"""

import itertools
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import click
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import AfterValidator, Field, model_validator

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import partitions, read_json, read_parquet, write_json, write_parquet
from ontime.common.layout import Layout
from ontime.common.params import Count, Fraction, Section, load_section
from ontime.common.weights import counted_target, weights_in
from ontime.data_processing.group_split import group_parts
from ontime.tasks.task import Task, load_task
from ontime.terms import fit_terms

PARTS = ("train", "validation", "test")
MOST_FOLDS = 20
"""Each is one more fit of every family."""


def moment(text: str | None) -> datetime:
    """The time that ISO 8601 text names; UTC where it has no offset.

    Raises:
        ValueError: it names none.
    """
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"not an ISO 8601 time: {text}") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _day(text: str) -> str:
    if len(text) != len("2013-07-01"):
        raise ValueError("expected a day as in 2013-07-01")
    date.fromisoformat(text)
    return text


Day = Annotated[str, AfterValidator(_day)]


class Split(Section):
    """By time (rows before `validation_from` train, rows from `test_from` on test), by group or stratified with a seed.

    Rows from `until` on, and those of the `excluded_days` in UTC, are in no part. `folds` are read by
    `cross-validate`.
    """

    by: Literal["time", "group", "stratified"]
    validation_from: str | None
    test_from: str | None
    until: str | None
    excluded_days: list[Day]
    validation_fraction: Fraction
    test_fraction: Fraction
    seed: Annotated[int, Field(ge=0)]
    folds: Annotated[int, Field(ge=1, le=MOST_FOLDS)]
    min_category_rows: Count

    @model_validator(mode="after")
    def _boundaries(self) -> "Split":
        if self.by == "time" and not (self.validation_from and self.test_from):
            raise ValueError("by: time needs validation_from and test_from, as ISO 8601 times")
        if self.by == "time" and moment(self.validation_from) >= moment(self.test_from):
            raise ValueError("validation_from must be before test_from")
        if self.until is not None and self.by == "time" and moment(self.until) <= moment(self.test_from):
            raise ValueError("until must be after test_from")
        if self.until is not None:
            moment(self.until)
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction and test_fraction leave nothing to train on")
        return self


@click.command(name="split")
def command() -> None:
    """Write training, validation and test rows and the vocabulary."""
    settings, task = load_section("split", Split), load_task()
    layout = Layout(**read_json(paths.FEATURE_LAYOUT))
    rows = feature_rows(layout, settings)
    part = assign_parts(rows, layout, settings, task)
    if lack := lacking(counted_target(rows, layout.target, layout.weight), part, task):
        raise OntimeError(f"params.yaml: split: {lack}; add rows, or move the boundaries")
    selected = {name: rows[(part == name) & rows[layout.target].notna()] for name in PARTS}
    for name, frame in selected.items():
        write_parquet(frame, paths.split_rows(name))
    write_json(paths.VOCABULARY, vocabulary_of(selected["train"], rows, layout, settings.min_category_rows, task))


def lacking(target: "pd.Series[Any]", part: npt.NDArray[Any], task: Task) -> str | None:
    """What the first part has that is too little for the task; None if each part has enough."""
    faults = ((name, task.fault(target[part == name])) for name in PARTS)
    return next((f"{name} has {fault}" for name, fault in faults if fault), None)


def least_rows(split: Split, each: int) -> int:
    """How many rows of a class a stratified split needs, for so many in each part."""
    return next(count for count in itertools.count(1) if min(part_sizes(count, split)) >= each)


def feature_rows(layout: Layout, split: Split) -> pd.DataFrame:
    """The rows of all partitions of `data/processed/features/`, but those that the split leaves out."""
    frames = [read_parquet(paths.FEATURES / f"{name}.parquet") for name in partitions(paths.FEATURES)]
    rows = pd.concat(frames, ignore_index=True)
    return rows[~left_out(rows, layout, split)].reset_index(drop=True)


def left_out(rows: pd.DataFrame, layout: Layout, split: Split) -> npt.NDArray[np.bool_]:
    """Which rows (rows,) are from `until` on or of an excluded day.

    Raises:
        OntimeError: one of both is set, and the rows have no time.
    """
    found: npt.NDArray[np.bool_] = np.zeros(len(rows), dtype=np.bool_)
    if split.until is None and not split.excluded_days:
        return found
    if layout.time is None:
        raise OntimeError("params.yaml: split: until and excluded_days need data.options.time")
    time = rows[layout.time]
    if split.until is not None:
        found |= (time >= pd.Timestamp(moment(split.until))).to_numpy()
    days = pd.to_datetime(split.excluded_days, utc=True)
    found |= time.dt.floor("D").isin(days).to_numpy()
    return found


def assign_parts(rows: pd.DataFrame, layout: Layout, split: Split, task: Task) -> np.ndarray[Any, Any]:
    """Name of the part that each row belongs to.

    Returns:
        Array (rows,) of `train`, `validation` or `test`; empty where the time or group to split by is missing.
    """
    if split.by == "time":
        if layout.time is None:
            raise OntimeError("params.yaml: split.by: time needs data.options.time; or use stratified")
        validation, test = (pd.Timestamp(moment(text)) for text in (split.validation_from, split.test_from))
        time = rows[layout.time]
        conditions = [time < validation, time < test, time >= test]
        return np.select([condition.to_numpy() for condition in conditions], PARTS, "")
    if split.by == "group":
        if layout.group is None:
            raise OntimeError("params.yaml: split.by: group needs data.options.group; or use stratified")
        shares = {"validation": split.validation_fraction, "test": split.test_fraction}
        shares = {"train": 1 - sum(shares.values()), **shares}
        return group_parts(rows[layout.group], rarest_class(rows[layout.target], task), shares, split.seed)
    parts = np.full(len(rows), PARTS[0], dtype=object)
    random = np.random.default_rng(split.seed)
    for members in map(random.permutation, task.strata(rows[layout.target])):
        _, validation_rows, test_rows = part_sizes(len(members), split)
        parts[members[:test_rows]] = PARTS[2]
        parts[members[test_rows : test_rows + validation_rows]] = PARTS[1]
    return parts


def rarest_class(target: "pd.Series[Any]", task: Task) -> "pd.Series[Any]":
    """Of several classes whether a row is of the rarest, which is the one that a part may lack; else the target."""
    return min(task.means(target), key=lambda one: one.sum())


def part_sizes(count: int, split: Split) -> tuple[int, int, int]:
    """How many of so many rows of a stratum are for training, validation and test, of a stratified split."""
    test, validation = round(count * split.test_fraction), round(count * split.validation_fraction)
    return count - validation - test, validation, test


def vocabulary_of(
    train: pd.DataFrame, rows: pd.DataFrame, layout: Layout, min_category_rows: int, task: Task
) -> dict[str, Any]:
    """Content of `vocabulary.json`: the features in the matrix's order and the categories of the training rows.

    Categories are ordered by the mean of what the task says (then by name), so that a tree can split them as a number
    (Fisher 1958, "On grouping for maximum homogeneity"); rarer ones than `min_category_rows` count as unknown.
    `texts` has the terms of each text feature, if there are any, which as many training rows have.
    A number that every training row lacks is left out. `typical` is the row that explanations start from: each
    number's median, each category's most frequent value and a text of median length. `may_be_missing` has the
    features that any of all `rows` lacks, labelled or not. A mean is one by the weights, and training rows of weight 0
    decide nothing.
    """
    if layout.weight:
        train = train[train[layout.weight] > 0]
    numbers = [name for name in layout.numbers if train[name].notna().any()]
    categories = {}
    for name in layout.categories:
        # by values, not by columns, whose names may be any
        order, of, weights = task.order(train[layout.target]), train[name].to_numpy(), weights_in(train, layout.weight)
        labels = order.groupby(of)
        sums: pd.Series[Any] = labels.sum()
        sizes: pd.Series[Any] = labels.size()
        if weights is not None:
            each = pd.Series(weights, index=train.index)
            sums, sizes = (order.astype("float64") * each).groupby(of).sum(), each.groupby(of).sum()
        mean = (sums / sizes).astype("float64")[labels.size() >= min_category_rows]
        # stable, after the categories' own order
        categories[name] = mean.sort_index().sort_values(kind="stable").index.astype(str).tolist()
    texts = {name: fit_terms(train[name].to_list(), min_category_rows) for name in layout.texts}
    missing = [name for name in [*numbers, *categories, *texts] if rows[name].isna().any()]
    typical: dict[str, Any] = {name: float(train[name].median()) for name in numbers}
    for name in categories:
        counts = train[name].value_counts()
        typical[name] = None if counts.empty else min(counts.index[counts == counts.max()])
    for name in texts:
        known = sorted(train[name].dropna(), key=lambda text: (len(text), text))
        typical[name] = known[len(known) // 2] if known else None
    found = {"numbers": numbers, "categories": categories, "may_be_missing": missing, "typical": typical}
    return found | ({"texts": texts} if texts else {})
