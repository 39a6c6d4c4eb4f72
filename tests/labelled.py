"""A champion's manifest of each task, and what its labels are."""

from collections.abc import Sequence
from pathlib import Path

from ontime.common.files import write_json
from ontime.model_deployment.inference.manifest import GOLDEN, MANIFEST, MODEL, VOCABULARY, Feature, File, Manifest
from ontime.monitoring.label_kinds import LABELS, Labels
from ontime.tasks.names import PREDICTION, PROBABILITY, TaskName


def manifest_of(task: TaskName = "binary", classes: Sequence[str] = ()) -> Manifest:
    """What a champion of a task says of itself; the files that it names are not there."""
    return Manifest(
        name="parcels",
        model="gradient_boosting",
        input="features",
        output=PREDICTION if task == "regression" else PROBABILITY,
        files=dict.fromkeys((MODEL, VOCABULARY, GOLDEN), File(sha256="0" * 64, size=1)),
        features=[Feature(name="size", type="number", may_be_missing=False, typical=1.0)],
        threshold=0.4 if task == "binary" else None,
        golden_tolerance=1e-5,
        training_data_sha256="0" * 64,
        metrics={},
        packages={},
        task=task,
        classes=list(classes),
    )


def write_manifest(model: Path, task: TaskName = "binary", classes: Sequence[str] = ()) -> None:
    """Write it to a champion's folder."""
    write_json(model / MANIFEST, manifest_of(task, classes).as_json())


def kind_of(task: TaskName = "binary", classes: Sequence[str] = ()) -> Labels:
    """What the labels of a task are."""
    return LABELS[task](manifest_of(task, classes))
