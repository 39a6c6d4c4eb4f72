"""What is printed of the champion is what the graph measured, with a place for everything else."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from tests.commands import run_command


def test_the_champion_is_told_beside_the_baselines(
    fork: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(fork)
    run_command("champion")
    first, columns, *lines = capsys.readouterr().out.splitlines()
    family = read_json(fork / "models" / "selection.json")["champion"]
    assert first == f"champion: {family}, exported as parcels"
    assert columns.split("  ")[1:] and columns.endswith("base rate  group rate")
    test = read_json(fork / "models" / "refit" / "metrics" / "test.json")
    rate = read_json(fork / "models" / "training_runs" / "group_rate" / "metrics" / "test.json")
    (line,) = [one for one in lines if one.strip().startswith("ROC AUC")]
    assert line.split() == ["ROC", "AUC", f"{test['roc_auc']:.4f}", "0.5000", f"{rate['roc_auc']:.4f}"]
    assert lines[-3].split()[0] == "models/champion/report.html"
    assert (fork / lines[-3].split()[0]).is_file()


def test_without_a_champion_one_line_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OntimeError, match=r"models/champion/manifest\.json: "):
        run_command("champion")
