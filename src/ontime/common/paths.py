"""Where the graph reads and writes, relative to the checkout; `dvc.yaml` names the same paths."""

from pathlib import Path

SCHEMA = Path("data/schema")
EXTERNAL = Path("data/external")
RAW = Path("data/raw")
PROCESSED = Path("data/processed")
VALIDATION_REPORT = PROCESSED / "validation.json"
FEATURES = PROCESSED / "features"
FEATURE_LAYOUT = PROCESSED / "feature_layout.json"
VOCABULARY = PROCESSED / "vocabulary.json"
TRAINING_RUNS = Path("models/training_runs")
SELECTION = Path("models/selection.json")
FORWARD = Path("models/forward/predictions.parquet")
REFIT = Path("models/refit")
CHAMPION = Path("models/champion")
FITTED_PARTS = ("train", "validation")
"""The parts of the split that a served model is fitted on."""


def split_rows(part: str) -> Path:
    """Parquet file with the rows of `train`, `validation` or `test`."""
    return PROCESSED / f"{part}.parquet"


def training_run(model: str) -> Path:
    """Folder of one model's run: model/, config/, metadata/, metrics/ and plots/."""
    return TRAINING_RUNS / model
