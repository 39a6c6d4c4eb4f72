"""Pods as the API server returns them, against what the manifests render to: nothing may be there beside it."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ontime.common.errors import OntimeError
from ontime.release.release_file import parse, path_of, render
from ontime.repository.yaml_files import editing
from ontime.verification import running
from ontime.verification.pods import check_specification, pod_template
from ontime.verification.release import Checks
from tests.checkouts import commit
from tests.kubernetes import commit_sources
from tests.releases import RELEASE, Repository

RECORDED = Path(__file__).with_name("pod.json")
"""Returned by `kubectl create --output json` of API server 1.37.2 for the Rollout's template, on a node."""

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The template of staging's pods with a release, as a commit renders."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed; with it the manifests are rendered")
    folder = tmp_path_factory.mktemp("sources")
    commit_sources(folder)
    (folder / path_of("staging")).write_text(render(RELEASE))
    commit(folder, "release")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return pod_template("staging", "HEAD")


@pytest.fixture
def pod() -> dict[str, Any]:
    """A pod of the release."""
    content: dict[str, Any] = json.loads(RECORDED.read_text())
    content["spec"]["containers"][0]["image"] = f"{RELEASE.image}@{RELEASE.digest}"
    content["metadata"]["labels"]["app.kubernetes.io/version"] = RELEASE.version
    content["metadata"]["annotations"] = {
        "ontime.io/git-commit": RELEASE.commit,
        "ontime.io/model-sha256": RELEASE.model_sha256,
    }
    status = {
        "name": "ontime",
        "imageID": f"{RELEASE.image}@{RELEASE.digest}",
        "state": {"running": {}},
    }
    content["status"] = {"containerStatuses": [status]}
    return content


def test_a_pod_as_the_cluster_makes_it_is_let_pass(pod: dict[str, Any], template: dict[str, Any]) -> None:
    running.check_pod(pod, RELEASE)
    check_specification(pod, template)


COMPONENT = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - target: {kind: Rollout}
    patch: |
      - {op: replace, path: /spec/template/spec/terminationGracePeriodSeconds, value: 77}
"""


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_an_overlay_may_take_a_component_from_anywhere_in_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_sources(tmp_path)
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "kustomization.yaml").write_text(COMPONENT)
    with editing(tmp_path / "deployment/kubernetes/overlays/staging/kustomization.yaml") as content:
        content["components"].append("../../../../team")
    commit(tmp_path, "Wait longer")
    monkeypatch.chdir(tmp_path)
    assert pod_template("staging", "HEAD")["spec"]["terminationGracePeriodSeconds"] == 77


def test_an_amount_may_be_written_in_another_way(pod: dict[str, Any], template: dict[str, Any]) -> None:
    pod["spec"]["containers"][0]["resources"]["limits"] = {
        "cpu": "2000m",
        "memory": "0.5Gi",
        "ephemeral-storage": "0.25Gi",
    }
    check_specification(pod, template)
    pod["spec"]["containers"][0]["resources"]["limits"]["memory"] = "513Mi"
    with pytest.raises(
        OntimeError, match=r'^ontime-1: spec\.containers\[ontime\]\.resources\.limits\.memory is "513Mi"'
    ):
        check_specification(pod, template)


def sidecar(pod: dict[str, Any]) -> None:
    pod["spec"]["containers"].append({"name": "proxy", "image": "evil.example/proxy"})


def init_container(pod: dict[str, Any]) -> None:
    pod["spec"]["initContainers"] = [{"name": "first", "image": "evil.example/first"}]


def debug_container(pod: dict[str, Any]) -> None:
    pod["spec"]["ephemeralContainers"] = [{"name": "debugger", "image": "evil.example/shell"}]


def container(pod: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pod["spec"]["containers"][0]
    return found


def override(pod: dict[str, Any]) -> None:
    container(pod)["env"] = [{"name": "ONTIME_SERVICE_IDENTITY", "value": "https://evil.example"}]


def override_from(pod: dict[str, Any]) -> None:
    container(pod)["envFrom"] = [{"configMapRef": {"name": "settings"}}]


def other_image(pod: dict[str, Any]) -> None:
    container(pod)["image"] = "evil.example/ontime:1"


def other_name(pod: dict[str, Any]) -> None:
    container(pod)["image"] = f"evil.example/ontime@{RELEASE.digest}"


def command(pod: dict[str, Any]) -> None:
    container(pod)["command"] = ["/opt/ontime/bin/python", "-c", "import evil"]


def arguments(pod: dict[str, Any]) -> None:
    container(pod)["args"] = ["--anything"]


def volume(pod: dict[str, Any]) -> None:
    pod["spec"]["volumes"] = [{"name": "host", "hostPath": {"path": "/"}}]
    container(pod)["volumeMounts"] = [{"name": "host", "mountPath": "/models"}]


def privileged(pod: dict[str, Any]) -> None:
    container(pod)["securityContext"]["privileged"] = True


def root(pod: dict[str, Any]) -> None:
    pod["spec"]["securityContext"]["runAsUser"] = 0


def capability(pod: dict[str, Any]) -> None:
    container(pod)["securityContext"]["capabilities"]["add"] = ["SYS_ADMIN"]


def writable(pod: dict[str, Any]) -> None:
    del container(pod)["securityContext"]["readOnlyRootFilesystem"]


def host_network(pod: dict[str, Any]) -> None:
    pod["spec"]["hostNetwork"] = True


def process_namespace(pod: dict[str, Any]) -> None:
    pod["spec"]["shareProcessNamespace"] = True


def account(pod: dict[str, Any]) -> None:
    pod["spec"]["serviceAccountName"] = pod["spec"]["serviceAccount"] = "admin"


def token(pod: dict[str, Any]) -> None:
    pod["spec"]["automountServiceAccountToken"] = True


def toleration(pod: dict[str, Any]) -> None:
    pod["spec"]["tolerations"].append({"operator": "Exists"})


def host_name(pod: dict[str, Any]) -> None:
    pod["spec"]["hostAliases"] = [{"ip": "6.6.6.6", "hostnames": ["ontime"]}]


def label(pod: dict[str, Any]) -> None:
    pod["metadata"]["labels"]["app.kubernetes.io/part-of"] = "database"


def no_probe(pod: dict[str, Any]) -> None:
    del container(pod)["readinessProbe"]


def hook(pod: dict[str, Any]) -> None:
    container(pod)["lifecycle"]["postStart"] = {"exec": {"command": ["/opt/ontime/bin/python", "-c", "import evil"]}}


FORGED: list[tuple[Change, str]] = [
    (sidecar, "spec.containers[proxy] is"),
    (init_container, "spec.initContainers is"),
    (debug_container, "spec.ephemeralContainers is"),
    (override, 'spec.containers[ontime].env is [{"name": "ONTIME_SERVICE_IDENTITY", "value": "https://evil.example"}]'),
    (override_from, "spec.containers[ontime].envFrom is"),
    (other_image, 'spec.containers[ontime].image is "evil.example/ontime:1", not "registry.example/team/ontime@sha'),
    (other_name, 'spec.containers[ontime].image is "evil.example/ontime@sha256:'),
    (command, "spec.containers[ontime].command is"),
    (arguments, "spec.containers[ontime].args is"),
    (volume, "spec.containers[ontime].volumeMounts is"),
    (privileged, "spec.containers[ontime].securityContext.privileged is true, which no manifest says"),
    (root, "spec.securityContext.runAsUser is 0, not 65532"),
    (capability, "spec.containers[ontime].securityContext.capabilities.add is"),
    (writable, "spec.containers[ontime].securityContext.readOnlyRootFilesystem is not set, not true"),
    (host_network, "spec.hostNetwork is true"),
    (process_namespace, "spec.shareProcessNamespace is true"),
    (account, 'spec.serviceAccount is "admin", not "ontime"'),
    (token, "spec.automountServiceAccountToken is true, not false"),
    (toleration, 'spec.tolerations[2] is {"operator": "Exists"}, which no manifest says'),
    (host_name, "spec.hostAliases is"),
    (label, 'labels.app.kubernetes.io/part-of is "database", which no manifest says'),
    (no_probe, "spec.containers[ontime].readinessProbe is not set"),
    (hook, "spec.containers[ontime].lifecycle.postStart is"),
]


@pytest.mark.attack("forged-pod")
@pytest.mark.parametrize(("forge", "line"), FORGED, ids=[change.__name__ for change, _ in FORGED])
def test_a_pod_that_differs_from_the_manifests_is_named(
    pod: dict[str, Any], template: dict[str, Any], forge: Change, line: str
) -> None:
    forged = copy.deepcopy(pod)
    forge(forged)
    with pytest.raises(OntimeError) as error:
        check_specification(forged, template)
    assert str(error.value).startswith(f"ontime-1: {line}")
    assert "\n" not in str(error.value)


@pytest.mark.attack("forged-pod")
@pytest.mark.parametrize("kind", ["initContainerStatuses", "ephemeralContainerStatuses", "containerStatuses"])
def test_a_container_that_runs_beside_the_service_is_named(pod: dict[str, Any], kind: str) -> None:
    pod["status"].setdefault(kind, []).append({"name": "proxy", "imageID": "x", "state": {"running": {}}})
    with pytest.raises(OntimeError, match=r"^ontime-1: runs a container proxy beside ontime$"):
        running.check_pod(pod, RELEASE)


@pytest.mark.attack("forged-pod")
@pytest.mark.parametrize("forge", [sidecar, override], ids=["sidecar", "override"])
def test_verify_stops_at_a_forged_pod_before_it_reads_the_image(
    pod: dict[str, Any],
    repository: Repository,
    kubectl: Path,
    forge: Change,
) -> None:
    release = parse((repository.checkout / path_of("staging")).read_text(), "staging")
    assert release is not None
    container(pod)["image"] = f"{release.image}@{release.digest}"
    pod["metadata"]["labels"]["app.kubernetes.io/version"] = "v1.0.0"
    pod["metadata"]["annotations"] = {
        "ontime.io/git-commit": release.commit,
        "ontime.io/model-sha256": release.model_sha256,
    }
    pod["status"]["containerStatuses"][0]["imageID"] = f"{release.image}@{release.digest}"
    (kubectl / "answer").write_text(json.dumps({"items": [pod]}))
    checks = Checks()
    held = [link for link, _ in running.verify_running("staging", "there", None, "main", checks)]
    assert held[:3] == ["pods", "specification", "release file"]
    forge(pod)
    (kubectl / "answer").write_text(json.dumps({"items": [pod]}))
    held = []
    with pytest.raises(OntimeError, match=r"^specification: ontime-1: spec\.containers"):
        for link, _ in running.verify_running("staging", "there", None, "main", checks):
            held.append(link)
    assert held == ["pods"]
