"""Airflow in the cluster: tasks are pods of the project's image, share a volume, and hold no token."""

import re
from typing import Any

import pytest

from ontime.manifests.render import Manifest
from tests.checkouts import TOP
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


def test_no_pod_of_a_task_has_a_token_in_a_variable(values: dict[str, Any]) -> None:
    assert names(values["apiServer"]) == {"AIRFLOW_CONN_FORGE"}
    assert names(values["dagProcessor"]) == {"AIRFLOW_CONN_ALERTS"}
    worker = values["workers"]["kubernetes"]
    assert not [variable for variable in worker["env"] if "valueFrom" in variable]
    assert {one["envName"] for one in values["secret"]} == {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"}


def test_the_tasks_of_a_run_share_a_volume(values: dict[str, Any], rendered: dict[str, list[Manifest]]) -> None:
    worker = values["workers"]["kubernetes"]
    (volume,), (mount,) = worker["extraVolumes"], worker["extraVolumeMounts"]
    claim = one(rendered["airflow"], "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert claim["metadata"]["namespace"] == "airflow"
    assert volume["name"] == mount["name"]
    assert {"name": "ONTIME_RUNS", "value": mount["mountPath"]} in worker["env"]
