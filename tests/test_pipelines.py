"""Airflow's DAGs: the tasks of the graph are DVC's, and reading their files runs and writes nothing."""

import json
import re
import subprocess
from typing import Any

import pytest

from pipelines.graph import needs
from tests.airflow_server import PROGRAMS, make_environment
from tests.checkouts import TOP, run
from tests.live import live

WITHOUT_GRAPH = {"prepare", "keep", "report", "propose", "announce", "remove"}


@pytest.fixture(scope="module")
def resolved() -> dict[str, set[str]]:
    """The stages that each stage needs, by DVC itself."""
    printed = run("dvc", "dag", "--dot", cwd=TOP).stdout
    stages: dict[str, set[str]] = {name: set() for name in re.findall(r'"([^"]+)"', printed)}
    for before, after in re.findall(r'^"([^"]+)" -> "([^"]+)";$', printed, re.MULTILINE):
        stages[after].add(before)
    return stages


@pytest.fixture(scope="module")
def read() -> dict[str, Any]:
    """What Airflow reads."""
    make_environment()
    done = subprocess.run(
        [PROGRAMS / "python", "-m", "tests.read_dags"], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_lock_says_which_stage_needs_which_as_dvc_resolves_it(resolved: dict[str, set[str]]) -> None:
    assert any("@" in name for name in resolved)
    assert needs(live("dvc.lock")) == resolved


@pytest.mark.integration
@pytest.mark.xdist_group("airflow")
def test_the_dag_has_a_task_for_each_stage_with_dvcs_order(read: dict[str, Any], resolved: dict[str, set[str]]) -> None:
    training = read["dags"]["training"]
    names = training["stages"]
    assert names.keys() == resolved.keys()
    assert training["tasks"].keys() == {*names.values(), *WITHOUT_GRAPH}
    for stage, needed in resolved.items():
        assert set(training["tasks"][names[stage]]) == ({names[one] for one in needed} or {"prepare"})
    last = resolved.keys() - {name for needed in resolved.values() for name in needed}
    assert set(training["tasks"]["keep"]) == {names[stage] for stage in last}


@pytest.mark.integration
@pytest.mark.xdist_group("airflow")
def test_reading_the_dags_runs_nothing_writes_nothing_and_asks_for_no_secret(read: dict[str, Any]) -> None:
    assert read["done"] == []


@pytest.mark.integration
@pytest.mark.xdist_group("airflow")
def test_a_second_run_of_a_dag_waits_and_a_failed_task_is_tried_again(read: dict[str, Any]) -> None:
    for dag in read["dags"].values():
        assert (dag["most_runs"], dag["retries"]) == (1, [1])
