"""What `monitor labels` says of a day: metrics in Prometheus' text format, and a summary in Markdown."""

from typing import Any

from ontime.model_evaluation.titles import TITLES
from ontime.monitoring.text_file import check_gauges, gauge

MOST_ROWS = 10
POLICIES = {"model": "the model", "never_warn": "no warnings", "group_rate": "the group's past rate"}
COUNTS = {
    "labelled": "Rows of the day whose label was known by the watermark.",
    "label_missing": "Rows of the day that have no label.",
    "label_late": "Rows of the day whose label was known after the watermark.",
    "label_contradicted": "Rows of the day whose labels differ, in this run or compared with an earlier one.",
}


def metrics_of(content: dict[str, Any]) -> str:
    """A day in Prometheus' text format."""
    counts, series = content["counts"], content["series"]
    lines = [*check_gauges("labels", content["day"], len(content["alarms"]))]
    for name, description in COUNTS.items():
        value = counts[name.removeprefix("label_") if name != "labelled" else name]
        lines += gauge(f"ontime_monitor_{name}_rows", description, [({}, value)])
    lag = counts["lag_seconds"]
    lines += gauge(
        "ontime_monitor_label_lag_seconds",
        "Mean time from a prediction of the day to its label.",
        [] if lag is None else [({}, lag)],
    )
    lines += gauge(
        "ontime_monitor_quality",
        "Quality over seven days with labels, and the one that is expected.",
        [
            ({"metric": metric, "kind": kind}, value)
            for metric, values in content["quality"].items()
            for kind, value in values.items()
        ],
    )
    lines += gauge(
        "ontime_monitor_label_shift",
        "How far seven days of labels are from usual: of all rows, or of a segment less the rest.",
        [({"series": one["series"], "segment": one["segment"]}, one["shift"]) for one in series],
    )
    lines += gauge(
        "ontime_monitor_label_shift_limit",
        "Shift beyond which, up or down, a series raises an alarm.",
        [
            ({"series": one["series"], "segment": one["segment"]}, one["limit"])
            for one in series
            if one["limit"] is not None
        ],
    )
    lines += gauge(
        "ontime_monitor_segment_quality",
        "Loss and other figures of a segment over seven days with labels.",
        [
            ({"segment": segment, "metric": metric}, value)
            for segment, values in content["segments"].items()
            for metric, value in values.items()
            if metric != "rows"
        ],
    )
    lines += gauge(
        "ontime_monitor_warnings",
        "Labelled rows of the day by what became of the warning.",
        [({"outcome": outcome}, value) for outcome, value in content["warnings"].items()],
    )
    lines += gauge(
        "ontime_monitor_cost",
        "Cost per 1,000 rows over seven days with labels, by who decides.",
        [({"policy": policy}, value) for policy, value in content["cost_per_1000"].items()],
    )
    return "\n".join([*lines, ""])


def summary(content: dict[str, Any]) -> str:
    """A day in Markdown: what is beyond its limit, what happened beside what was expected, and what labels lack."""
    counts, window, alarms = content["counts"], content["window"], content["alarms"]
    limited = [one for one in content["series"] if one["limit"] is not None]
    verdict = f"{len(alarms)} of {len(limited)} series beyond their limits" if alarms else "no series beyond its limit"
    if not counts["labelled"]:
        verdict = "no label is known yet"
    lines = [
        f"## Labels on {content['day']}: {verdict}",
        "",
        f"{counts['rows']:,} predictions: {counts['labelled']:,} with a label, {counts['late']:,} with a late one, "
        f"{counts['missing']:,} without; {counts['contradicted']:,} with labels that contradict each other. "
        f"{counts['without_key']:,} have no key, {counts['repeated']:,} were asked again.",
    ]
    if not window["rows"]:
        return "\n".join(lines)
    days = f"{len(window['days'])} days with labels, {window['days'][0]} to {window['days'][-1]}"
    lines += ["", f"{days}, {window['rows']:,} rows:", "", "| | truth | expected |", "|---|---:|---:|"]
    for metric, values in content["quality"].items():
        lines.append(f"| {TITLES[metric]} | {_number(values.get('truth'))} | {_number(values.get('expected'))} |")
    costs = ", ".join(f"{POLICIES[policy]} {value:.1f}" for policy, value in content["cost_per_1000"].items())
    lines += ["", f"Cost per 1,000 rows: {costs}."] if costs else []
    if not limited:
        return "\n".join([*lines, "", "The model's reference has no limits for labels."])
    lines += ["", "| series | shift | limit |", "|---|---:|---:|"]
    farthest = sorted(limited, key=lambda one: -abs(one["shift"]) / one["limit"])[:MOST_ROWS]
    lines += [f"| {_name(one)} | {one['shift']:+.3g} | {one['limit']:.3g} |" for one in farthest]
    return "\n".join(lines)


def _name(one: dict[str, Any]) -> str:
    return f"{one['series']}, {one['segment']} less the rest" if one["segment"] else str(one["series"])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
