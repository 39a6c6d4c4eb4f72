"""Labelled rows of days as a model of each task sees them, sound or with a fault that some labels have."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.model_deployment.export.label_series import SERIES_DAYS, LabelReference, sums_by_day
from ontime.model_deployment.export.label_sums import Measures, Sums, measures_of

ROWS = 400
CLASSES = ("moss", "rose", "fern")
Where = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Labelled:
    """A task, and rows of so many days from a seed on, of which some depots' labels have a fault."""

    measures: Measures
    rows: Callable[..., pd.DataFrame]
    """Of a seed, days, and how large a fault is, of all rows and of those of the south."""
    fault: float
    """How large one is that is to be found."""

    def sums(self, seed: int, days: int, *fault: float) -> list[Sums]:
        """What is kept of each day."""
        return list(sums_by_day(self.rows(seed, days, *fault), "at", ["depot"], self.measures).values())

    def alarms(self, reference: LabelReference, seed: int, days: int, *fault: float) -> Where:
        """Whether any series is beyond its limit, for each `SERIES_DAYS` days in a row."""
        sums = self.sums(seed, days, *fault)
        ends = range(SERIES_DAYS, len(sums) + 1)
        windows = [self.measures.added(sums[end - SERIES_DAYS : end]) for end in ends]
        values = self.measures.shifts(*self.measures.stacked(windows))
        limits = reference.by_series().items()
        return np.asarray(np.any([np.abs(values[series] - one.usual) > one.limit for series, one in limits], axis=0))


def days_of(seed: int, days: int) -> tuple[np.random.Generator, npt.NDArray[np.int64], pd.DataFrame]:
    """Rows of days, their days, and what all tasks have of them."""
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), ROWS)
    at = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(day, unit="D")
    return random, day, pd.DataFrame({"at": at, "depot": random.choice(["north", "south"], len(day))})


def classes(seed: int, days: int, fault: float = 0, fault_of_south: float = 0) -> pd.DataFrame:
    """Classes that follow their probabilities but for the day's weather; a share of labels moves to the next class."""
    random, day, rows = days_of(seed, days)
    probability = random.dirichlet([3, 2, 1], len(day))
    weather = np.exp(0.3 * random.normal(size=(days, 3)))[day]
    chance = probability * weather
    chance /= chance.sum(axis=1, keepdims=True)
    told = (chance.cumsum(axis=1) > random.random((len(day), 1))).argmax(axis=1)
    share = np.where(rows["depot"] == "south", max(fault, fault_of_south), fault)
    told = np.where(random.random(len(day)) < share, (told + 1) % 3, told)
    return rows.assign(target=told.astype("int8"), probability=list(probability))


def numbers(seed: int, days: int, fault: float = 0, fault_of_south: float = 0) -> pd.DataFrame:
    """Numbers around their predictions, whose errors are the day's weather and the row's own; some are shifted.

    The unit of the fault is the standard deviation of a row's own error.
    """
    random, day, rows = days_of(seed, days)
    prediction = random.gamma(4, 25_000, len(day))
    weather = (0.2 * random.normal(size=days))[day]
    harder = np.exp(0.1 * random.normal(size=days))[day]
    shift = np.where(rows["depot"] == "south", fault + fault_of_south, fault)
    error = 15_000 * (weather + harder * random.standard_t(5, len(day)) + shift)
    return rows.assign(target=prediction + error, prediction=prediction)


OF_TASKS = {
    "multiclass": Labelled(measures_of("multiclass", CLASSES), classes, 0.3),
    "regression": Labelled(measures_of("regression"), numbers, 0.5),
}
