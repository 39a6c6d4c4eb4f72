"""Show the effect of a branch on the model: metrics, slices, parameters, data, plots, and the gate's result.

In: the workspace and a base revision, whose data comes from DVC's cache or remote. Out: a folder with `report.md` and
its images. The gate uses only validation metrics; test metrics are shown. Its limits are the base's, so that no branch
sets what it is judged by. Where the split moved, as a retraining moves it, the gate uses rows that neither champion was
fitted on, by days. Exit status 1 on a regression.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import click

from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.common.params import load_section
from ontime.model_evaluation.judge import Judge, judge_of
from ontime.model_evaluation.settings import Evaluate
from ontime.model_evaluation.titles import TITLES
from ontime.pull_request.challenger import policy
from ontime.pull_request.champions import Champion, base_opener, read_champion, workspace_opener
from ontime.pull_request.comment import MARKER
from ontime.pull_request.gate import Comparison, Gate
from ontime.pull_request.in_words import escaped, in_words, mark, title_of
from ontime.pull_request.judge import Judged, judge
from ontime.pull_request.limits import Limits, changed_limits, limits_of
from ontime.repository.dvc import answer
from ontime.repository.git import commit_of
from ontime.repository.lock_file import committed_lock, outputs
from ontime.repository.pull import fetch_listings, fetched_files
from ontime.tasks.task import load_task

MOST_SLICES, MOST_CHANGES = 6, 30
NO_CHANGE = "No change."
SHARES = 1.1
"""Axes that end here have shares, with a margin."""


@click.command(name="report")
@click.option("--base", required=True, metavar="REV", help="The revision to compare with, such as origin/main.")
@click.option("--output", type=click.Path(path_type=Path), default="report", show_default=True)
@click.option(
    "--image-url", default="", metavar="URL", help="URL of the folder with the images (default: beside the report)."
)
@click.option(
    "--backtest",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What `ontime backtest` printed, to be included.",
)
def command(base: str, output: Path, image_url: str, backtest: Path | None) -> None:
    """Compare the model with that of a base revision, write a report, and apply the gate."""
    task = load_task()
    own = Limits(load_section("gate", Gate), load_section("evaluate", Evaluate).slices, task.name)
    commit = commit_of(base)
    if commit is None:
        raise OntimeError(f"--base {base}: no such revision")
    fetch_compared(commit)
    limits = limits_of(commit)
    if limits.task != task.name:
        raise OntimeError(
            f"gate: the task changed from {limits.task} to {task.name}, so nothing can be compared; look by hand"
        )
    own_judge = judge_of(task.name)
    before, after = (read_champion(opener, task, own_judge.drawn) for opener in (base_opener(commit), workspace_opener))
    judged = judge(commit, before, after, limits, [*dict.fromkeys([*limits.slices, *own.slices])])
    failed = [metric for metric in [*judged.metrics, *judged.slices] if metric.regressed]
    with replacing(output) as folder:
        folder.mkdir()
        images = [f"{image_url}{name}" for name in draw(before, after, own_judge, folder)]
        judged = replace(judged, more=[*judged.more, *policy(backtest)])
        text = render(before, after, judged, changes(commit), images, changed_limits(limits, own))
        (folder / "report.md").write_text(text, encoding="utf-8")
    click.echo(f"{output / 'report.md'}: {verdict(failed)}")
    if failed:
        raise OntimeError(f"gate: {verdict(failed)}")


def fetch_compared(commit: str) -> None:
    """Check what DVC would read from the remote when it compares: listings, and files of metrics."""
    made = outputs(committed_lock(commit))
    fetch_listings(made)
    fetched_files({path: md5 for path, md5 in made.items() if path.endswith(".json")})


@dataclass(frozen=True)
class Changes:
    """What differs from the base: parameters (name, before, after), DVC's outputs by kind, stages of dvc.lock."""

    parameters: list[tuple[str, Any, Any]]
    outputs: Mapping[str, list[str]]
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]]


def changes(commit: str) -> Changes:
    """What `dvc params diff`, `dvc diff` and `dvc metrics diff` say, by their JSON."""
    parameters = [
        (name, values.get("old"), values.get("new"))
        for changed in answer("params", "diff", commit).values()
        for name, values in changed.items()
    ]
    diff = answer("diff", commit)
    outputs = {
        kind: [_path(entry["path"]) for entry in diff.get(kind, ())] for kind in ("added", "deleted", "modified")
    }
    # dvc diff reports an output that was never fetched as deleted
    absent = set(_absent())
    outputs["deleted"] = [path for path in outputs["deleted"] if absent.isdisjoint(_with_folders(path))]
    outputs["renamed"] = [f"{entry['path']['old']} to {entry['path']['new']}" for entry in diff.get("renamed", ())]
    return Changes(parameters, outputs, answer("metrics", "diff", commit))


def _absent() -> Iterator[str]:
    """Outputs of dvc.lock that the checkout does not have, folders with a slash at the end."""
    status = answer("data", "status")
    yield from (_path(path) for path in status.get("not_in_cache", ()))
    yield from (_path(path) for path in status.get("uncommitted", {}).get("deleted", ()))


def _with_folders(path: str) -> Iterator[str]:
    """A path and the folders that it is in, with a slash at their ends."""
    yield path
    yield from (f"{folder}/" for folder in PurePosixPath(path).parents)


def _path(path: Any) -> str:
    return str(path["new"] if isinstance(path, dict) else path)


def draw(before: Champion, after: Champion, task: Judge, folder: Path) -> list[str]:
    """Write curves of both champions on test as images; their file names."""
    from matplotlib.figure import Figure

    for name, (x, y, title) in task.drawn.items():
        figure = Figure(figsize=(5, 4.2), dpi=110, layout="constrained")
        axes = figure.subplots()
        for champion, label in ((before, f"base: {before.model}"), (after, f"this: {after.model}")):
            axes.plot(
                champion.curves[name][x], champion.curves[name][y], marker="o" * (name == "calibration"), label=label
            )
        axes.set(title=title, xlabel=x.replace("_", " "), ylabel=y.replace("_", " "))
        if max(*axes.get_xlim(), *axes.get_ylim()) <= SHARES:
            axes.set(xlim=(0, 1), ylim=(0, 1))
        if name in task.diagonal:
            axes.axline((0, 0), slope=1, linestyle=":", color="grey", linewidth=1)
        axes.legend(loc="lower right")
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})
    return [f"{name}.png" for name in task.drawn]


def verdict(failed: list[Comparison]) -> str:
    """One line with the metrics that regressed, or that none did."""
    if not failed:
        return "passed: nothing is worse than allowed"
    return "failed: " + "; ".join(
        f"{metric.name} from {metric.base:.4f} to {metric.head:.4f}, {metric.worsening:.4f} worse, "
        f"allowed {metric.allowed:.4f}"
        for metric in failed
    )


def render(
    before: Champion,
    after: Champion,
    judged: Judged,
    changed: Changes,
    images: list[str],
    limits: list[str],
) -> str:
    """The report as Markdown; `limits` says how the branch changes what it would be judged by."""
    failed = [metric for metric in [*judged.metrics, *judged.slices] if metric.regressed]
    champion = after.model if after.model == before.model else f"{before.model} → {after.model}"
    moved = [metric for metric in judged.slices if metric.low > 0 or metric.high < 0]
    moved.sort(key=lambda metric: (-metric.regressed, -abs(metric.head - metric.base), metric.name))
    parts = [
        MARKER,
        f"## Gate {'failed' if failed else 'passed'}",
        f"Champion: {champion}. {verdict(failed)[0].upper()}{verdict(failed)[1:]}.",
        in_words(judged.metrics, judged.slices),
        f"### {judged.rows}",
        f"{judged.count:,} rows{weighted_by(judged.weight)}.",
        *_comparison_table("metric", judged.metrics),
    ]
    if limits:
        parts += [
            "### Limits of the gate that this branch changes",
            "They are not applied here, but to pull requests after this one is merged. Who owns `params.yaml` in "
            "`.github/CODEOWNERS` decides whether they may change.",
            "\n".join(f"- {line}" for line in limits),
        ]
    if moved:
        parts += [
            f"### Slices with a significant change in {title_of(moved[0].metric or '')}",
            *_comparison_table("slice", moved[:MOST_SLICES]),
        ]
    parts += judged.more
    parts += ["### Test metrics, for information", *_test_table(before.test, after.test)]
    parts += ["### Parameters", *_listed(_parameter_rows(changed.parameters))]
    parts += ["### Data and outputs", *_folded(_listed(_output_rows(changed.outputs)), _counted(changed.outputs))]
    parts += ["### Metrics of every run", *_metric_rows(changed.metrics)]
    parts += ["### Plots", " ".join(f"![{Path(image).stem}]({image})" for image in images)]
    return "\n\n".join(parts) + "\n"


def weighted_by(weight: str | None) -> str:
    """The column of weights, behind the number of rows, if there is one."""
    return f", weighted by `{weight}`" if weight else ""


def _comparison_table(title: str, metrics: list[Comparison]) -> list[str]:
    lines = [f"| {title} | base | this | change | worse by, interval | allowed | |", "|---|---|---|---|---|---|---|"]
    lines.extend(
        f"| {escaped(metric.name)} | {metric.base:.4f} | {metric.head:.4f} | {metric.head - metric.base:+.4f} "
        f"| {metric.low:+.4f} to {metric.high:+.4f} | {metric.allowed:.4f} | {mark(metric)} |"
        for metric in metrics
    )
    return ["\n".join(lines)]


def _test_table(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    lines = ["| metric | base | this | change |", "|---|---|---|---|"]
    for name in after:
        if name in before:
            change = after[name] - before[name]
            lines.append(f"| {name} | {before[name]:g} | {after[name]:g} | {change:+.6g} |")
    return ["\n".join(lines)]


def _metric_rows(metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    lines = ["| file | metric | base | this |", "|---|---|---|---|"]
    for path, changed in sorted(metrics.items()):
        for name, values in changed.items():
            if name in TITLES:
                lines.append(f"| {escaped(path)} | {name} | {values.get('old', '')} | {values.get('new', '')} |")
    return _folded(["\n".join(lines)] if len(lines) > 2 else [NO_CHANGE], "by file")


def _parameter_rows(parameters: list[tuple[str, Any, Any]]) -> Iterator[str]:
    for name, old, new in parameters:
        yield f"`{name}`: {_value(old)} → {_value(new)}"


def _output_rows(outputs: Mapping[str, list[str]]) -> Iterator[str]:
    for kind, names in outputs.items():
        yield from (f"{kind}: `{name}`" for name in names)


def _listed(lines: Iterator[str]) -> list[str]:
    changes = list(lines)
    more = [f"- and {len(changes) - MOST_CHANGES} more"] if len(changes) > MOST_CHANGES else []
    return ["\n".join([f"- {line}" for line in changes[:MOST_CHANGES]] + more) if changes else NO_CHANGE]


def _counted(outputs: Mapping[str, list[str]]) -> str:
    """How many outputs changed, by kind."""
    return ", ".join(f"{len(names)} {kind}" for kind, names in outputs.items() if names)


def _folded(parts: list[str], summary: str) -> list[str]:
    """Paragraphs behind a line that unfolds them, unless they say that nothing changed."""
    return parts if parts == [NO_CHANGE] else [f"<details><summary>{summary}</summary>", *parts, "</details>"]


def _value(value: Any) -> str:
    return "(none)" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"
