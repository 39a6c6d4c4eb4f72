"""The image of Airflow's parts and tasks, run as the chart runs it: by its user, on PostgreSQL, with FAB's accounts.

There is no cluster: the scheduler, which is started to ask for its health, has its tasks as processes.
"""

import functools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.graph import needs
from tests.airflow_chart import platform_values
from tests.airflow_server import DAGS
from tests.checkouts import TOP
from tests.live import live
from tests.postgres import postgres
from tests.rehearsal.airflow_parts import JOBS, ByAccount, Containers, build_image, variables_of
from tests.servers import free_port

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("airflow")]
PROJECT = "/opt/project"
START_SECONDS = 600


@pytest.fixture(scope="module")
def image(podman: dict[str, str]) -> str:
    """The image in the store."""
    return build_image(podman)


@pytest.fixture
def containers(podman: dict[str, str], image: str, tmp_path: Path) -> Iterator[Containers]:
    """Containers of the image with the chart's configuration and an empty database."""
    with postgres("airflow", "airflow") as database:
        # the address as CloudNativePG writes it
        variables = variables_of(database.url("postgresql"), free_port(), platform_values()["config"])
        made = Containers(podman, tmp_path, variables, image)
        try:
            yield made
        finally:
            made.end()


def test_the_image_reads_the_dags_and_has_the_programs_of_the_lock(podman: dict[str, str], image: str) -> None:
    containers = Containers(podman, Path(), {}, image)
    program = "import json; from pipelines.training import training; print(json.dumps(sorted(training.task_ids)))"
    tasks = json.loads(containers.run("python", "-c", program).splitlines()[-1])
    assert {stage.replace("@", ".") for stage in needs(live("dvc.lock"))} < set(tasks)
    for name in ("ontime", "dvc"):
        assert containers.run(f"{PROJECT}/.venv/bin/{name}", "--help")
    assert containers.run("id", "--user", "--name").strip() == "airflow"


def test_the_parts_run_on_postgresql_and_the_charts_probes_find_them_alive(containers: Containers) -> None:
    containers.make_database()
    containers.start("api-server")
    containers.start("dag-processor")
    containers.start("scheduler", "--skip-serve-logs")
    address = f"http://127.0.0.1:{containers.variables['AIRFLOW__API__PORT']}"
    airflow = ByAccount(address, containers.folder, TOP, containers.processes["dag-processor"])
    airflow.wait(lambda: airflow.dags() >= set(DAGS), START_SECONDS)
    for part in JOBS:
        airflow.wait(functools.partial(containers.is_alive, part), START_SECONDS)
        lines = (containers.folder / f"{part}.log").read_text(encoding="utf-8").splitlines()
        # as the collector of logs expects them
        assert {"event", "level"} <= json.loads(lines[-1]).keys()
