"""How far what happens is from what a sound model expects, week by week: the limits that `monitor labels` has.

In: rows with labels that were predicted by models of the rows before them (the stage `forward`). Out: of each series,
for all rows and for each segment, its usual value and standard deviation over seven days, and how many standard
deviations it may be away. A row tells little that the others of its day do not tell as well, since weather is the
day's: days are what is counted and added up, and no test of independent rows decides anything.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from ontime.common.layout import TARGET, own_in
from ontime.model_deployment.export.label_sums import ALL, Counts, Floats, Measures, Series, Sums
from ontime.model_deployment.export.rounding import rounded
from ontime.tasks.task import from_column, target_of

SERIES_DAYS = 7
"""Days with labels that one value of a series is made of."""
EPISODE_DAYS = 30
"""All series together raise at most one alarm in so many sound days, those within `SERIES_DAYS` days being one."""
RESAMPLES, SEED = 200, 0


class Usual(BaseModel):
    """What a series is on sound days, its standard deviation, and how far from usual it may be."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    series: str
    segment: str
    usual: int | float
    deviation: int | float
    limit: int | float


class GroupRate(BaseModel):
    """What needs no model: the past rate of a row's group, and from which rate on it warns.

    `columns` are the group's, `rates` by their values joined by `/`; `base` is the rate of a group that is new.
    """

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    columns: list[str]
    threshold: int | float
    base: int | float
    rates: dict[str, int | float]


class LabelReference(BaseModel):
    """The part `labels` of `reference.json`; `series` is empty where there are too few days."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    days: int
    series: list[Usual] = Field(default_factory=list)
    group_rate: GroupRate | None = None

    def by_series(self) -> dict[Series, Usual]:
        """By name and segment."""
        return {(one.series, one.segment): one for one in self.series}


def sums_by_day(rows: pd.DataFrame, time: str, slices: list[str], measures: Measures) -> dict[str, Sums]:
    """Sums of labelled rows by ISO 8601 date in UTC, oldest first.

    Args:
        rows: with `target`, the model's outputs, the column of times and the slices.
    """
    target, output = own_in(TARGET, rows.columns), own_in(measures.output, rows.columns)
    labelled = rows[rows[target].notna() & rows[time].notna()]
    day = labelled[time].to_numpy(dtype="datetime64[D]").astype(str)
    found = {}
    for one, places in labelled.groupby(day).indices.items():
        part = labelled.iloc[places]
        found[str(one)] = measures.sums_of(target_of(part), from_column(part[output]), part[slices])
    return found


def limits_of(days: Sequence[Sums], measures: Measures) -> LabelReference:
    """Measure the series on sound days, oldest first, each predicted by a model of earlier days.

    Limits are the same number of standard deviations for the series of all rows, and another one for those of segments.
    Both are the least with which resampled days have no more episodes than half of one in `EPISODE_DAYS` days. Whole
    weeks are drawn, so that a week of bad weather stays one.
    """
    if len(days) < EPISODE_DAYS:
        return LabelReference(days=len(days))
    segments, sums, bins = measures.stacked(days)
    series = list(measures.shifts(segments, sums[:0], bins[:0]))
    found = _by_window(measures, segments, sums, bins)
    usual, deviation, counted = _moments(found)
    often = np.flatnonzero((2 * counted > len(found)) & (deviation > 0))
    of_all = np.array([series[place][1] == ALL for place in often])
    groups = [group for group in (of_all, ~of_all) if group.any()]
    random = np.random.default_rng(SEED)
    farthest: list[list[Floats]] = [[] for _ in groups]
    for _ in range(RESAMPLES):
        places = _drawn(random, len(days))
        values = _by_window(measures, segments, sums[places], bins[places])
        away = np.abs(values - usual)[:, often] / deviation[often]
        for kept, group in zip(farthest, groups, strict=True):
            kept.append(np.nanmax(away[:, group], axis=1, initial=0))
    limit = np.zeros(len(often))
    for kept, group in zip(farthest, groups, strict=True):
        limit[group] = least_deviations(kept)
    return LabelReference(
        days=len(days),
        series=[
            Usual(
                series=series[place][0],
                segment=series[place][1],
                usual=rounded(usual[place]),
                deviation=rounded(deviation[place]),
                limit=rounded(times * deviation[place]),
            )
            for place, times in zip(often, limit, strict=True)
        ],
    )


def _by_window(measures: Measures, segments: list[str], sums: Floats, bins: Counts) -> Floats:
    """Values of all series over `SERIES_DAYS` days in a row: (windows, series)."""
    return np.stack(list(measures.shifts(segments, _summed(sums), _summed(bins)).values()), axis=1)


def _summed(days: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sums of each `SERIES_DAYS` days in a row: (days, …) to (windows, …)."""
    total = np.concatenate([np.zeros_like(days[:1]), np.cumsum(days, axis=0)])
    return np.asarray(total[SERIES_DAYS:] - total[:-SERIES_DAYS])


def _moments(values: Floats) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Mean, standard deviation and number of the values of each series: (series,) each, 0 where it has none."""
    known = ~np.isnan(values)
    counted = known.sum(axis=0)
    mean = np.where(known, values, 0).sum(axis=0) / np.maximum(counted, 1)
    square = np.where(known, (values - mean) ** 2, 0).sum(axis=0) / np.maximum(counted, 1)
    return mean, np.sqrt(square), counted


def _drawn(random: np.random.Generator, days: int) -> npt.NDArray[np.int64]:
    """As many places of days, drawn by `SERIES_DAYS` in a row: the moving block bootstrap (Kuensch 1989)."""
    starts = random.integers(0, days - SERIES_DAYS + 1, size=-(-days // SERIES_DAYS))
    return np.asarray((starts[:, None] + np.arange(SERIES_DAYS)).ravel()[:days])


def least_deviations(away: Sequence[Floats]) -> float:
    """The least limit that a group of series exceeds in at most half an episode in `EPISODE_DAYS` days.

    Args:
        away: of several runs of days, by how much the series that is farthest away is so: (days,) each.
    """
    allowed = sum(map(len, away)) / (2 * EPISODE_DAYS)
    tried = np.unique(np.concatenate(away))
    low, high = 0, len(tried) - 1
    while low < high:
        middle = (low + high) // 2
        if sum(episodes(run > tried[middle]) for run in away) > allowed:
            low = middle + 1
        else:
            high = middle
    return float(tried[low])


def episodes(alarm: npt.NDArray[np.bool_]) -> int:
    """Number of alarms by day (days,) that do not come within `SERIES_DAYS` days from the first of an episode on."""
    count, until = 0, -1
    for day in np.flatnonzero(alarm):
        if day > until:
            count, until = count + 1, int(day) + SERIES_DAYS - 1
    return count
