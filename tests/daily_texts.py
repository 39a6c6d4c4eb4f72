"""What the checks of labels, replay and skew, and the day as a whole, say in Prometheus' text format.

It stands in for runs of those commands: figures of real rows, by the agreed names, without the commands' own limits.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

from ontime.monitoring.text_file import Sample, gauge, midnight

WINDOW_DAYS = 7
FALSE_ALARM, MISSED = 1.0, 3.0
CHECKS = ("labels", "replay", "skew")
SEGMENTS = ("carrier", "origin")
SEGMENT_ROWS = 200
LIMITS = {"offset": 0.15, "log_loss": 0.1, "roc_auc": 0.1}


def expected_area(probability: npt.NDArray[np.float64]) -> float:
    """Area under the ROC curve if the probabilities are right."""
    ordered = np.sort(probability)
    below = np.concatenate([[0.0], np.cumsum(1 - ordered)[:-1]])
    return float((ordered * below).sum() / (ordered.sum() * (1 - ordered).sum()))


def shifts(rows: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Series of labels over some labelled rows."""
    late, probability = rows["target"].to_numpy(), rows["probability"].to_numpy()
    entropy = -(probability * np.log(probability) + (1 - probability) * np.log1p(-probability)).mean()
    found = {
        ("offset", ""): float(late.mean() - probability.mean()),
        ("log_loss", ""): float(log_loss(late, probability) - entropy),
        ("roc_auc", ""): float(roc_auc_score(late, probability) - expected_area(probability)),
    }
    error = rows["target"] - rows["probability"]
    for column in SEGMENTS:
        for value, part in error.groupby(rows[column]):
            if len(part) >= SEGMENT_ROWS:
                found["offset", f"{column}={value}"] = float(part.mean() - error.drop(part.index).mean())
    return found


def cost(late: npt.NDArray[np.float64], warned: npt.NDArray[np.bool_]) -> float:
    """Cost of warnings per 1,000 rows."""
    return 1000 / len(late) * float(FALSE_ALARM * (warned & (late == 0)).sum() + MISSED * (~warned & (late == 1)).sum())


def daily_text(day: str, rows: pd.DataFrame, week: pd.DataFrame) -> str:
    """The metrics of a day.

    Args:
        rows: the day's, with `probability`, `group_rate`, `decision`, the segments, and `target`, which may be missing.
        week: the labelled rows of the seven days that end with it.
    """
    known = rows[rows["target"].notna()]
    moved = shifts(week)
    outside = sum(abs(value) > LIMITS[series] for (series, _), value in moved.items())
    outcomes = {
        "right": (known["decision"] & (known["target"] == 1)).sum(),
        "false": (known["decision"] & (known["target"] == 0)).sum(),
        "missed": (~known["decision"] & (known["target"] == 1)).sum(),
    }
    late, warned, probability = (week[name].to_numpy() for name in ("target", "decision", "probability"))
    by_rate = week["group_rate"].to_numpy() >= FALSE_ALARM / (FALSE_ALARM + MISSED)
    costs = {"model": cost(late, warned), "never_warn": cost(late, ~(late >= 0)), "group_rate": cost(late, by_rate)}
    loss = float(log_loss(late, probability))
    quality = {
        ("roc_auc", "truth"): float(roc_auc_score(late, probability)),
        ("roc_auc", "expected"): expected_area(probability),
        ("log_loss", "truth"): loss,
        ("log_loss", "expected"): loss - moved["log_loss", ""],
        ("cost_per_1000", "truth"): costs["model"],
        ("cost_per_1000", "expected"): 1000 * float(np.where(warned, 1 - probability, MISSED * probability).mean()),
    }
    segments = {
        f"origin={origin}": float(log_loss(part["target"], part["probability"]))
        for origin, part in week.groupby("origin")
    }
    inputs = ("temp", "wind_gust", "origin_overdue")
    metrics: dict[str, list[Sample]] = {
        "day_timestamp_seconds": [({"check": check}, midnight(day)) for check in CHECKS],
        "alarms": [({"check": check}, float(outside if check == "labels" else 0)) for check in CHECKS],
        "input_missing_share": [({"input": name}, float(rows[name].isna().mean())) for name in inputs],
        "input_unknown_share": [({"input": name}, 0.0) for name in SEGMENTS],
        "labelled_rows": [({}, float(len(known)))],
        "label_missing_rows": [({}, float(len(rows) - len(known)))],
        "label_late_rows": [({}, 0.0)],
        "label_contradicted_rows": [({}, 0.0)],
        "label_lag_seconds": [({}, 6 * 3600.0)],
        "quality": [({"metric": metric, "kind": kind}, value) for (metric, kind), value in quality.items()],
        "label_shift": [({"series": one, "segment": segment}, value) for (one, segment), value in moved.items()],
        "label_shift_limit": [({"series": one, "segment": segment}, LIMITS[one]) for one, segment in moved],
        "segment_quality": [({"segment": name, "metric": "log_loss"}, value) for name, value in segments.items()],
        "warnings": [({"outcome": outcome}, float(value)) for outcome, value in outcomes.items()],
        "cost": [({"policy": policy}, value) for policy, value in costs.items()],
        "replayed_rows": [({}, 200.0)],
        "replay_differing_rows": [({}, 0.0)],
        "skew_compared_rows": [({}, 200.0)],
        "skew_differing_share": [({"input": name}, 0.0) for name in inputs],
        "incidents_open": [({}, 0.0)],
        "quarantined_days": [({}, 0.0)],
    }
    return "".join(
        f"{line}\n" for name, samples in metrics.items() for line in gauge(f"ontime_monitor_{name}", name, samples)
    )
