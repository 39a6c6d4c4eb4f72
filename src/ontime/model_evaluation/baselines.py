"""Two answers that need no model, judged like one: always the base rate, and the past rate of the row's group.

In: train, validation and test rows, `evaluate.baseline_group`. Out: `metrics/{validation,test}.json`
of the runs `base_rate` and `group_rate`.
"""

import click

from ontime.common import paths
from ontime.common.files import write_json
from ontime.common.params import load_section
from ontime.model_evaluation.baseline_answers import baseline_answers
from ontime.model_evaluation.metrics import Decision, Evaluate, best_threshold, summarize


@click.command(name="baselines")
def command() -> None:
    """Judge the base rate and the group's past rate on validation and test."""
    decision = load_section("decision", Decision)
    group = load_section("evaluate", Evaluate).baseline_group
    labels, validation = baseline_answers("validation", group)
    thresholds = {name: best_threshold(labels, answer, decision) for name, answer in validation.items()}
    for part in ("validation", "test"):
        labels, answers = baseline_answers(part, group)
        for name, answer in answers.items():
            summary = summarize(labels, answer, thresholds[name], decision)
            write_json(paths.training_run(name) / "metrics" / f"{part}.json", summary)
