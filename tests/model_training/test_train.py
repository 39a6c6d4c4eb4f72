"""What a training run leaves on disk."""

from pathlib import Path

import pandas as pd
import pytest

from ontime.common.files import read_json, sha256
from ontime.model_training.families import FAMILIES
from ontime.model_training.train import history_csv
from ontime.parameters import load_params


def test_history_is_a_table_of_steps_and_losses() -> None:
    history = [
        {"validation_log_loss": 0.12345678, "step": 10.0, "train_log_loss": 1e-9},
        {"step": 20.0, "train_log_loss": 0.1, "validation_log_loss": 12},
    ]
    assert history_csv(history) == (
        "step,train_log_loss,validation_log_loss\n10,0.000000,0.123457\n20,0.100000,12.000000\n"
    )


def test_history_has_the_losses_that_were_recorded_alone() -> None:
    assert history_csv([{"step": 1.0, "validation_log_loss": 0.5}]) == "step,validation_log_loss\n1,0.500000\n"


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_a_run_keeps_its_parameters_data_and_packages(fork: Path, name: str) -> None:
    run, rows = fork / "models" / "training_runs" / name, fork / "data" / "processed" / "train.parquet"
    settings = load_params(fork / "params.yaml").train
    assert read_json(run / "config" / "parameters.json") == {"seed": settings.seed, **getattr(settings, name)}
    metadata = read_json(run / "metadata" / "training.json")
    target = pd.read_parquet(rows)["target"]
    assert metadata["model"] == name
    assert (metadata["training_rows"], metadata["training_events"]) == (len(target), target.sum())
    assert metadata["training_data_sha256"] == sha256(rows)
    assert ("keras" in metadata["packages"]) == (name == "neural_network")
    history = pd.read_csv(run / "metrics" / "history.csv")
    assert history["step"].is_monotonic_increasing
    assert history["validation_log_loss"].between(0, 10).all()


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_a_run_says_no_path_and_leaves_nothing_half_written(fork: Path, name: str) -> None:
    files = [path for path in (fork / "models" / "training_runs" / name).rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith(".")]
    for path in files:
        assert str(fork).encode() not in path.read_bytes(), path.name
