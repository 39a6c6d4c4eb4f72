"""On an API server alone: no pod of the model reads a Secret, and what asks for too much disk is refused."""

import json
import time
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.manifests.render import KUBERNETES, build, parse
from ontime.manifests.tools import find_kustomize
from tests.checkouts import TOP
from tests.rehearsal.cluster.api_server import running_api_server
from tests.secret_pods import HARMLESS, secret_pods

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("admission")]
CREATE = ("create", "--dry-run=server", "--namespace=ontime-staging", "--filename=-")
JOBS = "system:serviceaccount:kube-system:job-controller"
SECONDS = 60


@pytest.mark.attack("platform-access")
def test_no_pod_of_the_model_reads_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TOP)
    pods = dict(secret_pods())
    with running_api_server(tmp_path / "server") as server:
        server.apply(*parse(build(KUBERNETES / "namespaces", find_kustomize())))
        for namespace in ("ontime-staging", "default"):
            account = {"name": "default", "namespace": namespace}
            server.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        end, told = time.monotonic() + SECONDS, ""
        while "ontime-no-secrets" not in told:
            assert time.monotonic() < end, told
            time.sleep(0.5)
            try:
                told = server.kubectl(*CREATE, text=json.dumps(pods["a volume"]))
            except OntimeError as error:
                told = str(error)
        server.kubectl(*CREATE, user=JOBS, text=json.dumps(HARMLESS))
        for what, pod in pods.items():
            with pytest.raises(OntimeError, match="ontime-no-secrets"):
                server.kubectl(*CREATE, user=JOBS, text=json.dumps(pod))
            # elsewhere the same pod is nobody's concern
            server.kubectl(*CREATE[:2], "--namespace=default", "--filename=-", text=json.dumps(pod)), what
        large = json.loads(json.dumps(HARMLESS))
        large["spec"]["containers"][0]["resources"] = {"limits": {"ephemeral-storage": "2Gi"}}
        with pytest.raises(OntimeError, match="maximum ephemeral-storage usage per Container is 1Gi"):
            server.kubectl(*CREATE, user=JOBS, text=json.dumps(large))
