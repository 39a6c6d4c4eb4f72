"""A dashboard of Grafana as plain content, as far as the project's dashboards need its format.

The format: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 41
COLUMNS = 24
"""Width of a dashboard."""
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLORS = {"canary": "orange", "good": "green", "bad": "red", "neutral": "blue", "pale": "text"}

SMALLEST_AXIS = {"percentunit": 0.1, "short": 1, "reqps": 1}
"""Where the axis of a unit ends at least, so that nothing but zeros is not drawn up to a hundred."""


@dataclass(frozen=True)
class Query:
    """A query in PromQL and how its series are called, with labels in `{{ }}`."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """What one panel shows."""

    title: str
    """With the unit, or what is counted, in brackets."""
    description: str
    unit: str
    """A name of Grafana's units."""
    queries: tuple[Query, ...]
    runbook: str
    """The alert whose runbook says what to do."""
    kind: str = "timeseries"
    width: int = 12
    height: int = 8
    draw: str = "line"
    """`line`, `bars`, or `steps` for what a day has one value of."""
    stacked: bool = False
    interval: str | None = None
    """Shortest step of the query, as in `1w`."""
    least: float | None = None
    """Where the axis begins."""
    limit: float | None = None
    """A line that is drawn across."""
    decimals: int | None = None
    colors: dict[str, str] = field(default_factory=dict)
    """Color of a series by its name."""


@dataclass(frozen=True)
class Row:
    """A heading and the panels below it."""

    title: str
    panels: tuple[Panel, ...]


def highest(expression: str, label: str) -> str:
    """Of the series of an expression, the eight that are highest in the time shown; the same ones at every step."""
    return f"({expression})\nand on ({label}) topk(8, max_over_time(({expression})[$__range:1d] @ end()))"


def dashboard(
    uid: str,
    title: str,
    description: str,
    rows: Iterable[Row],
    runbooks: str,
    variables: Iterable[dict[str, Any]],
    since: str,
) -> dict[str, Any]:
    """The JSON of a dashboard.

    Args:
        runbooks: address of the page with a runbook for each alert.
        since: what is shown first, as in `now-6h`.
    """
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["ontime"],
        "editable": False,
        "schemaVersion": SCHEMA_VERSION,
        "time": {"from": since, "to": "now"},
        "timezone": "utc",
        "refresh": "1m",
        "links": [
            {"type": "dashboards", "title": "ontime", "tags": ["ontime"], "keepTime": False, "asDropdown": False}
        ],
        "templating": {"list": [data_source(), *variables]},
        "panels": [*placed(rows, runbooks)],
    }


def placed(rows: Iterable[Row], runbooks: str) -> Iterable[dict[str, Any]]:
    """Panels side by side as long as there is room, each row below the one before."""
    number, top = 0, 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            "panels": [],
        }
        top, left, tallest = top + 1, 0, 0
        for panel in row.panels:
            number += 1
            if left + panel.width > COLUMNS:
                top, left, tallest = top + tallest, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield panel_content(panel, number, place, runbooks)
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest


def panel_content(panel: Panel, number: int, place: dict[str, int], runbooks: str) -> dict[str, Any]:
    """The JSON of a panel."""
    defaults: dict[str, Any] = {"unit": panel.unit, "color": {"mode": "palette-classic"}}
    if panel.least is not None:
        defaults["min"] = panel.least
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.limit is not None:
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": "transparent", "value": None}, {"color": COLORS["bad"], "value": panel.limit}],
        }
    content: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATA_SOURCE,
        "gridPos": place,
        "links": [{"title": "Runbook", "url": f"{runbooks}#{panel.runbook.lower()}", "targetBlank": True}],
        "targets": [
            {
                "refId": chr(ord("A") + place_),
                "datasource": DATA_SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
                "range": panel.kind == "timeseries",
                "instant": panel.kind != "timeseries",
            }
            for place_, query in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": defaults,
            "overrides": [
                {
                    "matcher": {"id": "byName", "options": name},
                    "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
                }
                for name, color in panel.colors.items()
            ],
        },
    }
    if panel.interval is not None:
        content["interval"] = panel.interval
    if panel.kind == "stat":
        defaults["color"] = {"mode": "fixed", "fixedColor": COLORS["neutral"]}
        content["options"] = {
            "colorMode": "value",
            "graphMode": "none",
            "textMode": "value_and_name",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
        return content
    defaults["custom"] = {
        "drawStyle": "bars" if panel.draw == "bars" else "line",
        "lineInterpolation": "stepAfter" if panel.draw == "steps" else "linear",
        "lineWidth": 0 if panel.draw == "bars" else 2,
        "fillOpacity": 80 if panel.draw == "bars" else 0,
        "barAlignment": -1,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if panel.limit is not None else "off"},
    }
    if panel.least is not None and panel.unit in SMALLEST_AXIS:
        defaults["custom"]["axisSoftMax"] = SMALLEST_AXIS[panel.unit]
    content["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return content


def data_source() -> dict[str, Any]:
    """The variable that chooses a Prometheus."""
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}}


def namespace() -> dict[str, Any]:
    """The variable that chooses an environment."""
    query = "label_values(ontime_model_info, namespace)"
    return {
        "name": "namespace",
        "label": "Namespace",
        "type": "query",
        "datasource": DATA_SOURCE,
        "query": {"query": query, "refId": "namespace"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "current": {"text": "ontime-production", "value": "ontime-production"},
    }


def text_box(name: str, label: str, value: str) -> dict[str, Any]:
    """A variable that is typed."""
    chosen = {"text": value, "value": value}
    return {"name": name, "label": label, "type": "textbox", "query": value, "current": chosen, "options": [chosen]}
