"""Judges a branch's champion beside the base's: by the gate, on rows that may decide."""

from dataclasses import dataclass

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.params import PARAMS_FILE, load_section
from ontime.model_evaluation.judge import judge_of
from ontime.model_evaluation.settings import Decision
from ontime.pull_request.challenger import not_compared, sections
from ontime.pull_request.champions import Champion, base_opener
from ontime.pull_request.gate import Comparison, compare_metrics, compare_slices, paired
from ontime.pull_request.limits import Limits, split_section
from ontime.pull_request.unseen import Unseen, is_same_champion, unseen_rows
from ontime.repository.git import content_of
from ontime.repository.lock_file import committed_lock, outputs
from ontime.repository.pull import fetched_files

BOUNDARIES = ("by", "validation_from", "test_from")
"""Parameters of the split; when they move, hardly a validation row of one revision is one of the other."""


@dataclass(frozen=True)
class Judged:
    """What the gate compared, on which rows, and more sections of the report."""

    metrics: list[Comparison]
    slices: list[Comparison]
    rows: str
    """Which rows, as a title."""
    count: int
    more: list[str]
    weight: str | None = None
    """The base's column of what each row counts, if they do not count the same."""


def judge(commit: str, before: Champion, after: Champion, limits: Limits, columns: list[str]) -> Judged:
    """Compare two champions by a base's limits; where the split moved, on rows that neither was fitted on."""
    gate, decision = limits.gate, load_section("decision", Decision)
    slice_metric = judge_of(limits.task).slice_metric
    old, new = split_section(content_of(commit, PARAMS_FILE) or ""), split_section(PARAMS_FILE.read_text("utf-8"))
    moved = any(old.get(name) != new.get(name) for name in BOUNDARIES)
    try:
        unseen, failed = _unseen(commit, columns), False
    except OntimeError as error:
        # such as a fork's pull request, which may not read the remote
        unseen, failed = str(error), True
    if isinstance(unseen, Unseen):
        more = sections(unseen, columns, decision, gate, old, new)
        if moved:
            rows = "Metrics on the days below that neither champion was fitted on, which decide"
            metrics, slices = unseen.metrics(decision, gate), unseen.slices(columns, gate, slice_metric)
            return Judged(metrics, slices, rows, len(unseen.rows), more, unseen.weight)
    else:
        more = not_compared(unseen) if failed or (unseen and moved) else []
    both, unpaired = paired(before.predictions, after.predictions)
    if unpaired:
        more = [f"{unpaired} validation rows exist in only one of the two revisions and are not compared.", *more]
    thresholds, weight = (before.predictions.threshold, after.predictions.threshold), before.predictions.weight
    metrics = compare_metrics(both, *thresholds, decision, gate, weight=weight)
    slices = compare_slices(both, [name for name in columns if name in both], gate, slice_metric, weight=weight)
    return Judged(metrics, slices, "Validation metrics, which decide", len(both), more, weight)


def _unseen(commit: str, columns: list[str]) -> Unseen | str:
    """Rows that neither champion was fitted on; why there are none, or nothing if both are the same champion."""
    made = outputs(committed_lock(commit))
    champion = str(paths.CHAMPION)
    if champion not in made or not paths.CHAMPION.is_dir():
        return f"{champion} is not in both revisions"
    files = fetched_files({champion: made[champion]})
    return "" if is_same_champion(files) else unseen_rows(base_opener(commit), files, columns)
