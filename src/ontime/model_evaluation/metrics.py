"""What a list of probabilities is worth against what happened: numbers, curves and the threshold.

Rounded to six decimals where they are written, so that files say no more than a person can use.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import metrics

from ontime.common.arrays import Labels, Probability
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


def best_threshold(labels: Labels, probability: Probability, decision: Decision) -> float:
    """The threshold with the least cost; an event is announced where the probability is at least the threshold.

    Of equally cheap ones the highest. Only probabilities that occur are tried, and one above all of them.

    Args:
        labels: 0 or 1 (rows,); probability: (rows,).
    """
    order = np.argsort(-probability, kind="stable")
    ordered, events = probability[order], labels[order].astype(np.int64)
    missed = events.sum() - np.concatenate([[0], np.cumsum(events)])
    alarms = np.concatenate([[0], np.cumsum(1 - events)])
    cost = alarms * decision.false_alarm_cost + missed * decision.missed_event_cost
    usable = np.concatenate([[True], ordered[1:] != ordered[:-1], [True]])
    first = int(np.flatnonzero(usable)[np.argmin(cost[usable])])
    return float(ordered[first - 1]) if first else float(np.nextafter(ordered[0], np.inf))


def cost_per_1000(labels: Labels, alarm: npt.NDArray[np.bool_], decision: Decision) -> float:
    """Cost of the mistakes per 1,000 rows, in the unit of the two costs."""
    false_alarms = int((alarm & (labels == 0)).sum())
    missed = int((~alarm & (labels == 1)).sum())
    return 1000 * (false_alarms * decision.false_alarm_cost + missed * decision.missed_event_cost) / len(labels)


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


def expected_calibration_error(labels: Labels, probability: Probability) -> float:
    """Mean distance between probability and share of events over equally filled bins, weighted by their rows.

    Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning"; bins by quantile.
    """
    bins = calibration_curve(labels, probability)
    return float((bins["rows"] * (bins["probability"] - bins["share_of_events"]).abs()).sum() / bins["rows"].sum())


def calibration_curve(labels: Labels, probability: Probability) -> pd.DataFrame:
    """Rows, mean probability and share of events in each of ten bins with equally many rows, by probability."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, CALIBRATION_BINS) if len(part)]
    return pd.DataFrame(
        {
            "probability": [float(probability[part].mean()) for part in parts],
            "share_of_events": [float(labels[part].mean()) for part in parts],
            "rows": [len(part) for part in parts],
        }
    )


def summarize(labels: Labels, probability: Probability, threshold: float, decision: Decision) -> dict[str, Any]:
    """The metrics by name, at a threshold chosen elsewhere."""
    alarm = probability >= threshold
    hits = int((alarm & (labels == 1)).sum())
    numbers = {
        "roc_auc": metrics.roc_auc_score(labels, probability),
        "pr_auc": metrics.average_precision_score(labels, probability),
        "log_loss": metrics.log_loss(labels, probability, labels=[0, 1]),
        "brier_score": metrics.brier_score_loss(labels, probability),
        "expected_calibration_error": expected_calibration_error(labels, probability),
        "cost_per_1000": cost_per_1000(labels, alarm, decision),
        "precision": hits / max(int(alarm.sum()), 1),
        "recall": hits / max(int(labels.sum()), 1),
        "share_of_events": float(labels.mean()),
    }
    return {**{name: round(float(value), DIGITS) for name, value in numbers.items()}, "rows": len(labels)}


def by_slice(
    rows: pd.DataFrame,
    columns: list[str],
    labels: Labels,
    probability: Probability,
    threshold: float,
    decision: Decision,
) -> pd.DataFrame:
    """Rows, share of events, ROC AUC, mean probability and cost for each value of each column; most rows first.

    ROC AUC is missing where a slice has fewer than 50 rows or one class alone.
    """
    found: list[Mapping[str, Any]] = []
    for name, part in slice_values(rows, columns):
        enough = part.sum() >= SLICE_ROWS and 0 < labels[part].sum() < part.sum()
        score = float(metrics.roc_auc_score(labels[part], probability[part])) if enough else None
        found.append(
            {
                "slice": name,
                "rows": int(part.sum()),
                "share_of_events": round(float(labels[part].mean()), DIGITS),
                "mean_probability": round(float(probability[part].mean()), DIGITS),
                "roc_auc": None if score is None else round(score, DIGITS),
                "cost_per_1000": round(cost_per_1000(labels[part], probability[part] >= threshold, decision), DIGITS),
            }
        )
    columns_of = ["slice", "rows", "share_of_events", "mean_probability", "roc_auc", "cost_per_1000"]
    return pd.DataFrame(found, columns=columns_of)


def slice_values(rows: pd.DataFrame, columns: list[str]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Each value of each column, as `column=value`, and which rows (rows,) have it; most rows first."""
    for column in columns:
        values = rows[column].astype("str").fillna("(missing)").to_numpy()
        names, counts = np.unique(values.astype(str), return_counts=True)
        for name in names[np.argsort(-counts, kind="stable")]:
            yield f"{column}={name}", values == name


def curves(labels: Labels, probability: Probability) -> dict[str, pd.DataFrame]:
    """ROC, precision-recall and calibration curves as tables, at most 200 points each."""
    precision, recall, _ = metrics.precision_recall_curve(labels, probability)
    return {
        "roc": roc_curve(labels, probability),
        "precision_recall": _thinned({"recall": recall[::-1], "precision": precision[::-1]}),
        "calibration": calibration_curve(labels, probability).round(DIGITS),
    }


def roc_curve(labels: Labels, probability: Probability) -> pd.DataFrame:
    """The ROC curve as a table of at most 200 points."""
    false, true, _ = metrics.roc_curve(labels, probability)
    return _thinned({"false_positive_rate": false, "true_positive_rate": true})


def _thinned(columns: dict[str, Any]) -> pd.DataFrame:
    """Points nearest to an even grid of the first column, which rises."""
    grid = next(iter(columns.values()))
    indices = np.unique(np.searchsorted(grid, np.linspace(0, 1, CURVE_POINTS)).clip(0, len(grid) - 1))
    return pd.DataFrame({name: values[indices] for name, values in columns.items()}).round(DIGITS)
