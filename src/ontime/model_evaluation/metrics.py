"""What a list of probabilities is worth against what happened: numbers, curves and the threshold.

Rounded to six decimals where they are written, so that files say no more than a person can use.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import metrics

from ontime.common.arrays import Labels, Probability, Target, Weights
from ontime.common.weights import size_of
from ontime.model_evaluation.settings import Decision

CALIBRATION_BINS = 10
CURVE_POINTS = 200
SLICE_ROWS = 50
"""A slice with fewer rows gets no ROC AUC."""
DIGITS = 6


def as_stored(probability: Probability) -> Probability:
    """The probabilities as float32, which files and the service's answers hold, in float64 for sums over them.

    A threshold chosen on more digits would decide otherwise on the rows next to it.
    """
    return probability.astype(np.float32).astype(np.float64)


def best_threshold(
    labels: Labels, probability: Probability, decision: Decision, weights: Weights | None = None
) -> float:
    """The threshold with the least cost; an event is announced where the probability is at least the threshold.

    Of equally cheap ones the highest. Only probabilities that occur are tried, and one above all of them.

    Args:
        labels: 0 or 1 (rows,); probability: (rows,); weights: what each row counts (rows,).
    """
    order = np.argsort(-probability, kind="stable")
    ordered, event = probability[order], labels[order].astype(np.int64)
    counts = np.ones_like(event) if weights is None else weights[order]
    events, others = event * counts, (1 - event) * counts
    missed = events.sum() - np.concatenate([[0], np.cumsum(events)])
    alarms = np.concatenate([[0], np.cumsum(others)])
    cost = alarms * decision.false_alarm_cost + missed * decision.missed_event_cost
    usable = np.concatenate([[True], ordered[1:] != ordered[:-1], [True]])
    first = int(np.flatnonzero(usable)[np.argmin(cost[usable])])
    return float(ordered[first - 1]) if first else float(np.nextafter(ordered[0], np.inf))


def cost_per_1000(
    labels: Labels, alarm: npt.NDArray[np.bool_], decision: Decision, weights: Weights | None = None
) -> float:
    """Cost of the mistakes per 1,000 rows, or per 1,000 of their weights, in the unit of the two costs."""
    false_alarms, missed = counted(alarm & (labels == 0), weights), counted(~alarm & (labels == 1), weights)
    cost = false_alarms * decision.false_alarm_cost + missed * decision.missed_event_cost
    return 1000 * cost / counted(np.ones(len(labels), dtype=np.bool_), weights)


def counted(chosen: npt.NDArray[np.bool_], weights: Weights | None) -> float:
    """How many rows are chosen, or the sum of their weights."""
    return int(chosen.sum()) if weights is None else float(weights[chosen].sum())


def share(part: float, whole: float) -> float:
    """A part of a whole; 0 of nothing."""
    return part / whole if whole else 0.0


def row_log_losses(labels: Labels, probability: Probability) -> Probability:
    """Log loss of each row (rows,), as scikit-learn counts it: probabilities of 0 and 1 are kept a little away.

    Args:
        labels: 0 or 1, or numbers of classes (rows,); probability: of 1 (rows,), or of each class (rows, classes).
    """
    smallest = np.finfo(np.float64).eps
    if probability.ndim == 1:
        said = np.where(labels == 1, probability, 1 - probability)
    else:
        said = np.take_along_axis(probability, labels.astype(np.intp)[:, None], axis=1)[:, 0]
    return np.asarray(-np.log(np.clip(said, smallest, 1 - smallest)), dtype=np.float64)


def expected_calibration_error(labels: Labels, probability: Probability, weights: Weights | None = None) -> float:
    """Mean distance between probability and share of events over equally filled bins, weighted by their rows.

    Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning"; bins by quantile.
    """
    bins = calibration_curve(labels, probability, weights)
    size = bins["rows" if weights is None else "sum_of_weights"]
    return float((size * (bins["probability"] - bins["share_of_events"]).abs()).sum() / size.sum())


def calibration_curve(labels: Labels, probability: Probability, weights: Weights | None = None) -> pd.DataFrame:
    """Mean probability, share of events and size of each of the `equal_bins` by probability."""
    return equal_bins(probability, {"probability": probability, "share_of_events": labels}, weights)


def equal_bins(by: Probability, columns: Mapping[str, Target], weights: Weights | None) -> pd.DataFrame:
    """Means of columns (rows,), and `rows`, in each of ten bins with equally many rows, in the order of `by` (rows,).

    With weights the bins have equal weight, in `sum_of_weights`: a row at an edge counts in both bins, in each with a
    part of its weight, and is one of the `rows` of the bin that its middle is in.
    """
    order = np.argsort(by, kind="stable")
    if weights is None:
        parts = [part for part in np.array_split(order, CALIBRATION_BINS) if len(part)]
        means = {name: [float(values[part].mean()) for part in parts] for name, values in columns.items()}
        return pd.DataFrame({**means, "rows": [len(part) for part in parts]})
    counts = weights[order]
    ends = np.concatenate([[0.0], np.cumsum(counts)])
    edges = np.linspace(0, ends[-1], CALIBRATION_BINS + 1)
    sums = {
        name: np.diff(np.interp(edges, ends, np.concatenate([[0.0], np.cumsum(counts * values[order])])))
        for name, values in columns.items()
    }
    size = np.diff(edges)
    rows = np.histogram((ends[1:] + ends[:-1]) / 2, edges)[0]
    return pd.DataFrame({**{name: one / size for name, one in sums.items()}, "rows": rows, "sum_of_weights": size})


def summarize(
    labels: Labels, probability: Probability, threshold: float, decision: Decision, weights: Weights | None = None
) -> dict[str, Any]:
    """The metrics by name, at a threshold chosen elsewhere."""
    alarm = probability >= threshold
    hits = counted(alarm & (labels == 1), weights)
    numbers = {
        "roc_auc": metrics.roc_auc_score(labels, probability, sample_weight=weights),
        "pr_auc": metrics.average_precision_score(labels, probability, sample_weight=weights),
        "log_loss": metrics.log_loss(labels, probability, labels=[0, 1], sample_weight=weights),
        "brier_score": metrics.brier_score_loss(labels, probability, sample_weight=weights),
        "expected_calibration_error": expected_calibration_error(labels, probability, weights),
        "cost_per_1000": cost_per_1000(labels, alarm, decision, weights),
        "precision": share(hits, counted(alarm, weights)),
        "recall": share(hits, counted(labels == 1, weights)),
        "share_of_events": np.average(labels, weights=weights),
    }
    rounded = {name: round(float(value), DIGITS) for name, value in numbers.items()}
    return {**rounded, **size_of(len(labels), weights)}


def slice_figures(
    labels: Labels, probability: Probability, threshold: float, decision: Decision, weights: Weights | None = None
) -> dict[str, Any]:
    """Share of events, mean probability, ROC AUC and cost of the rows of a slice.

    ROC AUC is missing where a slice has fewer than 50 rows or one class alone.
    """
    both = min(counted(labels == value, weights) for value in (0, 1)) > 0
    score = None
    if len(labels) >= SLICE_ROWS and both:
        score = float(metrics.roc_auc_score(labels, probability, sample_weight=weights))
    cost = cost_per_1000(labels, probability >= threshold, decision, weights)
    return {
        "share_of_events": round(float(np.average(labels, weights=weights)), DIGITS),
        "mean_probability": round(float(np.average(probability, weights=weights)), DIGITS),
        "roc_auc": None if score is None else round(score, DIGITS),
        "cost_per_1000": round(cost, DIGITS),
    }


def curves(labels: Labels, probability: Probability, weights: Weights | None = None) -> dict[str, pd.DataFrame]:
    """ROC, precision-recall and calibration curves as tables, at most 200 points each."""
    precision, recall, _ = metrics.precision_recall_curve(labels, probability, sample_weight=weights)
    return {
        "roc": roc_curve(labels, probability, weights),
        "precision_recall": _thinned({"recall": recall[::-1], "precision": precision[::-1]}),
        "calibration": calibration_curve(labels, probability, weights).round(DIGITS),
    }


def roc_curve(labels: Labels, probability: Probability, weights: Weights | None = None) -> pd.DataFrame:
    """The ROC curve as a table of at most 200 points."""
    false, true, _ = metrics.roc_curve(labels, probability, sample_weight=weights)
    return _thinned({"false_positive_rate": false, "true_positive_rate": true})


def _thinned(columns: dict[str, Any]) -> pd.DataFrame:
    """Points nearest to an even grid of the first column, which rises."""
    grid = next(iter(columns.values()))
    indices = np.unique(np.searchsorted(grid, np.linspace(0, 1, CURVE_POINTS)).clip(0, len(grid) - 1))
    return pd.DataFrame({name: values[indices] for name, values in columns.items()}).round(DIGITS)
