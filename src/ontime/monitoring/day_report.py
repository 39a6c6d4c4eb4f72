"""The report of a day: what the checks say, what follows, and how it came to be as pictures.

In: the files of the days in `OUTPUT/inputs` and `OUTPUT/labels`. Out: `OUTPUT/report.md`, `OUTPUT/inputs.png`, and
`OUTPUT/quality.png` where there are labels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ontime.common.files import read_json, replacing, write_text
from ontime.model_evaluation.titles import TITLES
from ontime.monitoring.day_files import DayRecord
from ontime.monitoring.decision import Incident

SHOWN_DAYS, SHOWN_INPUTS = 56, 6
TOP = 5.0
"""Shares of a limit above it are drawn there."""
INPUTS, QUALITY = "inputs.png", "quality.png"


def write_report(
    output: Path, days: Sequence[DayRecord], summaries: Sequence[str], lasting: Sequence[Incident]
) -> None:
    """Write the report of the last of the days, and its pictures."""
    images = []
    for name, draw in ((INPUTS, _draw_inputs), (QUALITY, _draw_quality)):
        figure = draw(output, days)
        if figure is not None:
            with replacing(output / name) as temporary:
                figure.savefig(temporary, format="png", metadata={"Software": None})
            images.append(name)
    write_text(output / "report.md", render(days, summaries, lasting, images))


def render(
    days: Sequence[DayRecord], summaries: Sequence[str], lasting: Sequence[Incident], images: Sequence[str]
) -> str:
    """The report as Markdown; causes and reasons are text of others."""
    day = days[-1]
    alarms = [(check, one) for check, found in day.checks.items() for one in found]
    parts = [f"# Monitoring of {day.day}", _verdict(day, len(alarms))]
    if alarms:
        rows = [f"| {check} | {code(one.cause)} | {one.found:.4g} | {one.limit:.4g} |" for check, one in alarms]
        parts.append("\n".join(["| check | cause | found | limit |", "|---|---|---:|---:|", *rows]))
    if lasting:
        parts.append("## Incidents that last")
        parts.append("\n".join(f"- {one.check}: {code(one.cause)}, since {one.days[0][0]}" for one in lasting))
    if day.skipped:
        parts.append("## Checks that could not run")
        reasons = {check: why.replace("`", "'") for check, why in day.skipped.items()}
        parts.append("\n".join(f"- {check}: {code(why)}" for check, why in reasons.items()))
    parts += [f"![{name.partition('.')[0]}]({name})" for name in images]
    return "\n\n".join([*parts, *summaries]) + "\n"


def _verdict(day: DayRecord, alarms: int) -> str:
    said = [f"{alarms} alarm{'s' * (alarms != 1)}." if alarms else "No alarm."]
    if day.quarantined:
        said.append("The day is quarantined: no model is trained on its rows, and no alarm of it trains one.")
    if day.challenger == "schedule":
        said.append("A challenger is to be trained: the model's newest row is old enough.")
    if day.challenger == "labels":
        said.append("A challenger is to be trained: labels no longer fit what the model says, with sound inputs.")
    return " ".join(said)


def plain(text: str, most: int = 200) -> str:
    """A text of others in ASCII, which ends no code span and no cell of a table in Markdown."""
    return ascii(text[:most])[1:-1].replace("`", r"\x60").replace("|", r"\x7c")


def code(text: str) -> str:
    """A text of others as code in Markdown, where nothing of it has a meaning."""
    return f"`{plain(text)}`"


def _contents(output: Path, check: str, days: Sequence[DayRecord]) -> list[dict[str, Any]]:
    """What a check kept of the last days, oldest first."""
    paths = [path for path in sorted((output / check).glob("*.json")) if path.stem <= days[-1].day]
    return [read_json(path) for path in paths[-SHOWN_DAYS:]]


def _axes(count: int, title: str) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1 + 2.6 * count), dpi=100, layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(count, sharex=True)))
    axes[0].set_title(title)
    return figure, axes


def _mark(axes: Any, names: Sequence[str], days: Sequence[DayRecord]) -> None:
    """Shade the quarantined days, and write every seventh day below."""
    quarantined = {one.day for one in days if one.quarantined}
    for place, name in enumerate(names):
        if name in quarantined:
            axes.axvspan(place - 0.5, place + 0.5, color="tab:red", alpha=0.15, linewidth=0)
    ticks = range((len(names) - 1) % 7, len(names), 7)
    axes.set_xticks(list(ticks), [names[place] for place in ticks], rotation=30, ha="right", fontsize=8)


def _draw_inputs(output: Path, days: Sequence[DayRecord]) -> Any:
    contents = _contents(output, "inputs", days)
    if not contents:
        return None
    last = contents[-1]["inputs"]
    nearest = sorted(last, key=lambda name: (-_share(last[name]), name))[:SHOWN_INPUTS]
    figure, (axes,) = _axes(1, "Inputs nearest to their limits (1 is the limit; red: quarantined)")
    figure.set_figheight(4.5)
    names = [one["day"] for one in contents]
    for name in nearest:
        shares = [min(_share(one["inputs"][name]), TOP) if name in one["inputs"] else np.nan for one in contents]
        axes.plot(range(len(names)), shares, marker=".", linewidth=1, label=_label(name))
    axes.axhline(1, color="black", linewidth=1, linestyle="--")
    axes.set_ylabel(f"shift / limit, at most {TOP:g}")
    axes.set_ylim(0, max(2.0, axes.get_ylim()[1]))
    axes.legend(loc="best", fontsize=8, ncols=3)
    _mark(axes, names, days)
    return figure


def _label(name: str) -> str:
    """A name in a legend: a dollar would begin a formula, and a leading underscore hides it."""
    plain = ascii(name[:40])[1:-1].replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain


def _share(one: dict[str, float]) -> float:
    return one["shift"] / one["limit"] if one["limit"] else float(one["shift"] > 0) * TOP


def _draw_quality(output: Path, days: Sequence[DayRecord]) -> Any:
    """What the labels say beside what is expected, day by day."""
    contents = [one for one in _contents(output, "labels", days) if one.get("quality")]
    if not contents:
        return None
    metrics = [name for name in TITLES if any(name in one["quality"] for one in contents)]
    figure, all_axes = _axes(len(metrics), "Quality by labels of seven days, and what is expected (red: quarantined)")
    names = [one["day"] for one in contents]
    for metric, axes in zip(metrics, all_axes, strict=True):
        for kind, style in (("truth", "-"), ("expected", "--")):
            values = [one["quality"].get(metric, {}).get(kind) for one in contents]
            numbers = [np.nan if value is None else value for value in values]
            axes.plot(range(len(names)), numbers, style, marker=".", linewidth=1, label=kind)
        axes.set_ylabel(TITLES[metric])
        axes.legend(loc="best", fontsize=8)
        _mark(axes, names, days)
    return figure
