"""The larger parts of a run in MLflow: its model, with signature and example, and its pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontime.model_training.families import load_model
from ontime.model_training.rows import load_encoder, load_rows

if TYPE_CHECKING:
    import pandas as pd

EXAMPLE_ROWS = 5


def log_model(name: str, run: Path, training: dict[str, Any]) -> None:
    """Log the model of a run with its signature and example."""
    from mlflow.models import infer_signature

    fitted = load_model(name, run / "model")
    example = load_rows("validation", load_encoder())[0][:EXAMPLE_ROWS]
    described = {
        "name": "model",
        "signature": infer_signature(example, fitted.predict(example)),
        "input_example": example,
        # the packages as they are known; MLflow would load the model in another process to find out
        "pip_requirements": [f"{package}=={number}" for package, number in training["packages"].items()],
    }
    LOGGERS[fitted.framework](fitted.model, described)


def _log_keras(model: Any, described: dict[str, Any]) -> None:
    from mlflow import tensorflow

    tensorflow.log_model(model, **described)


def _log_scikit_learn(model: Any, described: dict[str, Any]) -> None:
    import skops.io
    from mlflow import sklearn

    # the types that skops does not know; they come from this checkout's own training
    trusted = list(skops.io.get_untrusted_types(data=skops.io.dumps(model)))
    sklearn.log_model(model, skops_trusted_types=trusted, **described)


LOGGERS = {"keras": _log_keras, "scikit-learn": _log_scikit_learn}


def figures(name: str, run: Path, history: "pd.DataFrame") -> dict[str, Any]:
    """Pictures of a run, by name."""
    import pandas as pd
    from matplotlib.figure import Figure

    learning = Figure(figsize=(6, 4))
    axes = learning.subplots()
    for key in history.columns.drop("step"):
        axes.plot(history["step"], history[key], marker=".", label=key)
    axes.set(title=f"{name}: log loss by step", xlabel="step", ylabel="log loss")
    axes.legend()
    figures = {"learning_curve": learning}
    if (run / "plots" / "roc.csv").is_file():
        curve = pd.read_csv(run / "plots" / "roc.csv")
        figures["roc"] = Figure(figsize=(5, 5))
        axes = figures["roc"].subplots()
        axes.plot(curve["false_positive_rate"], curve["true_positive_rate"])
        axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
        axes.set(title=f"{name}: ROC on test", xlabel="false positive rate", ylabel="true positive rate")
    return figures
