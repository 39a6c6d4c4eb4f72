"""Airflow in the cluster: tasks are pods of the project's image, share a volume, and hold no token."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ontime.manifests.render import Manifest
from tests.airflow_chart import image, pod_template, task_pod
from tests.airflow_server import PROGRAMS, make_environment
from tests.checkouts import TOP, environment
from tests.kubernetes import one

pytestmark = pytest.mark.xdist_group("manifests")


@pytest.fixture(scope="module")
def values(rendered: dict[str, list[Manifest]]) -> dict[str, Any]:
    """The chart's values."""
    sources = one(rendered["argocd"], "Application", "airflow")["spec"]["sources"]
    (found,) = (source["helm"]["valuesObject"] for source in sources if source["chart"] == "airflow")
    content: dict[str, Any] = found
    return content


def names(content: Any) -> set[str]:
    """Variables of a part of the chart."""
    return {variable["name"] for variable in content["env"]}


def test_each_task_is_a_pod_of_the_image_with_the_dags_and_the_locked_airflow(values: dict[str, Any]) -> None:
    assert values["executor"] == "KubernetesExecutor"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", values["images"]["airflow"]["digest"])
    lock = (TOP / "pipelines" / "requirements.txt").read_text(encoding="utf-8")
    assert f"\napache-airflow=={values['airflowVersion']} " in f"\n{lock}"
    assert "\napache-airflow-providers-cncf-kubernetes==" in lock
    dockerfile = (TOP / "pipelines" / "Dockerfile").read_text(encoding="utf-8")
    (folder,) = re.findall(r"^ENV .*?PYTHONPATH=(\S+)", dockerfile, re.MULTILINE | re.DOTALL)
    assert values["config"]["core"]["dags_folder"] == f"{folder}/pipelines"


def test_the_pod_of_a_task_has_the_image_by_its_digest(values: dict[str, Any]) -> None:
    (container,) = task_pod(values)["spec"]["containers"]
    assert container["image"] == image(values)
    # given both, the executor takes them in the place of the pod's
    executor = values["config"]["kubernetes_executor"]
    assert executor == {"worker_container_repository": "", "worker_container_tag": ""}


@pytest.mark.integration
@pytest.mark.xdist_group("airflow")
def test_the_executor_keeps_what_the_pod_of_a_task_says(values: dict[str, Any], tmp_path: Path) -> None:
    make_environment()
    (tmp_path / "pod.yaml").write_text(pod_template(values), encoding="utf-8")
    settings = {**values["config"]["kubernetes_executor"], "pod_template_file": str(tmp_path / "pod.yaml")}
    variables = {f"AIRFLOW__KUBERNETES_EXECUTOR__{name.upper()}": text for name, text in settings.items()}
    done = subprocess.run(
        [PROGRAMS / "python", "-m", "tests.build_task_pod"],
        cwd=TOP,
        env={**environment(), "AIRFLOW_HOME": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made, wanted = json.loads(done.stdout)["spec"], task_pod(values)["spec"]
    (container,), (wanted_container,) = made.pop("containers"), wanted.pop("containers")
    assert made == wanted
    assert container.pop("args")
    assert container.pop("env") == [
        *wanted_container.pop("env"),
        {"name": "AIRFLOW_IS_K8S_EXECUTOR_POD", "value": "True"},
    ]
    assert container == wanted_container


def test_no_pod_of_a_task_has_a_secret(values: dict[str, Any]) -> None:
    assert names(values["apiServer"]) == {"AIRFLOW_CONN_FORGE"}
    assert names(values["dagProcessor"]) == {"AIRFLOW_CONN_ALERTS"}
    spec = task_pod(values)["spec"]
    (container,) = spec["containers"]
    assert "initContainers" not in spec and "envFrom" not in container
    assert [variable for variable in container["env"] if variable.keys() != {"name", "value"}] == []
    assert not [variable for variable in container["env"] if variable["name"].startswith("AIRFLOW")]
    assert {kind for volume in spec["volumes"] for kind in volume} == {"name", "configMap", "persistentVolumeClaim"}
    assert spec["automountServiceAccountToken"] is False


def test_the_scheduler_alone_may_make_pods_and_may_do_nothing_else(
    values: dict[str, Any], rendered: dict[str, list[Manifest]]
) -> None:
    assert values["allowPodLaunching"] is False
    role, binding = (one(rendered["airflow"], kind) for kind in ("Role", "RoleBinding"))
    (rule,) = role["rules"]
    assert (rule["apiGroups"], rule["resources"]) == ([""], ["pods"])
    assert set(rule["verbs"]) == {"create", "delete", "get", "list", "patch", "watch"}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [subject["name"] for subject in binding["subjects"]] == ["airflow-scheduler"]
    account = values["workers"]["kubernetes"]["serviceAccount"]
    assert account["create"] is True
    assert task_pod(values)["spec"]["serviceAccountName"] == account["name"] != "airflow-scheduler"


def test_the_database_is_known_to_the_job_that_makes_its_tables(values: dict[str, Any]) -> None:
    assert {one["envName"] for one in values["secret"]} == {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"}
    # the variables of `secret` are among the custom ones
    assert values["migrateDatabaseJob"]["applyCustomEnv"] is True


def test_what_the_chart_calls_in_its_own_image_is_in_this_one_or_is_not_called(values: dict[str, Any]) -> None:
    dockerfile = (TOP / "pipelines" / "Dockerfile").read_text(encoding="utf-8")
    assert "> /entrypoint" in dockerfile
    assert values["scheduler"]["logGroomerSidecar"]["args"][0] == "bash"
    for part in ("dagProcessor", "triggerer"):
        assert values[part]["logGroomerSidecar"]["enabled"] is False


def test_the_tasks_of_a_run_share_a_volume(values: dict[str, Any], rendered: dict[str, list[Manifest]]) -> None:
    spec = task_pod(values)["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    (container,) = spec["containers"]
    (folder,) = (variable["value"] for variable in container["env"] if variable["name"] == "ONTIME_RUNS")
    (name,) = (mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == folder)
    claim = one(rendered["airflow"], "PersistentVolumeClaim", volumes[name]["persistentVolumeClaim"]["claimName"])
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert claim["metadata"]["namespace"] == "airflow"
