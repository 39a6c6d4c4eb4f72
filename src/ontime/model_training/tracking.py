"""MLflow: parameters, losses by step, plots, the model with signature and example, data hash and git commit.

A by-product: nothing in the graph reads it, and a server that does not answer costs a warning, not the run.
`MLFLOW_TRACKING_URI` says where to (default `sqlite:///mlflow.db`); `ONTIME_TRACKING=off` leaves it out.
"""

import logging
import os
import re
import sys
import warnings
from dataclasses import dataclass
from typing import Any

from ontime.common.arrays import Labels, Matrix
from ontime.common.environment import importing
from ontime.encoder import Encoder
from ontime.model_training.runs import NETWORK, History, Predict
from ontime.repository.git import tried

EXPERIMENT = "ontime"
EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class TrainingRun:
    """What one training made: the fitted model, how it predicts, and what it was made of."""

    name: str
    model: Any
    predict: Predict
    parameters: dict[str, Any]
    metadata: dict[str, Any]
    history: History


def track(run: TrainingRun, encoder: Encoder, validation: tuple[Matrix, Labels]) -> None:
    """Record one training run; a failure to do so is told in one line on standard error."""
    if os.environ.get("ONTIME_TRACKING") == "off":
        return
    os.environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    # by default an absent server is asked for several minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _record(run, encoder, validation)
    except Exception as error:  # tracking must never fail a run
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        line = f"warning: MLflow at {os.environ['MLFLOW_TRACKING_URI']}: run not recorded: {reason}\n"
        # an address may hold a password
        sys.stderr.write(re.sub(r"//[^/@\s]*@", "//", line))


def _record(run: TrainingRun, encoder: Encoder, validation: tuple[Matrix, Labels]) -> None:
    with importing():
        import mlflow
        from mlflow.models import infer_signature

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=run.name):
        mlflow.log_params(run.parameters)
        changed = tried("status", "--porcelain")
        mlflow.set_tags({"git_commit": tried("rev-parse", "HEAD") or "unknown", "git_dirty": str(changed != "")})
        mlflow.log_params({"training_data_sha256": run.metadata["training_data_sha256"]})
        mlflow.log_dict({"features": encoder.features, **run.metadata}, "training.json")
        for row in run.history:
            mlflow.log_metrics({key: value for key, value in row.items() if key != "step"}, step=int(row["step"]))
        probability = run.predict(validation[0])
        mlflow.log_metrics(_summary(validation[1], probability))
        for title, figure in _figures(run.name, run.history, validation[1], probability).items():
            mlflow.log_figure(figure, f"plots/{title}.png")
        example = validation[0][:EXAMPLE_ROWS]
        signature = infer_signature(example, probability[:EXAMPLE_ROWS])
        if run.name == NETWORK:
            from mlflow import tensorflow as flavor

            flavor.log_model(
                run.model, name="model", signature=signature, input_example=example, **_without_inference(run.metadata)
            )
        else:
            from mlflow import sklearn as flavor

            flavor.log_model(
                run.model,
                name="model",
                signature=signature,
                input_example=example,
                skops_trusted_types=_trusted(run.model),
                **_without_inference(run.metadata),
            )


def _without_inference(metadata: dict[str, Any]) -> dict[str, Any]:
    """The model's packages as they are known; MLflow would load the model in another process to find out."""
    return {"pip_requirements": [f"{name}=={number}" for name, number in metadata["packages"].items()]}


def _summary(labels: Labels, probability: Any) -> dict[str, float]:
    from sklearn.metrics import log_loss, roc_auc_score

    return {
        "validation_roc_auc": float(roc_auc_score(labels, probability)),
        "validation_log_loss_end": float(log_loss(labels, probability)),
    }


def _figures(name: str, history: History, labels: Labels, probability: Any) -> dict[str, Any]:
    from matplotlib.figure import Figure
    from sklearn.metrics import roc_curve

    learning, roc = Figure(figsize=(6, 4)), Figure(figsize=(5, 5))
    axes = learning.subplots()
    for key in [key for key in history[0] if key != "step"]:
        axes.plot([row["step"] for row in history], [row[key] for row in history], marker=".", label=key)
    axes.set(title=f"{name}: log loss by step", xlabel="step", ylabel="log loss")
    axes.legend()
    axes = roc.subplots()
    false, true, _ = roc_curve(labels, probability)
    axes.plot(false, true)
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.set(title=f"{name}: ROC on validation", xlabel="false positive rate", ylabel="true positive rate")
    return {"learning_curve": learning, "roc": roc}


def _trusted(model: Any) -> list[str]:
    """The types in the model that skops does not know; they come from this process's own training."""
    import skops.io

    return list(skops.io.get_untrusted_types(data=skops.io.dumps(model)))
