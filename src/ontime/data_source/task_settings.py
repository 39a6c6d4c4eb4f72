"""What `ontime init` writes for a task: parameters, and families, baselines, plots and the page of the graph."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ontime.common.params import check
from ontime.model_training.families import FAMILIES, Train
from ontime.repository.yaml_files import replace_value
from ontime.tasks.names import TaskName
from ontime.tasks.task import TaskSettings, task_of

DVC_FILE = Path("dvc.yaml")
TRAIN: dict[str, dict[str, Any]] = {
    "logistic_regression": {"C": 0.1, "max_iter": 100},
    "linear_regression": {"alpha": 1.0},
}
"""Parameters of a family that not every task has."""
SPACE: dict[str, dict[str, Any]] = {
    "logistic_regression": {"C": [0.001, 0.01, 0.1, 1.0]},
    "linear_regression": {"alpha": [0.1, 1.0, 10.0, 100.0]},
}
"""Values of these that `ontime tune` tries."""
SELECT: dict[TaskName, str] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}
GATE: dict[TaskName, dict[str, dict[str, float]]] = {
    "binary": {
        "roc_auc": {"absolute": 0.004, "relative": 0.0},
        "log_loss": {"absolute": 0.0, "relative": 0.006},
        "cost_per_1000": {"absolute": 0.0, "relative": 0.03},
    },
    "multiclass": {
        "log_loss": {"absolute": 0.0, "relative": 0.01},
        "roc_auc_ovr": {"absolute": 0.004, "relative": 0.0},
        "accuracy": {"absolute": 0.01, "relative": 0.0},
        "f1_macro": {"absolute": 0.02, "relative": 0.0},
    },
    "regression": {
        "rmse": {"absolute": 0.0, "relative": 0.01},
        "mae": {"absolute": 0.0, "relative": 0.01},
        "r2": {"absolute": 0.01, "relative": 0.0},
    },
}
GATE_OF_SLICES: dict[TaskName, dict[str, float]] = {
    "binary": {"absolute": 0.05, "relative": 0.0},
    "multiclass": {"absolute": 0.0, "relative": 0.1},
    "regression": {"absolute": 0.0, "relative": 0.1},
}
KINDS: dict[TaskName, str] = {
    "binary": "classification",
    "multiclass": "classification",
    "regression": "regression",
}
"""Label of the model in `artifacts`."""
CURVES: dict[TaskName, tuple[tuple[str, str, str, str, str, str], ...]] = {
    "binary": (
        (
            "ROC on test",
            "roc",
            "false_positive_rate",
            "true_positive_rate",
            "false positive rate",
            "true positive rate",
        ),
        ("Precision and recall on test", "precision_recall", "recall", "precision", "recall", "precision"),
        (
            "Calibration on test",
            "calibration",
            "probability",
            "share_of_events",
            "mean probability of the bin",
            "share of events",
        ),
    ),
    "multiclass": (
        (
            "ROC on test, every class against the others",
            "roc",
            "false_positive_rate",
            "true_positive_rate",
            "false positive rate",
            "true positive rate",
        ),
        (
            "Calibration on test, of all classes",
            "calibration",
            "probability",
            "share_of_rows",
            "mean probability of the bin",
            "share of rows of the class",
        ),
    ),
    "regression": (
        (
            "Absolute errors on test",
            "errors",
            "absolute_error",
            "share_of_rows",
            "absolute error",
            "share of rows with at most this error",
        ),
        (
            "Calibration on test",
            "calibration",
            "prediction",
            "target",
            "mean prediction of the bin",
            "mean target of the bin",
        ),
    ),
}
"""Plots of all families together: title, curve, its two columns, and their names for people."""
OF_SLICES: dict[TaskName, tuple[str, str]] = {
    "binary": ("roc_auc", "ROC AUC"),
    "multiclass": ("log_loss", "log loss"),
    "regression": ("rmse", "RMSE"),
}
LOSSES = {"log_loss": "log loss", "rmse": "RMSE"}


def set_task(params: Any, graph: Any, task: TaskName) -> None:
    """Write a task into the content of `params.yaml` and `dvc.yaml`; nothing changes where it is the task already.

    Families and baselines that the task lacks make way for its own, and so do metrics, limits and plots.

    Raises:
        OntimeError: the file has no task, or one that is not known.
    """
    before = check(TaskSettings, dict(params.get("task", {})), "params.yaml: task").kind
    if before == task:
        return
    params["task"]["kind"] = task
    families = {old: new for old, new in zip(FAMILIES[before], FAMILIES[task], strict=True) if old != new}
    for old, new in families.items():
        for section, values in ((params["train"], TRAIN), (params["tune"]["space"], SPACE)):
            if old in section:
                place = list(section).index(old)
                del section[old]
                section.insert(place, new, dict(values[new]))
    params["select"]["metric"] = SELECT[task]
    replace_value(params["gate"], "metrics", {name: dict(limit) for name, limit in GATE[task].items()})
    replace_value(params["gate"], "slices", dict(GATE_OF_SLICES[task]))
    renamed = families | {f"{old}.py": f"{new}.py" for old, new in families.items()}
    renamed |= dict(zip(task_of(before).baselines, task_of(task).baselines, strict=True))
    for stage in graph["stages"].values():
        _rename(stage, renamed, set())
    (artifact,) = graph["artifacts"].values()
    artifact["labels"][:] = [KINDS[task] if label == KINDS[before] else label for label in artifact["labels"]]
    own_families = [name for name in params["train"] if name not in Train.model_fields]
    graph["plots"] = plots(task, [*FAMILIES[task], *own_families])


def _rename(content: Any, renamed: Mapping[str, str], seen: set[int]) -> None:
    """Replace names in the keys and texts of nested content, once where a part is used twice."""
    if id(content) in seen:
        return
    seen.add(id(content))
    if isinstance(content, list):
        for place, value in enumerate(content):
            if isinstance(value, str):
                # no other value is written, so that comments stay where they are
                if (name := _renamed(value, renamed)) != value:
                    content[place] = name
            else:
                _rename(value, renamed, seen)
    elif isinstance(content, dict):
        for place, (key, value) in enumerate(list(content.items())):
            if (name := _renamed(key, renamed)) != key:
                del content[key]
                content.insert(place, name, value)  # type: ignore[attr-defined]
            _rename(value, renamed, seen)


def _renamed(text: str, renamed: Mapping[str, str]) -> str:
    """A text with names that stand between slashes replaced."""
    return "/".join(renamed.get(part, part) for part in text.split("/"))


def plots(task: TaskName, names: Sequence[str]) -> list[dict[str, Any]]:
    """The plots of `dvc.yaml`, of the families with these names."""
    loss = task_of(task).loss_name
    runs = {name: f"models/training_runs/{name}" for name in names}
    words = {name: name.replace("_", " ") for name in names}
    metric, title = OF_SLICES[task]
    return [
        *(
            {
                one: {
                    "template": "curves",
                    "x": x,
                    "y": {f"{runs[name]}/plots/{curve}.csv": y for name in names},
                    "x_label": x_label,
                    "y_label": y_label,
                }
            }
            for one, curve, x, y, x_label, y_label in CURVES[task]
        ),
        {
            f"Validation {LOSSES[loss]} by iteration": {
                "template": "learning_curves",
                "x": "step",
                "y": {f"{runs[name]}/metrics/history.csv": f"validation_{loss}" for name in names},
                "x_label": "epochs, trees or boosting iterations",
                "y_label": LOSSES[loss],
            }
        },
        *(
            {
                f"Importance, {words[name]}": {
                    "template": "bars",
                    "x": f"{loss}_increase",
                    "y": {f"{runs[name]}/plots/importance.csv": "feature"},
                    "x_label": f"rise of {LOSSES[loss]} when shuffled",
                    "y_label": "feature",
                }
            }
            for name in names
        ),
        *(
            {
                f"{title} by slice, {words[name]}": {
                    "template": "dots",
                    "x": metric,
                    "y": {f"{runs[name]}/metrics/slices.csv": "slice"},
                    "x_label": f"{title} on test",
                    "y_label": "slice",
                }
            }
            for name in names
        ),
    ]
