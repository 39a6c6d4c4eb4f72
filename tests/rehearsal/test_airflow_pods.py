"""Airflow in a cluster: the KubernetesExecutor makes a pod for each task, with the rights of the committed account.

The API server, the DAG processor and the scheduler are containers on this machine. This module creates what the chart
would create in the cluster for the pods of tasks. The repository has a small graph, and its image has its DAGs.
"""

import base64
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ontime.common.files import write_json
from ontime.manifests.render import Manifest
from tests.airflow_chart import configuration, platform_values, pod_template
from tests.airflow_server import DAGS, connections
from tests.checkouts import TOP, git
from tests.containers import push
from tests.forge import REPOSITORY, Hub, hub_server
from tests.forwarded import forwarded
from tests.postgres import postgres
from tests.rehearsal.airflow_parts import ByAccount, Containers, build_image, variables_of
from tests.rehearsal.cluster.rig import Rig, rig
from tests.rehearsal.cluster.settings import API_SERVER, GATEWAY
from tests.servers import free_port
from tests.teams import OF_BOOSTING, Team, team_at, team_graph

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("rehearsal")]
CACHE = Path.home() / ".cache" / "ontime"
NAMESPACE = "airflow"
IMAGE = "localhost/ontime-pipelines-of-a-team"
USER = 50000
TOKEN = "app-token"  # noqa: S105 - of no account
START_SECONDS, RUN_SECONDS = 600, 3600
STAGE = "train.gradient_boosting"


@dataclass(frozen=True)
class Stack:
    """Airflow, the cluster of its tasks, the repository whose graph they run, and the forge."""

    airflow: ByAccount
    rig: Rig
    hub: Hub
    image: str

    def pods(self) -> list[dict[str, Any]]:
        """The pods of tasks."""
        found: list[dict[str, Any]] = self.rig.get("pods", namespace=NAMESPACE)["items"]
        return found


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The team whose repository Airflow runs."""
    with team_at(team_graph(tmp_path_factory.mktemp("team"))) as made:
        yield made


@pytest.fixture(scope="module")
def image(podman: dict[str, str], team: Team) -> str:
    """The image with the repository's DAGs, in the store."""
    return build_image(podman, team.clone, IMAGE)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, podman: dict[str, str], team: Team, image: str) -> Iterator[Stack]:
    """The cluster with what the chart and the committed manifests leave in it, and Airflow's parts beside it."""
    top = tmp_path_factory.mktemp("airflow")
    aws, port = dict(line.split("=", 1) for line in team.aws.splitlines()), free_port()
    with (
        hub_server() as hub,
        postgres("airflow", "airflow") as database,
        rig(CACHE / "rehearsal" / "airflow", delivery=False) as cluster,
        forwarded(GATEWAY, port_of(aws["AWS_ENDPOINT_URL"])) as store,
        forwarded(GATEWAY, port_of(hub.url)) as forge,
        forwarded(GATEWAY, port_of(cluster.repository_url)) as repository,
        forwarded(GATEWAY, port) as api_server,
    ):
        git(team.clone, "push", "--quiet", str(cluster.repository), "HEAD:refs/heads/main")
        name = f"{cluster.registry}/ontime-pipelines"
        values = platform_values()
        values["images"]["airflow"] = {"repository": name, "digest": push(podman, image, name)}
        own = {"ONTIME_ORIGIN": f"http://{repository}/repository.git", "GITHUB_REPOSITORY": REPOSITORY}
        # in a cloud, pods may use the store by the role of their ServiceAccount
        own |= aws | {"AWS_ENDPOINT_URL": f"http://{store}", "GITHUB_API_URL": f"http://{forge}"}
        kept = [one for one in values["workers"]["kubernetes"]["env"] if one["name"] not in own]
        values["workers"]["kubernetes"]["env"] = kept + [{"name": key, "value": own[key]} for key in own]
        folders = {claim: make_folder(top / claim) for claim in ("runs", "airflow-logs")}
        cluster.kubectl("create", "namespace", NAMESPACE)
        for manifest in left_by_the_chart(configuration(values, f"http://{api_server}"), folders):
            cluster.kubectl("apply", "--filename=-", text=json.dumps(manifest))
        cluster.kubectl("apply", f"--kustomize={TOP / 'deployment' / 'kubernetes' / 'airflow'}")
        settings = make_folder(top / "settings")
        (settings / "pod.yaml").write_text(pod_template(values), encoding="utf-8")
        write_json(settings / "kubeconfig", scheduler_kubeconfig(cluster))
        os.chown(settings / "kubeconfig", USER, 0)
        of_the_executor = {
            "namespace": NAMESPACE,
            "pod_template_file": "/settings/pod.yaml",
            "in_cluster": "False",
            "config_file": "/settings/kubeconfig",
        }
        variables = {
            **variables_of(database.url("postgresql"), port, values["config"]),
            **{f"AIRFLOW__KUBERNETES_EXECUTOR__{key.upper()}": text for key, text in of_the_executor.items()},
            "AIRFLOW__CORE__EXECUTOR": values["executor"],
            "AIRFLOW__CORE__PARALLELISM": "2",
        }
        volumes = (f"{folders['airflow-logs']}:/opt/airflow/logs", f"{settings}:/settings:ro")
        containers = Containers(podman, top, variables, image, volumes)
        try:
            containers.make_database()
            containers.start("api-server", **connections(AIRFLOW_CONN_FORGE=TOKEN))
            containers.start("dag-processor")
            containers.start("scheduler", "--skip-serve-logs")
            process = containers.processes["scheduler"]
            airflow = ByAccount(f"http://127.0.0.1:{port}", top, team.clone, process)
            airflow.wait(lambda: airflow.dags() >= set(DAGS), START_SECONDS)
            yield Stack(airflow, cluster, hub, f"{name}@{values['images']['airflow']['digest']}")
        finally:
            containers.end()


def port_of(address: str) -> int:
    """The port in an address."""
    found = urlsplit(address).port
    assert found
    return found


def make_folder(path: Path) -> Path:
    """A folder of the image's user."""
    path.mkdir()
    os.chown(path, USER, 0)
    return path


def left_by_the_chart(configured: str, folders: dict[str, Path]) -> list[Manifest]:
    """What the chart makes for the pods of tasks, and the volumes that a storage class would make."""
    asked = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "10Gi"}}}
    of_pods: list[Manifest] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}
        for name in ("airflow-worker", "airflow-scheduler")
    ]
    of_pods += [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "airflow-config", "namespace": NAMESPACE},
            "data": {"airflow.cfg": configured},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "airflow-logs", "namespace": NAMESPACE},
            "spec": asked,
        },
    ]
    return of_pods + [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": claim},
            "spec": {
                "capacity": {"storage": "50Gi"},
                "accessModes": ["ReadWriteMany"],
                "storageClassName": "",
                "hostPath": {"path": str(path), "type": "Directory"},
                "claimRef": {"name": claim, "namespace": NAMESPACE},
            },
        }
        for claim, path in folders.items()
    ]


def scheduler_kubeconfig(cluster: Rig) -> Manifest:
    """A kubeconfig with which the scheduler acts as the account that the committed Role is bound to."""
    account = ("token", "airflow-scheduler", f"--namespace={NAMESPACE}", "--duration=8h")
    token = cluster.kubectl("create", *account).strip()
    authority = base64.b64encode((cluster.folder / "certificates" / "ca.crt").read_bytes()).decode()
    server = {"server": f"https://{API_SERVER}", "certificate-authority-data": authority}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": server}],
        "users": [{"name": "scheduler", "user": {"token": token}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "scheduler", "namespace": NAMESPACE}}],
        "current-context": "one",
    }


def test_an_event_leads_to_a_champion_by_pods_also_when_one_is_lost(stack: Stack, figures: dict[str, Any]) -> None:
    airflow = stack.airflow
    airflow.call("dags/training", {"is_paused": False}, "PATCH")
    scheduled = airflow.new_run("training", [], START_SECONDS)
    # the scheduled run that unpausing starts is tested in test_airflow.py; this one waits for its end
    airflow.call(f"dags/training/dagRuns/{scheduled['dag_run_id']}", {"state": "failed"}, "PATCH")
    airflow.ended(scheduled, START_SECONDS)
    begun = time.monotonic()
    airflow.event("alert", settings="train.gradient_boosting.max_iter=6", alert="age")
    run = airflow.new_run("training", [scheduled], START_SECONDS)
    seen: dict[str, dict[str, Any]] = {}

    def running(task: str) -> str | None:
        for pod in stack.pods():
            seen[pod["metadata"]["name"]] = pod
            if pod["metadata"]["labels"].get("task_id") == task and pod["status"]["phase"] == "Running":
                return str(pod["metadata"]["name"])
        return None

    # a pod that is lost before its task begins is replaced without a second attempt
    lost = airflow.wait(lambda: (name := running(STAGE)) and is_at_work(airflow, run, STAGE) and name, RUN_SECONDS)
    stack.rig.kubectl("delete", "pod", lost, f"--namespace={NAMESPACE}", "--grace-period=0", "--force")
    airflow.wait(lambda: running("remove"), RUN_SECONDS)
    (event,) = airflow.events("champion")
    seconds = round(time.monotonic() - begun)
    run = airflow.ended(run, RUN_SECONDS)
    tasks = airflow.tasks(run)
    assert run["state"] == "success", {name: one["state"] for name, one in tasks.items()}
    assert {name for name, one in tasks.items() if one["try_number"] != 1} == {STAGE}
    assert {name for name, what in airflow.stages(run).items() if what == "ran"} == OF_BOOSTING
    (pull_request,) = stack.hub.opened
    assert event["extra"]["proposed"] == pull_request["html_url"]
    changed = git(stack.rig.repository, "show", f"{pull_request['head']}:params.yaml")
    assert "max_iter: 6" in changed
    assert "max_iter" in airflow.log(run, "prepare")
    for pod in seen.values():
        check_pod(pod, stack.image)
    assert len(seen) >= len(tasks)
    # Airflow keeps the pods that failed
    airflow.wait(lambda: {pod["status"]["phase"] for pod in stack.pods()} <= {"Failed"}, START_SECONDS)
    figures["airflow_pods"] = {
        "event_to_champion_seconds": seconds,
        "pods": len(seen),
        "lost": 1,
        "ran": len(OF_BOOSTING),
    }


def is_at_work(airflow: ByAccount, run: dict[str, Any], task: str) -> bool:
    """Whether a task's own process has begun."""
    return bool(airflow.tasks(run)[task]["state"] == "running")


def check_pod(pod: dict[str, Any], image: str) -> None:
    """A task's pod is the chart's: the image by its digest, no token of the cluster's API, no right of root's."""
    (container,) = pod["spec"]["containers"]
    assert container["image"] == image
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["spec"]["securityContext"]["runAsUser"] == USER
    assert {one["name"] for one in pod["spec"]["volumes"]} == {"config", "logs", "runs"}
    assert TOKEN not in json.dumps(pod)
