"""`report.html`: the model card with pictures, which needs no network and no knowledge of metrics.

In: what the model was worth on validation and test by month and by slice, the baselines, the losses of its training.
Out: one page with its style and charts inside; no date and no path, so that the same model has the same page.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ontime.model_deployment.export.drawing import Series, dot_chart, line_chart
from ontime.model_deployment.export.model_card import DecisionRule, shown, title_of
from ontime.model_deployment.export.parts import Part
from ontime.model_evaluation.judge import Judge
from ontime.model_evaluation.metrics import SLICE_ROWS

STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--paper:#fff;--faint:#d0d0d0;--s0:#0a58a6;--s1:#a83c00;--s2:#3a6b00}
@media (prefers-color-scheme:dark){:root{--ink:#ececec;--paper:#161616;--faint:#484848;--s0:#86bdff;--s1:#ffb07a;
--s2:#a9d977}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:46rem;margin:auto;padding:1rem}
figure{margin:1rem 0}figcaption{font-size:.9rem}
svg{width:100%;height:auto;font:13px system-ui,sans-serif;fill:currentColor}
.grid{stroke:var(--faint);fill:none}.equal{stroke:currentColor;stroke-dasharray:2 4;fill:none}
.line{fill:none;stroke-width:2.5}.line.s1{stroke-dasharray:7 4}.line.s2{stroke-dasharray:2 3}
.s0{stroke:var(--s0)}.s1{stroke:var(--s1)}.s2{stroke:var(--s2)}
.ring{fill:var(--paper);stroke-width:2.5}.mark.s1{fill:var(--s1)}.mark.s2{fill:var(--s2)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--faint)}
th:first-child{text-align:left}.first{font-size:1.2rem}
"""
OF_TEST = " on test"
MEANING = {
    "roc_auc": "ROC AUC is how often a row with the event gets a higher probability than one without: 0.5 is guessing.",
    "rmse": "The root mean squared error is the size of a usual error, in the unit of the target; less is better.",
}
"""What a metric means, for a person who has not met it."""
HAPPENED, SAID = "what happened", "what the model predicted"


def report(
    name: str,
    says: str,
    record: str,
    rule: DecisionRule | None,
    test: Mapping[str, float],
    baselines: Mapping[str, Mapping[str, float]],
    parts: Sequence[Part],
    history: pd.DataFrame,
    judge: Judge,
    folds: int = 1,
    weight: str | None = None,
) -> str:
    """The page.

    Args:
        says: what the model says of a row, as a dependent clause; record: what a row is.
        test: metrics of the served model on test rows; baselines: those of the answers without a model, by name.
        parts: validation and test; history: losses by step of the champion's training.
        folds: in how many the rows were that chose the champion; 1 if the validation rows did.
        weight: the column of what each row counts, if they do not count the same.
    """
    chose = "The validation rows" if folds == 1 else f"Training and validation rows, in {folds} folds,"
    sections = [
        _section("In short", _list([*_in_short(test, rule, record), *_gaps(parts[-1], judge)])),
        _section("Compared with no model", _baselines(test, baselines, judge)),
        *_periods(parts, judge),
        *_slices(parts, judge),
        *(_curve(one, parts, judge) for one in judge.drawn),
        _learning(history),
        _section(
            "About these figures",
            f"<p>{chose} decided which model is served; the test rows are new to it. With "
            "<code>train.refit</code>, the validation figures are those of the model before it was fitted again with "
            "the validation rows, the test figures those of the served model. <code>MODEL_CARD.md</code> beside this "
            f"page has the training data, the limits, and the rights of persons.</p>{_weighted(weight)}",
        ),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{_text(name)}: report</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{_text(name)}</h1>\n"
        f'<p class="first">This model predicts {_text(says)}.</p>\n{"".join(sections)}</main>\n</body>\n</html>\n'
    )


def _in_short(test: Mapping[str, float], rule: DecisionRule | None, record: str) -> list[str]:
    """What the model does, by counts that everybody knows."""
    total = test.get("sum_of_weights")
    summed = "" if total is None else f"; their weights sum to {shown('sum_of_weights', total)}"
    row = f"{int(test['rows']):,} test rows (a row is a {record}{summed})"
    if rule is None:
        known = [f"{title_of(one)} {shown(one, test[one])}" for one in list(test)[:3]]
        return [f"On {row}: {', '.join(known)}."]
    share, recall, precision = (test[name] for name in ("share_of_events", "recall", "precision"))
    hits = 1000 * share * recall
    alarms = hits / precision if precision else 0.0
    return [
        f"On {row}: {1000 * share:.0f} of every 1,000 have the event. The model announces it for "
        f"{alarms:.0f}: {hits:.0f} are right, {alarms - hits:.0f} are false alarms. "
        f"{1000 * share - hits:.0f} events get no warning.",
        f"It announces the event from a probability of {rule.threshold:.4f} on, because a false alarm costs "
        f"{rule.costs.false_alarm_cost:g} and a missed event {rule.costs.missed_event_cost:g}.",
    ]


def _gaps(part: Part, judge: Judge) -> list[str]:
    """The slice that the model is furthest wrong about on average."""
    if judge.pair is None or not (large := part.slices["rows"] >= SLICE_ROWS).any():
        return []
    happened, said = judge.pair
    known = part.slices[large].to_dict(orient="records")
    worst = max(known, key=lambda row: abs(row[said] - row[happened]))
    return [
        f"Of the groups with at least {SLICE_ROWS} test rows, predictions differ most from the outcome for "
        f"{worst['slice']} ({int(worst['rows']):,} rows): {title_of(happened)} {shown(happened, worst[happened])}, "
        f"{title_of(said)} {shown(said, worst[said])}."
    ]


def _baselines(test: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]], judge: Judge) -> str:
    columns = {"model": test, **{name.replace("_", " "): values for name, values in baselines.items()}}
    rows = [
        [title_of(one), *(shown(one, values[one]) for values in columns.values())]
        for one in judge.compared
        if one in test
    ]
    return _table("Test metrics beside the baselines", ["on test", *columns], rows)


def _periods(parts: Sequence[Part], judge: Judge) -> list[str]:
    found = {part.name: part.periods for part in parts if part.periods is not None}
    return [_groups("Month by month", "period", found, judge)] if found else []


def _slices(parts: Sequence[Part], judge: Judge) -> list[str]:
    found = {part.name: part.slices for part in parts if len(part.slices)}
    return [_groups("Group by group", "slice", found, judge)] if found else []


def _groups(title: str, key: str, tables: Mapping[str, pd.DataFrame], judge: Judge) -> str:
    """Pictures of the metric of slices and of what happened beside what was said; all figures below them."""
    metric = judge.slice_metric
    values: dict[str, dict[str, float]] = {}
    beside: dict[str, dict[str, float]] = {}
    for part, table in tables.items():
        for row in table.to_dict(orient="records"):
            label = _label(str(row["slice"]))
            if pd.notna(row.get(metric)):
                values.setdefault(label, {})[part] = float(row[metric])
            if judge.pair and row["rows"] >= SLICE_ROWS:
                happened, said = judge.pair
                beside[f"{label}, {part}" if len(tables) > 1 else label] = {
                    HAPPENED: float(row[happened]),
                    SAID: float(row[said]),
                }
    content = ""
    if values:
        name = f"{title_of(metric)} {title.lower()}"
        chart = dot_chart(f"{key}-{metric}", name, dict(sorted(values.items(), key=_order(values))), title_of(metric))
        content += _figure(chart, MEANING.get(metric, ""))
    if beside and judge.pair:
        name = f"{title_of(judge.pair[0])}: {HAPPENED} and {SAID}"
        content += _figure(dot_chart(f"{key}-pair", name, beside, title_of(judge.pair[0])), f"{name}.")
    rows = [
        [_label(str(row["slice"])), part, *(shown(str(one), row[one]) for one in table.columns[1:])]
        for part, table in tables.items()
        for row in table.to_dict(orient="records")
    ]
    columns = [key, "part", *(title_of(one) for one in next(iter(tables.values())).columns[1:])]
    return _section(title, content + f"<details><summary>All figures</summary>{_table(title, columns, rows)}</details>")


def _order(values: Mapping[str, Any]) -> Any:
    """Months by name, slices as they came."""
    places = {name: place for place, name in enumerate(values)}
    return lambda pair: (pair[0] if "=" not in pair[0] else "~", places[pair[0]])


def _weighted(weight: str | None) -> str:
    """What the figures are of rows that do not count the same."""
    if weight is None:
        return ""
    return (
        f"<p>Each row counts as much as its <code>{_text(weight)}</code>: every figure here but numbers of rows is "
        "weighted by it, so 1,000 rows are rows whose weights sum to 1,000.</p>"
    )


def _label(name: str) -> str:
    return name.removeprefix("period=")


def _curve(name: str, parts: Sequence[Part], judge: Judge) -> str:
    x, y, title = judge.drawn[name]
    series = [
        Series(
            part.name, [(float(a), float(b)) for a, b in zip(part.curves[name][x], part.curves[name][y], strict=True)]
        )
        for part in parts
    ]
    title = title.removesuffix(OF_TEST)
    chart = line_chart(f"curve-{name}", title, series, title_of(x), title_of(y), name in judge.diagonal)
    return _section(title, _figure(chart))


def _learning(history: pd.DataFrame) -> str:
    if len(history) < 2:
        return _section("How it learned", "<p>Models of this family are fitted in one step.</p>")
    series = [
        Series(name.split("_")[0], [(float(a), float(b)) for a, b in zip(history["step"], history[name], strict=True)])
        for name in history.columns.drop("step")
    ]
    loss = title_of(history.columns[-1].partition("_")[2])
    chart = line_chart("learning", f"{loss} by step", series, "step", loss)
    return _section("How it learned", _figure(chart))


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{_text(title)}</h2>\n{content}\n</section>\n"


def _figure(chart: str, caption: str = "") -> str:
    return f"<figure>{chart}{f'<figcaption>{_text(caption)}</figcaption>' if caption else ''}</figure>\n"


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(line)}</li>' for line in lines)}</ul>"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_text(one)}</th>' for one in columns)
    body = "".join(
        f'<tr><th scope="row">{_text(first)}</th>{"".join(f"<td>{_text(one)}</td>" for one in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="wide" role="region" aria-label="{_text(title)}" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _text(text: str) -> str:
    return html.escape(text)
