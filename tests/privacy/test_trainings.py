"""Runs of MLflow's own database that have somebody, by content or by training rows, are told and removed for good."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from ontime.common.errors import OntimeError
from ontime.privacy.search import Search, names_of
from ontime.privacy.trainings import TRAINED_ON, Hashes, Trainings
from ontime.tracking.experiment import EXPERIMENT
from tests.servers import mlflow_server

PERSON = "ada-7311"
THEIRS, CLEAN, UNKNOWN = "a" * 64, "b" * 64, "c" * 64
HASHES = Hashes(known={THEIRS, CLEAN}, theirs={THEIRS})
SEARCH = Search(names_of([PERSON]), "person", ["visit"], frozenset(["17"]).__contains__)
Make = Callable[..., str]


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of MLflow with the experiment."""
    monkeypatch.chdir(tmp_path)
    found = f"sqlite:///{tmp_path}/mlflow.db"
    MlflowClient(found).create_experiment(EXPERIMENT, artifact_location=f"{tmp_path}/files")
    return found


@pytest.fixture
def make(address: str) -> Make:
    """Record a run."""
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return maker(client, experiment.experiment_id)


def maker(client: MlflowClient, experiment: str) -> Make:
    """What records a run, with its training rows, a file and tags."""

    def make(rows: str | None = CLEAN, file: str = "", **tags: str) -> str:
        name = str(client.create_run(experiment, tags=tags).info.run_id)
        if rows:
            client.log_param(name, TRAINED_ON, rows)
        client.log_text(name, file or "nobody", "notes/table.csv")
        return name

    return make


def found(address: str, before: float | None = None) -> dict[str, bool]:
    """What is told of each run."""
    return dict(Trainings(address).theirs(SEARCH, HASHES, before))


def test_runs_with_somebody_are_told_by_content_and_by_the_rows_that_they_were_trained_on(
    address: str, make: Make
) -> None:
    expected = {
        make(THEIRS): True,
        make(CLEAN): False,
        make(None): False,
        make(UNKNOWN): True,
        make(note=f"of {PERSON}"): True,
        make(file=f"visit,person\n1,{PERSON}\n"): True,
        make(file="visit,waited\n17,5\n"): True,
        make(file="visit,waited\n18,5\n"): False,
    }
    assert found(address) == expected


def test_rows_that_nobody_can_tell_count_only_until_they_were_forgotten(address: str, make: Make) -> None:
    before = make(UNKNOWN)
    forgotten = time.time()
    time.sleep(0.01)
    after, known = make(UNKNOWN), make(THEIRS)
    assert found(address, forgotten) == {before: True, after: False, known: True}


def test_removed_runs_leave_nothing_in_the_database_and_the_others_stay(
    address: str, make: Make, tmp_path: Path
) -> None:
    gone, other = make(THEIRS, note=PERSON), make(file="kept")
    client = MlflowClient(address)
    experiment = client.get_run(gone).info.experiment_id
    for run in (gone, other):
        client.create_logged_model(experiment, f"model-{run}", source_run_id=run)
    # one that somebody has deleted already is still there
    shown = make(note=PERSON)
    client.delete_run(shown)
    assert found(address) == {gone: True, other: False, shown: True}
    trainings = Trainings(address)
    assert trainings.remove([gone, shown]) == (1, [])
    assert [run.info.run_id for run in client.search_runs([experiment], run_view_type=ViewType.ALL)] == [other]
    assert [model.source_run_id for model in client.search_logged_models([experiment])] == [other]
    assert PERSON.encode() not in (tmp_path / "mlflow.db").read_bytes()
    assert [path.read_text() for path in (tmp_path / "files").rglob("*.csv")] == ["kept"]
    assert trainings.remove([gone, shown]) == (0, [])


@pytest.mark.integration
def test_removed_runs_of_a_server_leave_no_file_and_what_it_still_shows_is_told_until_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with mlflow_server(tmp_path) as address:
        client = MlflowClient(address)
        experiment = client.create_experiment(EXPERIMENT)
        make = maker(client, experiment)
        gone, mention, other = make(THEIRS), make(note=PERSON), make(file="kept")
        client.create_logged_model(experiment, "model", source_run_id=gone)
        assert found(address) == {gone: True, mention: True, other: False}
        trainings = Trainings(address)
        count, shown = trainings.remove([gone, mention])
        assert (count, set(shown)) == (2, {gone, mention})
        assert [path.read_text() for path in (tmp_path / "artifacts").rglob("*.csv")] == ["kept"]
        # its tags are there until the server's own `mlflow gc`
        assert found(address) == {gone: False, mention: True, other: False}
        assert trainings.remove([mention]) == (0, [mention])
        assert not client.search_logged_models([experiment])


def test_a_database_that_is_not_there_is_told_in_a_line_without_its_password() -> None:
    with pytest.raises(OntimeError, match=r"^MLflow at postgresql\+psycopg2://127\.0\.0\.1:1/mlflow: ") as told:
        found("postgresql+psycopg2://reader:hidden@127.0.0.1:1/mlflow")
    assert "hidden" not in str(told.value) and "\n" not in str(told.value)


def test_without_the_experiment_there_is_no_run(tmp_path: Path) -> None:
    assert found(f"sqlite:///{tmp_path}/empty.db") == {}
