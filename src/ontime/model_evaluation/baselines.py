"""Two answers that need no model, judged like one: the past mean of all rows, and that of the row's group.

In: train, validation and test rows, `evaluate.baseline_group`. Out: `metrics/{validation,test}.json`
of the two runs that the task names; of an event, the mean is the rate, of classes the share of each.
"""

import click

from ontime.common import paths
from ontime.common.files import write_json
from ontime.common.params import load_section
from ontime.common.weights import load_weights
from ontime.model_evaluation.baseline_answers import baseline_answers
from ontime.model_evaluation.judge import judge_of
from ontime.model_evaluation.settings import Evaluate
from ontime.tasks.task import load_task


@click.command(name="baselines")
def command() -> None:
    """Judge the past mean and the group's past mean on validation and test."""
    task = load_task()
    judge = judge_of(task.name, task.classes)
    group = load_section("evaluate", Evaluate).baseline_group
    parts = {part: baseline_answers(part, group, task) for part in ("validation", "test")}
    weights = {part: load_weights(part) for part in parts}
    target, validation = parts["validation"]
    rules = {name: judge.rule(target, answer, weights["validation"]) for name, answer in validation.items()}
    for part, (target, answers) in parts.items():
        for name, answer in answers.items():
            summary = judge.summarize(target, answer, rules[name], weights[part])
            write_json(paths.training_run(name) / "metrics" / f"{part}.json", summary)
