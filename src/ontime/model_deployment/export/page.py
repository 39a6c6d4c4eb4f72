"""Build `page.json` from the data card's fields, the training rows and the golden records.

Bounds, candidates and what follows from what are those of the training rows: the page asks nothing that no row held.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ontime.common.errors import OntimeError
from ontime.common.params import Section, closest
from ontime.datasets.features import CLOCK, MOMENT, FeatureField
from ontime.model_deployment.inference.page import Choice, Follow, Kind, Page, PageFeature, Sum, Texts, Value

CANDIDATES = 41
"""At most so many values of a number are tried, at equal steps of its distribution."""
EXAMPLES = 8
MOST_COMBINATIONS = 10_000
MINUTES_OF_A_DAY = 1440
SUM_TOLERANCE = 1e-3


class PageTexts(Section):
    """What the page says in words; the defaults suit every event. `prediction` is a name for the answer of a number."""

    question: str = "Will the event happen?"
    event: str = "The event is to be expected."
    no_event: str = "The event is not to be expected."
    probability: str = "Probability"
    prediction: str = ""
    record: str = "row"


def make_page(
    texts: PageTexts,
    asked: list[str],
    follows: Mapping[str, list[str]],
    sums: Mapping[str, list[str]],
    fields: Mapping[str, FeatureField],
    vocabulary: Mapping[str, Any],
    train: pd.DataFrame,
    records: list[dict[str, Value]],
    outputs: list[float],
) -> Page:
    """The page.

    Args:
        follows, sums: the features that each one follows, or is the sum of.
        fields: by feature, of the data card; what the model lacks is left out of the page.
        train: training rows with the model's features.
        records, outputs: golden records, and what the model says of each.

    Raises:
        OntimeError: a name that the model lacks, that is set twice or follows what is not set, a sum that is none, or
            too many combinations.
    """
    names = [*vocabulary["numbers"], *vocabulary["categories"], *vocabulary.get("texts", ())]
    # a number that every training row lacks is no feature of the model
    absent = fields.keys() - set(names)
    asked = [name for name in asked if name not in absent]
    follows, sums = ({name: of for name, of in rules.items() if not absent & {name, *of}} for rules in (follows, sums))
    check_names(names, asked, follows, sums)
    features = [page_feature(fields[name], vocabulary, train[name]) for name in names]
    for name, parts in sums.items():
        check_sum(name, parts, fields, train)
    # in the model's order, because DVC takes another order of the parameters for no change
    tables = [follow(name, follows[name], vocabulary, train) for name in names if name in follows]
    added = [Sum(feature=name, of=sums[name]) for name in names if name in sums]
    typical = with_followers({name: _plain(vocabulary["typical"][name]) for name in names}, tables, added, fields)
    return Page(
        texts=Texts(**texts.model_dump()),
        features=features,
        asked=asked,
        follows=tables,
        sums=added,
        starts=[typical, *examples(records, outputs)],
    )


def check_names(
    names: list[str], asked: list[str], follows: Mapping[str, list[str]], sums: Mapping[str, list[str]]
) -> None:
    """Refuse what the page cannot set.

    Raises:
        OntimeError: names the parameter and the feature.
    """
    known: set[str] = set()
    for name in asked:
        _check_name(name, names, known, "page_features")
        known.add(name)
    for parameter, rules, before in (
        ("page_follows", follows, "in page_features"),
        ("page_sums", sums, "in page_features or page_follows"),
    ):
        allowed = set(known)
        for name, parents in rules.items():
            _check_name(name, names, known, parameter)
            used: set[str] = set()
            for parent in parents:
                _check_name(parent, names, used, f"{parameter}.{name}")
                if parent not in allowed:
                    raise OntimeError(f"params.yaml: export.{parameter}.{name}: {parent} is not {before}")
                used.add(parent)
            if not parents:
                raise OntimeError(f"params.yaml: export.{parameter}.{name}: names no feature")
            known.add(name)


def _check_name(name: str, names: list[str], known: set[str], parameter: str) -> None:
    if name not in names:
        raise OntimeError(f"params.yaml: export.{parameter}: the model has no feature {name}; {closest(name, names)}")
    if name in known:
        raise OntimeError(f"params.yaml: export.{parameter}: {name} is already set")


def page_feature(field: FeatureField, vocabulary: Mapping[str, Any], values: "pd.Series[Any]") -> PageFeature:
    """One feature as the page shows it; `values` are those of the training rows."""
    name, is_number = field.name, field.name in vocabulary["numbers"]
    known = values.dropna().to_numpy() if is_number else np.array([])
    grid = _quantiles(known) if len(known) else []
    return PageFeature(
        name=name,
        title=field.title,
        unit="" if field.unit in (CLOCK, MOMENT) or field.labels else field.unit,
        description=field.description,
        kind=kind_of(field, is_text=name in vocabulary.get("texts", ())),
        whole=field.type == "integer",
        may_be_missing=name in vocabulary["may_be_missing"],
        minimum=grid[0] if grid else None,
        maximum=grid[-1] if grid else None,
        choices=_choices(field, None if is_number else vocabulary["categories"].get(name, [])),
        candidates=[] if field.labels else grid,
    )


def kind_of(field: FeatureField, is_text: bool) -> Kind:
    """How values of a feature are shown: as a text of many words, by their labels, else by their unit."""
    if is_text:
        return "text"
    if field.type == "string" or field.labels:
        return "choice"
    by_unit: dict[str, Kind] = {CLOCK: "clock", MOMENT: "moment"}
    return by_unit.get(field.unit, "number")


def _quantiles(known: "np.ndarray[Any, Any]") -> list[int | float]:
    """The smallest and the largest value and those between at equal steps of the distribution, each once."""
    grid = np.unique(np.quantile(known, np.linspace(0, 1, CANDIDATES), method="inverted_cdf"))
    return [_short_number(value) for value in grid]


def _choices(field: FeatureField, known: list[str] | None) -> list[Choice]:
    """A category's known values in the order of their labels; a number's labelled values in the order of the file."""
    if known is None:
        return [Choice(value=value, label=label) for value, label in field.labels.items()]
    return [
        Choice(value=value, label=label)
        for label, value in sorted((field.labels.get(value, value), value) for value in known)
    ]


def check_sum(name: str, parts: list[str], fields: Mapping[str, FeatureField], train: pd.DataFrame) -> None:
    """Refuse a sum that does not hold in the training rows.

    Raises:
        OntimeError: says in how many rows it does not hold.
    """
    for part in (name, *parts):
        if fields[part].type == "string":
            raise OntimeError(f"params.yaml: export.page_sums.{name}: {part} is no number")
    rows = train[[name, *parts]].dropna().astype("float64")
    difference = (rows[name] - rows[parts].sum(axis=1)).to_numpy()
    if fields[name].unit == CLOCK:
        difference = (difference + MINUTES_OF_A_DAY / 2) % MINUTES_OF_A_DAY - MINUTES_OF_A_DAY / 2
    wrong = int((np.abs(difference) > SUM_TOLERANCE * np.maximum(1, np.abs(rows[name]))).sum())
    if wrong or rows.empty:
        raise OntimeError(
            f"params.yaml: export.page_sums.{name}: not the sum of {', '.join(parts)} "
            f"in {wrong} of {len(rows)} training rows"
        )


def follow(name: str, parents: list[str], vocabulary: Mapping[str, Any], train: pd.DataFrame) -> Follow:
    """The usual value of a feature for each combination of others in the training rows.

    The median of a number (the lower one of two), the most frequent category (the first by name); missing where most
    rows lack it.

    Raises:
        OntimeError: there are too many combinations for a page.
    """
    usual = _usual_number if name in vocabulary["numbers"] else _usual_category
    values = [
        [*map(_plain, combination), usual(own)] for combination, own in train.groupby(parents, dropna=False)[name]
    ]
    if len(values) > MOST_COMBINATIONS:
        raise OntimeError(
            f"params.yaml: export.page_follows.{name}: {len(values)} combinations of {', '.join(parents)} in the "
            f"training rows, more than {MOST_COMBINATIONS}"
        )
    return Follow(feature=name, of=parents, values=values)


def _usual_number(own: "pd.Series[Any]") -> Value:
    known = own.dropna().to_numpy()
    return None if 2 * len(known) < len(own) else _short_number(np.quantile(known, 0.5, method="inverted_cdf"))


def _usual_category(own: "pd.Series[Any]") -> Value:
    counts = own.value_counts()
    return None if 2 * counts.sum() < len(own) else str(min(counts.index[counts == counts.max()]))


def with_followers(
    record: dict[str, Value], follows: list[Follow], sums: list[Sum], fields: Mapping[str, FeatureField]
) -> dict[str, Value]:
    """The record with what follows from it set; a combination that no training row has changes nothing."""
    record = dict(record)
    for table in follows:
        wanted = [record[name] for name in table.of]
        for *combination, value in table.values:
            if combination == wanted:
                record[table.feature] = value
    for added in sums:
        parts = [part for part in (record[name] for name in added.of) if isinstance(part, int | float)]
        if len(parts) == len(added.of):
            total = sum(parts)
            record[added.feature] = total % MINUTES_OF_A_DAY if fields[added.feature].unit == CLOCK else total
    return record


def examples(records: list[dict[str, Value]], outputs: list[float]) -> list[dict[str, Value]]:
    """Golden records from the least to the greatest output, at equal steps."""
    order = np.argsort(outputs, kind="stable")
    chosen = np.unique(np.linspace(0, len(order) - 1, min(EXAMPLES, len(order))).round().astype(int))
    return [records[order[position]] for position in chosen]


def _plain(value: Any) -> Value:
    """A feature's value as JSON."""
    if pd.isna(value):
        return None
    return value if isinstance(value, str) else _short_number(value)


def _short_number(value: Any) -> int | float:
    """A number with no more digits than float32 needs, an integer without a point."""
    number = float(str(np.float32(value)))
    return int(number) if number.is_integer() else number
