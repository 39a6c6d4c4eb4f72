"""What `ontime init` finds to be asked of a target: an event, a class or a number; and how that is said to people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ontime.common.errors import OntimeError
from ontime.data_source.plain_values import plain
from ontime.datasets.table import class_name
from ontime.tasks.names import TaskName

FEW_VALUES = 20
"""Whole numbers with at most so many different values are taken as classes."""
LEAST_CLASSES, MOST_CLASSES = 3, 50
"""More classes than this are refused: each needs rows enough in every part of the split."""
SAID_CLASSES = 8
USUAL_EVENTS = ("1", "1.0", "true", "yes", "y", "t")


@dataclass(frozen=True)
class Question:
    """What is asked of a target: whether it is `event`, which of `classes` it is, or without both how much it is."""

    task: TaskName
    event: Any = None
    classes: Sequence[Any] = ()


def find_task(values: "pd.Series[Any]", requested: str | None, positive: str | None) -> TaskName:
    """What a target column asks.

    Args:
        requested: what a person says; positive: the value that a person says is the event.

    Raises:
        OntimeError: it cannot be what a person says, or has too many classes.
    """
    count = values.nunique()
    numbers = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if requested not in (None, "binary") and positive is not None:
        raise OntimeError(f"--positive: belongs to an event; leave it out with --task {requested}")
    if requested == "regression":
        if not numbers:
            raise OntimeError(f"target {values.name}: has values that are not numbers, so it cannot be a regression")
        return "regression"
    times = pd.api.types.is_datetime64_any_dtype(values)
    if requested == "binary" or positive is not None or times or (requested is None and count <= 2):
        return "binary"
    known = values.dropna()
    whole = numbers and bool((known == known.round()).all())
    if requested is None and numbers and not (whole and count <= FEW_VALUES):
        return "regression"
    if numbers and not whole:
        raise OntimeError(f"target {values.name}: has numbers with decimals, so it cannot be classes")
    if not LEAST_CLASSES <= count <= MOST_CLASSES:
        mend = "keep the frequent ones and name the rest `other`" if count > MOST_CLASSES else "it is an event"
        raise OntimeError(
            f"target {values.name}: has {count} values; classes are {LEAST_CLASSES} to {MOST_CLASSES} of them: {mend}"
        )
    return "multiclass"


def classes_of(values: "pd.Series[Any]") -> list[Any]:
    """The classes of a target in their order: numbers by size, texts by their signs."""
    return sorted(map(plain, values.dropna().unique()))


def question_of(values: "pd.Series[Any]", task: TaskName, positive: str | None) -> Question:
    """What a task asks of a target: its event, or its classes."""
    if task == "binary":
        return Question(task, positive_value(values, positive))
    return Question(task, classes=classes_of(values) if task == "multiclass" else ())


def positive_value(values: "pd.Series[Any]", requested: str | None) -> Any:
    """The target's value that counts as the event, with its type in the table."""
    counts = values.value_counts()
    if len(counts) != 2:
        examples = f"{', '.join(map(str, counts.index[:5]))}{', …' if len(counts) > 5 else ''}"
        raise OntimeError(f"target {values.name}: has {len(counts)} values ({examples}); it must have two")
    classes = {str(value): plain(value) for value in counts.index}
    if requested is not None:
        if requested not in classes:
            raise OntimeError(
                f"--positive {requested}: no such value in {values.name}; found {', '.join(sorted(classes))}"
            )
        return classes[requested]
    for usual in USUAL_EVENTS:
        for written, value in classes.items():
            if written.casefold() == usual:
                return value
    return plain(counts.sort_index().idxmin())


def word_of(task: TaskName) -> str:
    """How a question of a task begins."""
    return {"binary": "whether", "multiclass": "which", "regression": "how much is"}[task]


def page_texts(target: str, asked: Question) -> dict[str, str]:
    """What the service's page says, for a table of which no more is known."""
    event = asked.event
    if asked.classes:
        return {"question": f"Which {target} is it?", "prediction": f"Most probable {target}", "record": "row"}
    if event is None:
        return {"question": f"How much will {target} be?", "prediction": f"Expected {target}", "record": "row"}
    return {
        "question": f"Will {target} be {event}?",
        "event": f"{target} will probably be {event}.",
        "no_event": f"{target} will probably not be {event}.",
        "probability": f"Probability that {target} is {event}",
        "record": "row",
    }


def about(target: str, asked: Question) -> str:
    """What the model says, in a few words."""
    if asked.classes:
        return f"Probability of each {target}"
    event = asked.event
    return f"The {target} that is to be expected" if event is None else f"Probability that {target} is {event}"


def said_of(target: str, values: "pd.Series[Any]", asked: Question) -> str:
    """The task that was found, and what the target is, in one line; of classes that may be numbers, how to say so."""
    event = asked.event
    if asked.classes:
        shares = values.value_counts(normalize=True)
        told = ", ".join(f"{class_name(one)} {shares[one]:.1%}" for one in asked.classes[:SAID_CLASSES])
        more = ", …" if len(asked.classes) > SAID_CLASSES else ""
        hint = "; if it is a number to be predicted, pass --task regression"
        other = "" if isinstance(asked.classes[0], str) else hint
        return (
            f"task multiclass: {target} has {len(asked.classes)} classes ({told}{more}); decided is the most probable "
            f"one, whatever a mistake costs{other}"
        )
    if event is None:
        mean, low, high = (float(value) for value in (values.mean(), values.min(), values.max()))
        return f"task regression: {target} is a number from {low:.6g} to {high:.6g}, on average {mean:.6g}"
    return f"task binary: {target} is {event!r} in {(values == event)[values.notna()].mean():.1%} of them"
