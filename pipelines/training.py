"""The DAG `training`: new data, each stage of the graph as a task, and a pull request with what came out.

The tasks run what the workflow `retrain` runs. Each run has a clone of its own.
"""

import re
import shutil
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, AssetOrTimeSchedule, CronDataIntervalTimetable, Param, TaskGroup, TriggerRule
from airflow.sdk.exceptions import AirflowSkipException

from pipelines.commands import CHECKOUT, SCRIPTS, check_programs, checkout_of, clone, forge, remove, run, run_folder
from pipelines.events import ALERT, CHAMPION, MERGED, NEW_DATA, RETRIES, alert_of, failed, settings_of
from pipelines.graph import needs

REPRO = ("dvc", "--wait-for-lock", "repro", "--no-run-cache")
AUTHOR = {
    f"GIT_{role}_{name}": value
    for role in ("AUTHOR", "COMMITTER")
    for name, value in (("NAME", "ontime"), ("EMAIL", "ontime@localhost"))
}


def prepare(**context: Any) -> str:
    """Clone main, change the parameters that were asked for, and fetch data; the commit of main."""
    checkout = checkout_of(context)
    commit = clone(checkout)
    check_programs(checkout)
    run("bash", f"{SCRIPTS}/take_new_data.sh", folder=checkout, variables={"SETTINGS": settings_of(context)})
    return commit


def reproduce(stage: str, ti: Any, **context: Any) -> str:
    """Run a stage if something that it reads has changed; whether it ran."""
    checkout = checkout_of(context)
    if ti.try_number > 1:
        # a killed process can have left a file of DVC half written
        run("ontime", "lock", folder=checkout)
    done = run(*REPRO, "--single-item", stage, folder=checkout)
    return "skipped" if f"Stage '{stage}' didn't change, skipping" in done.text else "ran"


def keep(**context: Any) -> None:
    """Push what came out to the DVC remote, and leave the files that differ for the pull request."""
    checkout = checkout_of(context)
    # what is left is run too, should main have a stage that this DAG has not
    run(*REPRO, folder=checkout)
    shutil.rmtree(checkout / "proposal", ignore_errors=True)
    if "changed" not in run("bash", f"{SCRIPTS}/keep_outputs.sh", "proposal", folder=checkout).outputs:
        raise AirflowSkipException("nothing came out different")


def report(ti: Any, **context: Any) -> str:
    """Compare the champion with that of main; the verdict, which is told and decides nothing.

    What decides is the same report among the checks of the pull request.
    """
    checkout = checkout_of(context)
    base = ti.xcom_pull(task_ids="prepare")
    shutil.rmtree(checkout / "report", ignore_errors=True)
    done = run("ontime", "report", "--base", base, "--output", "report", folder=checkout, check=False)
    path = checkout / "report" / "report.md"
    if not path.is_file():
        return "not compared; the log says why"
    print(path.read_text(encoding="utf-8"))
    return done.text.strip()


def propose(ti: Any, **context: Any) -> str:
    """Take over what the run made, as data, into a new clone; push a branch, and open its pull request."""
    made, checkout = checkout_of(context) / "proposal", run_folder(context["dag_run"]) / "main"
    clone(checkout, ti.xcom_pull(task_ids="prepare"))
    told = run(
        "ontime",
        "propose",
        str(made),
        folder=checkout,
        text=settings_of(context),
        variables={"ALERT": alert_of(context)},
    ).text
    known = forge()
    dag_run = context["dag_run"]
    if dag_run.run_type == "backfill":
        branch = f"backfill-{dag_run.data_interval_start:%Y-%m}-{ti.try_number}"
    else:
        branch = f"retrain-{re.sub(r'[^A-Za-z0-9]+', '-', dag_run.run_id)}-{ti.try_number}"
    run("bash", f"{SCRIPTS}/push_branch.sh", branch, "Retrain", folder=checkout, variables=AUTHOR | known)
    if dag_run.run_type == "backfill":
        return branch
    opened = run(
        "bash", f"{SCRIPTS}/open_pull_request.sh", branch, "Retrain", folder=checkout, text=told, variables=known
    )
    return opened.text.strip()


def announce(ti: Any, outlet_events: Any, **context: Any) -> None:
    """Say what the champion is and where it is proposed, for other DAGs."""
    lock = (checkout_of(context) / "dvc.lock").read_text(encoding="utf-8")
    found = re.search(r"path: models/champion\n\s+hash: md5\n\s+md5: (\S+)", lock)
    outlet_events[CHAMPION].extra = {
        "md5": found[1] if found else None,
        "base": ti.xcom_pull(task_ids="prepare"),
        "proposed": ti.xcom_pull(task_ids="propose"),
    }


with DAG(
    "training",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(
        timetable=CronDataIntervalTimetable("0 0 1 * *", timezone="UTC"), assets=NEW_DATA | ALERT | MERGED
    ),
    catchup=False,
    # a second run waits
    max_active_runs=1,
    default_args=RETRIES,
    on_failure_callback=failed,
    params={"settings": Param("", type="string", description="Parameters to change, KEY=VALUE, a line each")},
    tags=["ontime"],
) as training:
    first = PythonOperator(task_id="prepare", python_callable=prepare)
    last = PythonOperator(task_id="keep", python_callable=keep)
    graph = needs(CHECKOUT / "dvc.lock")
    with TaskGroup("stages", prefix_group_id=False):
        tasks = {
            stage: PythonOperator(
                task_id=stage.replace("@", "."), python_callable=reproduce, op_kwargs={"stage": stage}
            )
            for stage in graph
        }
    for stage, needed in graph.items():
        tasks[stage].set_upstream([tasks[name] for name in sorted(needed)] or first)
    needed_by_others = {name for needed in graph.values() for name in needed}
    last.set_upstream([tasks[stage] for stage in graph if stage not in needed_by_others] or first)
    (
        last
        >> PythonOperator(task_id="report", python_callable=report)
        >> PythonOperator(task_id="propose", python_callable=propose)
        >> PythonOperator(task_id="announce", python_callable=announce, outlets=[CHAMPION])
        >> PythonOperator(task_id="remove", python_callable=remove, trigger_rule=TriggerRule.NONE_FAILED)
    )
