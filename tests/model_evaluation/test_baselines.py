"""The two answers that need no model."""

from pathlib import Path

import pytest

from ontime.cli import commands
from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.tasks.binary import Binary


def test_both_baselines_are_judged_like_a_model(fork: Path) -> None:
    runs = fork / "models" / "training_runs"
    found = {name: read_json(runs / name / "metrics" / "test.json") for name in Binary.baselines}
    model = read_json(fork / "models" / "training_runs" / "random_forest" / "metrics" / "test.json")
    for summary in found.values():
        assert list(summary) == list(model)
        assert summary["rows"] == model["rows"]
    assert found["base_rate"]["roc_auc"] == 0.5
    assert found["group_rate"]["roc_auc"] > 0.55


def test_a_group_that_is_no_column_is_one_line(fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").symlink_to(fork / "data")
    params = (fork / "params.yaml").read_text().replace("group:\n  - depot\n", "group:\n  - depott\n")
    (tmp_path / "params.yaml").write_text(params)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OntimeError, match=r"^params\.yaml: evaluate\.baseline_group: no column depott among the feat"):
        commands.main(["baselines"], standalone_mode=False)
