"""Run in Airflow's environment: prints, as JSON, the pod that the KubernetesExecutor makes for a task.

The executor's configuration is in the variables AIRFLOW__KUBERNETES_EXECUTOR__….
"""

import json

from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_utils import get_base_pod_from_template
from airflow.providers.cncf.kubernetes.kube_config import KubeConfig
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

config = KubeConfig()
pod = PodGenerator.construct_pod(
    dag_id="training",
    task_id="prepare",
    run_id="manual__1",
    pod_id="training-prepare-1",
    try_number=1,
    kube_image=config.kube_image,
    date=None,
    args=["python", "-m", "airflow.sdk.execution_time.execute_workload"],
    pod_override_object=None,
    base_worker_pod=get_base_pod_from_template(None, config),
    namespace="airflow",
    scheduler_job_id="1",
)
print(json.dumps(PodGenerator.serialize_pod(pod)))
