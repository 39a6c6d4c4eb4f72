"""The assets whose events start runs, what an event or a person may ask of a training, and a failed run's alert."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import requests
from airflow.sdk import Asset, Connection
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

NEW_DATA = Asset(name="new_data", uri="x-ontime://new_data")
ALERT = Asset(name="alert", uri="x-ontime://alert")
MERGED = Asset(name="merged_pull_request", uri="x-ontime://merged_pull_request")
CHAMPION = Asset(name="champion", uri="x-ontime://champion")
RETRIES: dict[str, Any] = {"retries": 1, "retry_delay": timedelta(seconds=30), "execution_timeout": timedelta(hours=6)}
SECONDS = 30


def settings_of(context: Mapping[str, Any]) -> str:
    """Lines for `ontime set`, which checks them: of the run's month if it is a backfill's, of an event, or of a person.

    Raises:
        AirflowFailException: the event's settings are no text.
    """
    run = context["dag_run"]
    if run.run_type == "backfill":
        return month_settings(run.data_interval_start, run.data_interval_end)
    asked = [extra["settings"] for extra in _extras(context) if "settings" in extra]
    found = asked[-1] if asked else context["params"]["settings"]
    if not isinstance(found, str):
        raise AirflowFailException("settings: not a text of lines KEY=VALUE")
    return found


def alert_of(context: Mapping[str, Any]) -> str:
    """What the newest event says, as JSON; it is shown, and nothing follows from it."""
    extras = _extras(context)
    return json.dumps(extras[-1]) if extras else ""


def month_settings(start: datetime, end: datetime) -> str:
    """Settings of a model that knows nothing after a month: tested on the month, validated on the one before."""
    before = (start - timedelta(days=1)).replace(day=1)
    boundaries = {"split.validation_from": before, "split.test_from": start, "split.until": end}
    return "\n".join(f"{key}={time:%Y-%m-%d}T00:00:00Z" for key, time in boundaries.items())


def failed(context: Mapping[str, Any]) -> None:
    """Tell the web hook of the connection `alerts` of a failed run; a form that Slack and Mattermost take."""
    run = context["dag_run"]
    text = f"{run.dag_id}: run {run.run_id} failed: {context.get('reason') or 'see its log'}"
    print(text)
    try:
        address = Connection.get("alerts").password
    except AirflowNotFoundException:
        print("no connection `alerts`: nobody is told")
        return
    requests.post(address, json={"text": text}, timeout=SECONDS).raise_for_status()


def _extras(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each event that started the run says, oldest first."""
    events = [event for found in (context.get("triggering_asset_events") or {}).values() for event in found]
    return [dict(event.extra or {}) for event in sorted(events, key=lambda event: event.timestamp)]
