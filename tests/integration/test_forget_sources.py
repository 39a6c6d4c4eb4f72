"""Somebody leaves a table of each kind: what can be replaced is, and what only its owner can change is told."""

import gzip
import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML

from ontime.common.errors import OntimeError
from ontime.datasets.query import VARIABLE
from ontime.model_deployment.inference.signing import PRIVATE_KEY, make_key
from ontime.monitoring.log_files import FILE, parquet_of
from ontime.privacy.trainings import TRAINED_ON
from ontime.repository import s3
from ontime.repository.remote import REMOTE
from ontime.tracking.experiment import EXPERIMENT
from tests.checkouts import commit, copy_checkout, run
from tests.commands import run_command
from tests.own_tables import parquet_of as table_of
from tests.remote import Bucket
from tests.s3_server import served

pytestmark = pytest.mark.integration
# not as one word here, because the history of each checkout has this file
PERSON = " ".join(["ada", "9022"])
ROWS, OWN = 120, [0, 31, 32, 119]
KEY = [str(1000 + row) for row in OWN]


def visits() -> pd.DataFrame:
    """Visits of persons; one of them has four, the first and the last among them."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"visit": 1000 + np.arange(ROWS), "person": [f"person {row % 20}" for row in range(ROWS)]})
    frame.loc[OWN, "person"] = PERSON
    frame["waited"] = random.gamma(2, 10, ROWS).round(1)
    frame["note"] = 'said "well;\nthank you"'
    return frame.assign(again=np.where(np.arange(ROWS) % 3 > 0, "yes", "no"))


def text_of(frame: pd.DataFrame, separator: str = ",") -> bytes:
    """A frame as CSV, with values that have separators, quotes and line breaks."""
    return frame.to_csv(index=False, sep=separator).encode()


def lines_of(frame: pd.DataFrame) -> bytes:
    """A frame as JSON lines."""
    return "".join(f"{json.dumps(row)}\n" for row in frame.to_dict("records")).encode()


FILES: dict[str, Callable[[pd.DataFrame], bytes]] = {
    "visits.csv": text_of,
    "semicolons.csv": lambda frame: text_of(frame, ";"),
    "wide.csv": lambda frame: text_of(frame).decode().encode("utf-16"),
    "visits.tsv.gz": lambda frame: gzip.compress(text_of(frame, "\t"), mtime=0),
    "visits.jsonl": lines_of,
    "visits.ndjson.gz": lambda frame: gzip.compress(b"\xef\xbb\xbf" + lines_of(frame), mtime=0),
    "visits.parquet": table_of,
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout without remote and without a table."""
    top = copy_checkout(tmp_path_factory.mktemp("template") / "checkout")
    run("dvc", "remote", "remove", REMOTE, cwd=top)
    (top / "dvc.lock").unlink()
    commit(top, "nothing has run")
    return top


@pytest.fixture
def checkout(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it with a key, in which the test is."""
    top = tmp_path / "checkout"
    shutil.copytree(template, top)
    monkeypatch.chdir(top)
    make_key(PRIVATE_KEY)
    return top


def made(source: str, **privacy: Any) -> None:
    """The checkout is about a table, of which there are a log and labels."""
    run_command(
        *("init", "--source", source, "--target", "again", "--positive", "yes", "--key", "visit"),
        *("--personal", "person", "--exclude", "note", "--no-run"),
    )
    yaml, path = YAML(), Path("params.yaml")
    content = yaml.load(path)
    content["privacy"] |= {"subject": "person", "log": "log", "labels": "labels.jsonl", **privacy}
    yaml.dump(content, path)
    keys = visits()["visit"].astype(str)
    Path("labels.jsonl").write_bytes(lines_of(pd.DataFrame({"key": keys, "target": 1})))
    times = pd.Series(["2999-01-01T10:00:00+00:00"] * ROWS)
    log = pd.DataFrame({"time": times, "key": keys, "feature_waited": visits()["waited"]})
    day = Path("log/model_version=1.0.0/day=2999-01-01") / FILE
    day.parent.mkdir(parents=True)
    day.write_bytes(parquet_of(pa.Table.from_pandas(log, preserve_index=False)))


def held(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Number of rows that are held of the person, by place."""
    capsys.readouterr()
    run_command("subject", PERSON)
    found = json.loads(capsys.readouterr().out)
    return {place: sum(map(len, files.values())) for place, files in found.items()}


def forgotten(capsys: pytest.CaptureFixture[str]) -> str:
    """What is said when the person is forgotten."""
    capsys.readouterr()
    run_command("forget", PERSON, "--no-run")
    return capsys.readouterr().out


EVERYWHERE = {"data source": 4, "prediction log": 4, "labels": 4}


@pytest.mark.parametrize("name", FILES)
def test_rows_leave_a_file_of_each_kind_and_every_other_byte_stays(
    name: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, frame = checkout / name, visits()
    path.write_bytes(FILES[name](frame))
    made(name)
    assert held(capsys) == EVERYWHERE
    told = forgotten(capsys)
    assert all(f"{place}: 4 rows removed\n" in told for place in EVERYWHERE)
    assert held(capsys) == {}
    others = frame.drop(index=OWN).reset_index(drop=True)
    if name.endswith(".parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(path), others)
    else:
        assert path.read_bytes() == FILES[name](others)
    # the new content is pinned
    run_command("ingest")


def test_rows_leave_the_files_of_a_folder_and_a_file_that_has_no_other_goes(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame, folder = visits(), checkout / "visits"
    folder.mkdir()
    parts = {"2024-01": frame[:31], "2024-02": frame[31:33], "2024-03": frame[33:]}
    for name, part in parts.items():
        (folder / f"{name}.csv").write_bytes(text_of(part))
    made("visits")
    assert held(capsys) == EVERYWHERE
    assert "data source: 4 rows removed\n" in forgotten(capsys)
    assert held(capsys) == {}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "2024-01.csv": text_of(frame[1:31]),
        "2024-03.csv": text_of(frame[33:119]),
    }
    run_command("ingest")


@pytest.mark.usefixtures("checkout")
def test_earlier_versions_of_a_table_in_a_bucket_are_found_and_removed_when_they_are_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"s3://{s3.BUCKET}/tables/visits.csv"
    with served(tmp_path / "s3") as state:
        for name in ("access_key_id", "secret_access_key"):
            monkeypatch.setenv(f"AWS_{name.upper()}", str(state[name]))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{state['port']}")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        objects = Bucket(state)
        others = visits().drop(index=OWN)
        for frame in (others, visits()):
            objects.put("tables/visits.csv", text_of(frame))
        objects.put("tables/visits.csv.old", text_of(others))
        made(address, keep_versions_days=0)
        assert held(capsys) == EVERYWHERE
        assert "data source: 4 rows removed\n" in forgotten(capsys)
        assert held(capsys) == {}
        assert objects.get("tables/visits.csv") == text_of(others)
        with pytest.raises(OntimeError, match=r"^1 of .* objects still have something about them"):
            run_command("forget", "--check", PERSON)
        assert f"found: checkout: {address} version " in capsys.readouterr().out
        run_command("forget", "--due")
        assert "removed 1 of versions of tables\n" in capsys.readouterr().out
        run_command("forget", "--check", PERSON)
        # the first version never had them
        listed = objects.client.list_object_versions(Bucket=s3.BUCKET, Prefix="tables/")["Versions"]
        assert sorted(one["Key"] for one in listed) == ["tables/visits.csv"] * 2 + ["tables/visits.csv.old"]


def test_rows_in_a_database_are_told_after_all_others_are_gone_and_the_proof_reads_them(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "visits.db"
    connection = sqlite3.connect(database)
    visits().to_sql("visits", connection, index=False)
    monkeypatch.setenv(VARIABLE, f"sqlite:///{database}")
    query = "SELECT * FROM visits ORDER BY visit\n"
    (checkout / "visits.sql").write_text(query)
    made("visits.sql")
    with pytest.raises(OntimeError) as told:
        forgotten(capsys)
    assert str(told.value) == (
        "data source: 4 rows stay in visits.sql, a query; delete them in its database, then run `ontime refresh` and "
        "`dvc repro`"
    )
    assert (checkout / "visits.sql").read_text() == query
    assert held(capsys) == {"data source": 4}
    with pytest.raises(OntimeError, match=r"1 of .* objects still have something about them"):
        run_command("forget", "--check", PERSON)
    assert "found: data source: visits.sql\n" in capsys.readouterr().out
    connection.execute("DELETE FROM visits WHERE person = ?", [PERSON])
    connection.commit()
    connection.close()
    run_command("refresh")
    run_command("forget", "--check", PERSON)
    assert held(capsys) == {}
    # rows whose source is gone are still known by their keys
    Path("labels.jsonl").write_bytes(lines_of(pd.DataFrame({"key": KEY[:2], "target": 1})))
    with pytest.raises(OntimeError, match=r"1 of .* objects still have something about them"):
        run_command("forget", "--check", PERSON)


def test_a_model_in_mlflow_of_rows_that_nobody_can_tell_is_listed_and_removed_when_it_is_due(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "visits.csv").write_bytes(text_of(visits()))
    address = f"sqlite:///{tmp_path}/mlflow.db"
    made("visits.csv", mlflow=address, keep_versions_days=0)
    client = MlflowClient(address)
    experiment = client.create_experiment(EXPERIMENT, artifact_location=f"{tmp_path}/files")

    def recorded() -> str:
        run = client.create_run(experiment).info.run_id
        client.log_param(run, TRAINED_ON, "f" * 64)
        return str(run)

    before = recorded()
    assert "0 images, 1 runs in MLflow: to be removed\n" in forgotten(capsys)
    after = recorded()
    # a place that cannot be reached is told, and the record stays due
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace(address, "http://127.0.0.1:1"))
    with pytest.raises(OntimeError, match=r"^MLflow at http://127\.0\.0\.1:1: "):
        run_command("forget", "--due")
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("http://127.0.0.1:1", address))
    with pytest.raises(OntimeError, match=r"^1 of .* objects still have something about them"):
        run_command("forget", "--check", PERSON)
    assert f"found: MLflow: run {before}\n" in capsys.readouterr().out
    run_command("forget", "--due")
    assert "removed 1 of MLflow\n" in capsys.readouterr().out
    run_command("forget", "--check", PERSON)
    assert "MLflow: 1 objects read, 0 with them\n" in capsys.readouterr().out
    assert [run.info.run_id for run in client.search_runs([experiment])] == [after]


def test_rows_in_a_workbook_are_told(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.BytesIO()
    visits().to_excel(stream, index=False)
    (checkout / "visits.xlsx").write_bytes(stream.getvalue())
    made("visits.xlsx")
    with pytest.raises(OntimeError, match=r"^data source: 4 rows stay in visits\.xlsx, a workbook; delete them in a"):
        forgotten(capsys)
    assert (checkout / "visits.xlsx").read_bytes() == stream.getvalue()
    assert held(capsys) == {"data source": 4}
