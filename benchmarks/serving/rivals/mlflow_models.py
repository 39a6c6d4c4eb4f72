"""Writes the two models that `mlflow models serve` is asked to serve."""

import os
from pathlib import Path

import mlflow

from benchmarks.serving.rivals.pipeline import champion_pipeline

WORK, CHAMPION = Path(os.environ["WORK"]), Path(os.environ["CHAMPION"])

REQUIREMENTS = ["mlflow"]
"""Given so that MLflow does not work them out by loading the model; the environment has them already."""

mlflow.sklearn.save_model(
    champion_pipeline(),
    WORK / "sklearn",
    pyfunc_predict_fn="predict_proba",
    pip_requirements=REQUIREMENTS,
    skops_trusted_types=["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"],
)
mlflow.pyfunc.save_model(
    WORK / "onnx",
    python_model=str(Path(__file__).with_name("mlflow_onnx.py")),
    artifacts={"model": str(CHAMPION / "model.onnx")},
    pip_requirements=REQUIREMENTS,
)
