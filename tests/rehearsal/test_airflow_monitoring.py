"""Real Airflow fills days of monitoring back in order: issues open and close, and a challenger is asked for."""

from pathlib import Path

import pytest

from ontime.retraining.settings import read_settings
from tests.airflow_server import airflow_server, connections, make_environment
from tests.checkouts import TOP
from tests.forge import REPOSITORY, hub_server
from tests.watched import watched_model
from tests.watched_release import released_forge

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("airflow")]
DAYS = [f"2024-04-{day:02d}" for day in range(1, 9)]
FAULTY = DAYS[1:3]
RUN_SECONDS = 1200


def test_days_are_filled_back_in_order_and_the_last_one_asks_for_a_challenger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_environment()
    with hub_server() as hub:
        forge = released_forge(tmp_path, hub, monkeypatch, watched_model(tmp_path / "watched", DAYS, FAULTY))
        variables = {
            "ONTIME_ORIGIN": f"file://{forge.origin}",
            "PREDICTION_LOG": forge.variables["PREDICTION_LOG"],
            "MONITORING": forge.variables["MONITORING"],
            "GITHUB_API_URL": hub.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            **connections(AIRFLOW_CONN_FORGE="app-token"),
        }
        with airflow_server(TOP, tmp_path / "airflow", **variables) as airflow:
            dates = ["--from-date", f"{DAYS[1]}T10:23:00+00:00", "--to-date", f"{DAYS[-1]}T10:23:00+00:00"]
            airflow.command("backfill", "create", "--dag-id", "monitoring", *dates, "--max-active-runs", "1")
            airflow.call("dags/monitoring", {"is_paused": False}, "PATCH")
            runs = [run for run in airflow.runs("monitoring") if run["run_type"] == "backfill"]
            assert [run["data_interval_start"][:10] for run in runs] == DAYS[1:]
            ended = [airflow.ended(run, RUN_SECONDS) for run in runs]
            assert {run["state"] for run in ended} == {"success"}
            assert [airflow.returned(run, "check")["day"] for run in ended] == DAYS[1:]
            assert sorted(run["start_date"] for run in ended) == [run["start_date"] for run in ended]
            events = airflow.call("assets/events?limit=100")["asset_events"]
            (event,) = [one for one in events if one["name"] == "alert"]
    assert [(one["title"], one["state"]) for one in hub.issues] == [("Monitoring: inputs: depot", "closed")]
    assert {token for _, _, token in hub.requests} == {"Bearer app-token"}
    settings = read_settings(event["extra"]["settings"])
    assert settings["split.until"] == "2024-04-09T00:00:00Z"
    assert settings["split.excluded_days"] == FAULTY
