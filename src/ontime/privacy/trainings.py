"""What MLflow keeps of somebody: runs whose parameters, tags or files have them, and models trained on their rows.

In: the experiment that `ontime track` records in, on the server or in the database that `privacy.mlflow` names. A run
was trained on their rows if its training rows, by their SHA-256, are an object that has them or was made from one that
has, or if they are no object at all, so that nobody can tell.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ontime.common.errors import OntimeError, one_line
from ontime.privacy.search import Search
from ontime.tracking.experiment import EXPERIMENT
from ontime.tracking.mlflow_client import without_passwords

MLFLOW = "MLflow"
TRAINED_ON = "training_data_sha256"
"""Parameter of a run with the SHA-256 of its training rows."""
MOST = 1000
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


@dataclass(frozen=True)
class Hashes:
    """SHA-256 of DVC's objects: all of them, and those that have somebody or were made from one that has."""

    known: Collection[str]
    theirs: Collection[str]


class Trainings:
    """The runs of the experiment at an address; each error is one line that names it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.shown = without_passwords(address)

    def theirs(self, search: Search, hashes: Hashes, before: float | None = None) -> Iterator[tuple[str, bool]]:
        """Each run's id, and whether it has the subjects or was trained on their rows.

        Of a run that is marked as deleted, what MLflow still shows is read, which is all but its model.

        Args:
            before: seconds since 1970; a run that began later counts only if it is known to be theirs.

        Raises:
            OntimeError: MLflow does not answer, or refuses.
        """
        with self._asked() as client:
            for run in self._runs(client):
                name = run.info.run_id
                if run.info.lifecycle_stage == "deleted":
                    yield name, search.found_in(_text_of(run))
                    continue
                rows = run.data.params.get(TRAINED_ON)
                is_unknown = rows not in hashes.known and (before is None or run.info.start_time < 1000 * before)
                is_theirs = rows is not None and (rows in hashes.theirs or is_unknown)
                yield name, is_theirs or search.found_in(_text_of(run)) or self._in_files(client, run, search)

    def remove(self, names: Collection[str]) -> tuple[int, list[str]]:
        """Remove runs with their files and models.

        Returns:
            The number of those that were still there, and the ids of those whose parameters and tags are shown until
            `mlflow gc` runs on the server; of a database none.
        """
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._asked() as client:
            runs = [run for run in self._runs(client) if run.info.run_id in names]
            removed = [run for run in runs if run.info.lifecycle_stage != "deleted"]
            models = [(run, model) for run in removed for model in self._models(client, run)]
            places = [model.artifact_location for _, model in models] + [run.info.artifact_uri for run in removed]
            for place in places:
                repository = get_artifact_repository(place, tracking_uri=self.address)
                for file in repository.list_artifacts():
                    repository.delete_artifacts(file.path)
            for _, model in models:
                client.delete_logged_model(model.model_id)
            for run in removed:
                client.delete_run(run.info.run_id)
        shown = [run.info.run_id for run in runs]
        if shown and not self.address.startswith(("http://", "https://")):
            self._purge(shown, [model.model_id for _, model in models])
            shown = []
        return len(removed), shown

    def _purge(self, runs: list[str], models: list[str]) -> None:
        options = ["--backend-store-uri", self.address, "--run-ids", ",".join(runs)]
        options += ["--logged-model-ids", ",".join(models)] if models else []
        done = subprocess.run(
            [sys.executable, "-m", "mlflow", "gc", *options],
            env={**os.environ, **SETTINGS, "MLFLOW_TRACKING_URI": self.address},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OntimeError(f"{self.shown}: mlflow gc: {(done.stderr.splitlines() or ['no reason'])[-1][:200]}")

    def _runs(self, client: Any) -> Iterator[Any]:
        from mlflow.entities import ViewType

        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return
        page = None
        while page is None or page.token:
            page = client.search_runs(
                [experiment.experiment_id], run_view_type=ViewType.ALL, max_results=MOST, page_token=page and page.token
            )
            yield from page

    def _models(self, client: Any, run: Any) -> list[Any]:
        found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
        return list(found)

    def _in_files(self, client: Any, run: Any, search: Search) -> bool:
        from mlflow.artifacts import download_artifacts
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        places = [run.info.artifact_uri, *(model.artifact_location for model in self._models(client, run))]
        for place in places:
            if not get_artifact_repository(place, tracking_uri=self.address).list_artifacts():
                continue
            with tempfile.TemporaryDirectory(prefix="ontime-mlflow-") as folder:
                download_artifacts(artifact_uri=place, dst_path=folder, tracking_uri=self.address)
                if any(search.found_in(path.read_bytes()) for path in Path(folder).rglob("*") if path.is_file()):
                    return True
        return False

    @contextmanager
    def _asked(self) -> Iterator[Any]:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        try:
            yield MlflowClient(self.address)
        except OntimeError:
            raise
        except Exception as error:  # of MLflow, of its database, of the store of its files
            raise OntimeError(
                f"{MLFLOW} at {self.shown}: {one_line(error, 200).replace(self.address, self.shown)}"
            ) from None


def _text_of(run: Any) -> bytes:
    """What MLflow shows of a run beside its files: parameters, tags, metrics, data sets."""
    content = {**run.to_dictionary(), "inputs": str(run.inputs)}
    return json.dumps(content, default=str, ensure_ascii=False).encode()
