"""The DAG `monitoring`: each day, what production was asked the day before, and what follows from it.

The tasks run what the workflow `monitor` runs; a challenger is asked for by an event of the asset `alert`, which starts
the DAG `training`.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, TriggerRule
from airflow.sdk.exceptions import AirflowSkipException

from pipelines.commands import SCRIPTS, check_programs, checkout_of, clone, forge, remove, run, run_folder
from pipelines.events import ALERT, RETRIES, failed

DAY = r"^(\d{4}-\d{2}-\d{2})?$"


def release(**context: Any) -> dict[str, str]:
    """Clone main, and find what production runs."""
    checkout = checkout_of(context)
    clone(checkout)
    check_programs(checkout)
    found = run("bash", f"{SCRIPTS}/released_model.sh", "production", folder=checkout).outputs
    if "commit" not in found:
        raise AirflowSkipException("production has no release, so there is nothing to watch")
    return found


def check(ti: Any, **context: Any) -> dict[str, str]:
    """Check the run's day of what the released model answered."""
    checkout, released = checkout_of(context), ti.xcom_pull(task_ids="release")
    clone(checkout / "released", released["commit"])
    shutil.rmtree(checkout / "monitoring", ignore_errors=True)
    script = ("bash", f"{SCRIPTS}/monitor_day.sh", "released", "monitoring")
    return run(*script, folder=checkout, variables={"DAY": _day(context), "VERSION": released["version"]}).outputs


def incidents(**context: Any) -> None:
    """Open, update and close the issues of alarms."""
    found = str(checkout_of(context) / "monitoring")
    run("ontime", "monitor", "incidents", found, folder=_clean(context, "incidents"), variables=forge())


def challenger(ti: Any, outlet_events: Any, **context: Any) -> None:
    """Ask for the challenger that the day asks for, if it does."""
    checked = ti.xcom_pull(task_ids="check")
    if checked["challenger"] != "true":
        raise AirflowSkipException("no challenger is asked for")
    found = str(checkout_of(context) / "monitoring")
    command = ("ontime", "monitor", "challenger", checked["day"], "--output", found)
    outlet_events[ALERT].extra = {
        "settings": run(*command, folder=_clean(context, "challenger")).text,
        "day": checked["day"],
    }


def _clean(context: Any, name: str) -> Path:
    """A clone that no other task has worked in."""
    folder = run_folder(context["dag_run"]) / name
    clone(folder)
    return folder


def _day(context: Any) -> str:
    """The day that was asked for, or that of the run's interval; empty for yesterday."""
    asked, start = context["params"]["day"], context["dag_run"].data_interval_start
    if asked and re.fullmatch(DAY, asked):
        return str(asked)
    return f"{start:%Y-%m-%d}" if start else ""


with DAG(
    "monitoring",
    doc_md=__doc__,
    # the labels of the day before are taken as known
    schedule=CronDataIntervalTimetable("23 10 * * *", timezone="UTC"),
    catchup=False,
    # a day is judged by those before it
    max_active_runs=1,
    default_args=RETRIES,
    on_failure_callback=failed,
    params={"day": Param("", type="string", pattern=DAY, description="Day in UTC, as in 2013-12-31")},
    tags=["ontime"],
) as monitoring:
    checked = PythonOperator(task_id="check", python_callable=check)
    followers = [
        PythonOperator(task_id="incidents", python_callable=incidents),
        PythonOperator(task_id="challenger", python_callable=challenger, outlets=[ALERT]),
    ]
    PythonOperator(task_id="release", python_callable=release) >> checked
    last = PythonOperator(task_id="remove", python_callable=remove, trigger_rule=TriggerRule.NONE_FAILED)
    checked.set_downstream(followers)
    last.set_upstream(followers)
