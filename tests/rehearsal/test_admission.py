"""What a real API server refuses in a model's namespace by the committed policies, and that it admits the manifests.

Without a node: objects are made under the names of the controllers that make them in a cluster.
"""

import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ontime.common.errors import OntimeError
from ontime.manifests.render import KUBERNETES, Manifest, build, copy_sources, parse
from ontime.manifests.schemas import DEFINITIONS, download
from ontime.manifests.tools import find_kustomize
from ontime.release.release_file import path_of, render
from tests.checkouts import TOP
from tests.kubernetes import STAGES, add_tensorflow_serving, one
from tests.rehearsal.cluster.api_server import ApiServer, running_api_server
from tests.releases import RELEASE, digest_of

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("admission")]
NAMESPACE = "ontime-staging"
MEMBER = "member"
"""May do everything in the environment's namespace, and nothing elsewhere."""
ROLLOUTS = "system:serviceaccount:argo-rollouts:argo-rollouts"
REPLICA_SETS = "system:serviceaccount:kube-system:replicaset-controller"
JOBS = "system:serviceaccount:kube-system:job-controller"
NOT_KNOWN_HERE = ("AnalysisTemplate", "PrometheusRule", "ServiceMonitor")
"""Kinds of the overlay whose definitions this API server does not have; none makes pods."""
OTHER_IMAGE = f"{RELEASE.image}@{digest_of('foreign')}"
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
SECONDS = 60


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout's manifests with a release in both environments, and TensorFlow Serving in staging."""
    top = copy_sources(TOP, tmp_path_factory.mktemp("sources"))
    for stage in STAGES:
        (top / path_of(stage)).write_text(render(RELEASE))
    add_tensorflow_serving(top)
    return top


def rendered(top: Path, name: str) -> list[Manifest]:
    """A folder of deployment/kubernetes as Argo CD applies it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(TOP)
        return parse(build(top / KUBERNETES / name, find_kustomize()))


@pytest.fixture(scope="module")
def overlay(sources: Path) -> list[Manifest]:
    return rendered(sources, "overlays/staging")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sources: Path) -> Iterator[ApiServer]:
    """An API server with the policies in force, and what the overlay has beside pods."""
    with running_api_server(tmp_path_factory.mktemp("server")) as started:
        rollouts = next(one for one in DEFINITIONS if one.module.endswith("argo-rollouts"))
        definitions = download(rollouts) / rollouts.folder
        started.kubectl("apply", "--server-side", f"--filename={definitions / 'rollout-crd.yaml'}")
        started.apply(*rendered(sources, "namespaces"))
        started.apply(*rendered(sources, "admission"))
        for user in (MEMBER, ROLLOUTS, REPLICA_SETS, JOBS):
            started.apply(*rights(user, NAMESPACE))
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        for name in ("default", "ontime"):
            started.apply({**account, "metadata": {"name": name, "namespace": NAMESPACE}})
        wait_for_policies(started)
        yield started


def rights(user: str, namespace: str) -> Iterator[Manifest]:
    """All rights of a namespace."""
    name = {"name": user.rpartition(":")[2], "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    yield {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": name, "rules": EVERYTHING}
    yield {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": name,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name["name"]},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }


def wait_for_policies(server: ApiServer) -> None:
    """The API server takes up a policy a moment after it is there."""
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    context |= {"seccompProfile": {"type": "RuntimeDefault"}}
    container = {"name": "early", "image": "early", "securityContext": context}
    spec = {"containers": [container], "restartPolicy": "Never", "automountServiceAccountToken": False}
    metadata = {"name": "early", "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": spec}}}
    wait(lambda: "ontime-pods" in refusal(server, pod))
    wait(lambda: "ontime-workloads" in refusal(server, job))


def wait(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.5)


def refusal(server: ApiServer, manifest: Manifest, user: str = "admin") -> str:
    """Why an object would be refused; empty if it would be created. Nothing is kept."""
    return said(lambda: server.create(manifest, user=user, dry_run=True))


def said(act: Callable[[], Any]) -> str:
    """What somebody is told who is refused; empty if it was done."""
    try:
        act()
    except OntimeError as error:
        return str(error)
    return ""


def replica_set(rollout: Manifest, name: str = "ontime-5d8f9c7b6d") -> Manifest:
    """What Argo Rollouts makes of a Rollout."""
    template = copy.deepcopy(rollout["spec"]["template"])
    template["metadata"]["labels"]["rollouts-pod-template-hash"] = name.rpartition("-")[2]
    labels = template["metadata"]["labels"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }


def pod_of(maker: Manifest, name: str) -> Manifest:
    """What a controller makes of a template."""
    template = copy.deepcopy(maker["spec"]["template"])
    metadata = {**template["metadata"], "name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.fixture
def pod(server: ApiServer, overlay: list[Manifest]) -> Iterator[str]:
    """A pod of the service, made of the committed manifest; its name."""
    server.create(pod_of(replica_set(one(overlay, "Rollout")), "ontime-1"), user=REPLICA_SETS)
    yield "ontime-1"
    clear(server)


def clear(server: ApiServer) -> None:
    """Remove what a test made; without a node nothing else ends a pod."""
    kinds = "rollouts,deployments,replicasets,jobs,pods"
    server.kubectl("delete", kinds, "--all", "--namespace", NAMESPACE, "--force", "--grace-period=0")


def test_the_committed_manifest_is_admitted(server: ApiServer, overlay: list[Manifest]) -> None:
    jobs = [manifest for manifest in overlay if manifest["kind"] == "Job"]
    assert [job["metadata"]["name"] for job in jobs] == ["ontime-signature", "ontime-smoke-test"]
    server.apply(*(manifest for manifest in overlay if manifest["kind"] not in NOT_KNOWN_HERE))
    made = replica_set(one(overlay, "Rollout"))
    server.create(made, user=ROLLOUTS)
    server.create(pod_of(made, "ontime-1"), user=REPLICA_SETS)
    for job in jobs:
        server.create(pod_of(job, f"{job['metadata']['name']}-1"), user=JOBS)
    server.kubectl("scale", "replicaset", made["metadata"]["name"], "--replicas=3", "--namespace", NAMESPACE)
    server.apply(one(overlay, "Rollout"))
    server.create({**one(overlay, "Deployment"), "kind": "ReplicaSet", "spec": replica_set_spec(overlay)})
    clear(server)


def replica_set_spec(overlay: list[Manifest]) -> Manifest:
    """What the controller of Deployments makes of TensorFlow Serving's."""
    spec = one(overlay, "Deployment")["spec"]
    return {name: spec[name] for name in ("replicas", "selector", "template")}


def test_what_ran_before_a_release_is_scaled_and_kept_and_not_made_again(
    server: ApiServer, sources: Path, overlay: list[Manifest], tmp_path: Path
) -> None:
    server.apply(one(overlay, "Rollout"))
    before = replica_set(one(overlay, "Rollout"), "ontime-before")
    server.create(before, user=ROLLOUTS)
    top = copy_sources(sources, tmp_path)
    (top / path_of("staging")).write_text(render(RELEASE).replace(RELEASE.digest, digest_of("next")))
    again = replica_set(one(overlay, "Rollout"), "ontime-again")
    try:
        server.apply(*(one for one in rendered(top, "admission") if one["kind"] == "PodTemplate"))
        wait(lambda: digest_of("next") in refusal(server, again))
        server.kubectl("scale", "replicaset", "ontime-before", "--replicas=2", "--namespace", NAMESPACE)
        server.kubectl("annotate", "rollout", "ontime", "seen=yes", "--namespace", NAMESPACE)
        server.create(pod_of(before, "ontime-2"), user=REPLICA_SETS)
    finally:
        server.apply(*(one for one in rendered(sources, "admission") if one["kind"] == "PodTemplate"))
        wait(lambda: refusal(server, again) == "")
        clear(server)


def service(spec: Manifest) -> Manifest:
    """The first container."""
    container: Manifest = spec["containers"][0]
    return container


def other_image(spec: Manifest) -> None:
    service(spec)["image"] = OTHER_IMAGE


def tag(spec: Manifest) -> None:
    service(spec)["image"] = f"{RELEASE.image}:latest"


def other_registry(spec: Manifest) -> None:
    service(spec)["image"] = f"elsewhere.example/ontime@{RELEASE.digest}"


def override(spec: Manifest) -> None:
    service(spec)["env"] = [{"name": "ONTIME_SERVICE_PUBLIC_KEY", "value": "/tmp/mine.pub"}]


def variables_of_a_config_map(spec: Manifest) -> None:
    service(spec)["envFrom"] = [{"configMapRef": {"name": "mine"}}]


def sidecar(spec: Manifest) -> None:
    spec["containers"].append({**service(spec), "name": "sidecar", "ports": []})


def first_container(spec: Manifest) -> None:
    spec["initContainers"] = [{**service(spec), "name": "first", "ports": []}]
    for name in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle"):
        spec["initContainers"][0].pop(name, None)


def command(spec: Manifest) -> None:
    service(spec)["command"] = ["/opt/ontime/bin/python", "-c", "print()"]


def other_account(spec: Manifest) -> None:
    spec["serviceAccountName"] = "default"


def token(spec: Manifest) -> None:
    spec["automountServiceAccountToken"] = True


def files_over_the_model(spec: Manifest) -> None:
    spec.setdefault("volumes", []).append({"name": "mine", "configMap": {"name": "mine"}})
    service(spec).setdefault("volumeMounts", []).append({"name": "mine", "mountPath": "/models/champion"})


def secret(spec: Manifest) -> None:
    spec.setdefault("volumes", []).append({"name": "mine", "secret": {"secretName": "mine"}})


def names_of_hosts(spec: Manifest) -> None:
    spec["hostAliases"] = [{"ip": "192.0.2.1", "hostnames": ["registry.example"]}]


def writable(spec: Manifest) -> None:
    service(spec)["securityContext"]["readOnlyRootFilesystem"] = False


IMAGE, WHOLE = "; the release file has ", "not that of the committed manifest"
CHANGES: list[tuple[Callable[[Manifest], None], str]] = [
    (other_image, IMAGE),
    (tag, IMAGE),
    (other_registry, IMAGE),
    (override, "environment variables ONTIME_SERVICE_PUBLIC_KEY; the committed manifest does not set them"),
    (variables_of_a_config_map, "envFrom, with which a ConfigMap or Secret"),
    (sidecar, ", sidecar; the committed manifest has "),
    (first_container, "init containers [first]; the committed manifest has ["),
    (command, WHOLE),
    (other_account, WHOLE),
    (token, WHOLE),
    (files_over_the_model, WHOLE),
    (secret, WHOLE),
    (names_of_hosts, WHOLE),
    (writable, WHOLE),
]


@pytest.mark.attack("admission")
@pytest.mark.parametrize(("change", "reason"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_nothing_makes_a_pod_that_differs_from_the_committed_manifest(
    server: ApiServer, overlay: list[Manifest], change: Callable[[Manifest], None], reason: str
) -> None:
    rollout = one(overlay, "Rollout")
    deployment, server_of_tensorflow = {**replica_set(rollout), "kind": "Deployment"}, one(overlay, "Deployment")
    jobs = [copy.deepcopy(manifest) for manifest in overlay if manifest["kind"] == "Job"]
    for manifest in (
        replica_set(rollout),
        deployment,
        copy.deepcopy(server_of_tensorflow),
        copy.deepcopy(rollout),
        *jobs,
    ):
        metadata, spec = manifest["metadata"], manifest["spec"]["template"]["spec"]
        assert refusal(server, manifest) == "", "as committed it would be created"
        change(spec)
        if change is other_account and manifest["kind"] == "Job":
            spec["serviceAccountName"] = "ontime"
        # a Rollout without defaults is compared by images, containers and variables; its ReplicaSet by everything
        if manifest["kind"] == "Rollout" and reason == WHOLE:
            continue
        told = said(lambda m=manifest: server.create(m, user=MEMBER))  # type: ignore[misc]
        assert "ValidatingAdmissionPolicy 'ontime-workloads'" in told and reason in told, told
        assert server.get(manifest["kind"], metadata["name"], NAMESPACE) == {}


@pytest.mark.attack("admission")
def test_a_change_of_what_runs_is_refused_as_its_creation_is(server: ApiServer, overlay: list[Manifest]) -> None:
    made = replica_set(one(overlay, "Rollout"))
    server.create(made, user=ROLLOUTS)
    server.apply(one(overlay, "Rollout"))
    for kind, name in (("replicaset", made["metadata"]["name"]), ("rollout", "ontime")):
        patch = f'[{{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "{OTHER_IMAGE}"}}]'
        told = said(
            lambda k=kind, n=name, p=patch: server.kubectl(  # type: ignore[misc]
                "patch", k, n, "--type=json", f"--patch={p}", "--namespace", NAMESPACE, user=MEMBER
            )
        )
        assert IMAGE in told, told
        found = server.get(kind, name, NAMESPACE)["spec"]["template"]["spec"]["containers"][0]["image"]
        assert found == f"{RELEASE.image}@{RELEASE.digest}"
    clear(server)


@pytest.mark.attack("admission")
def test_what_is_none_of_the_components_makes_no_pods(server: ApiServer, overlay: list[Manifest]) -> None:
    for labels in ({}, {"app.kubernetes.io/component": "miner"}):
        manifest = replica_set(one(overlay, "Rollout"), "miner-1")
        manifest["spec"]["selector"]["matchLabels"] = {"own": "label"}
        manifest["spec"]["template"]["metadata"]["labels"] = {"own": "label", **labels}
        told = refusal(server, manifest, MEMBER)
        assert "this namespace runs only: service signature smoke-test tensorflow-serving" in told, told
    # pods of another object, which the policy does not know
    told = refusal(server, {**copy.deepcopy(one(overlay, "Rollout")), "spec": {"workloadRef": {"name": "x"}}}, MEMBER)
    assert "this namespace runs only" in told, told


@pytest.mark.attack("admission")
@pytest.mark.parametrize("user", ["admin", MEMBER, "system:serviceaccount:kube-system:statefulset-controller"])
def test_nobody_but_the_controllers_makes_a_pod_even_as_committed(
    server: ApiServer, overlay: list[Manifest], user: str
) -> None:
    if user.startswith("system:"):
        server.apply(*rights(user, NAMESPACE))
    made = pod_of(replica_set(one(overlay, "Rollout")), "ontime-own")
    told = said(lambda: server.create(made, user=user))
    assert f"a pod made by {user}; here the ReplicaSets and Jobs" in told, told
    assert server.get("pod", "ontime-own", NAMESPACE) == {}


@pytest.mark.attack("admission")
def test_a_running_pod_keeps_its_image_and_nobody_gets_into_it(server: ApiServer, pod: str) -> None:
    namespace = ("--namespace", NAMESPACE)
    kept = server.get("pod", pod, NAMESPACE)["spec"]
    # one that Pod Security admits
    debugger = {"name": "debugger", "image": OTHER_IMAGE, "securityContext": service(kept)["securityContext"]}
    ephemeral = json.dumps({"spec": {"ephemeralContainers": [debugger]}})
    for act, reason in (
        (("set", "image", f"pod/{pod}", f"ontime={OTHER_IMAGE}"), "a running pod's image may not be changed"),
        (("patch", "pod", pod, "--subresource=ephemeralcontainers", f"--patch={ephemeral}"), "an ephemeral container"),
        (("exec", pod, "--", "/bin/sh"), "exec into a pod of the model"),
        (("attach", pod), "attach into a pod of the model"),
    ):
        told = said(lambda a=act: server.kubectl(*namespace, *a, user=MEMBER))  # type: ignore[misc]
        assert "ValidatingAdmissionPolicy 'ontime-pods'" in told and reason in told, told
    kept = server.get("pod", pod, NAMESPACE)["spec"]
    assert service(kept)["image"] == f"{RELEASE.image}@{RELEASE.digest}"
    assert "ephemeralContainers" not in kept


@pytest.mark.attack("admission")
def test_who_holds_the_namespace_changes_neither_policies_nor_templates(server: ApiServer) -> None:
    template = ("podtemplate/service", "--namespace", f"{NAMESPACE}-admission")
    for target in (
        template,
        ("validatingadmissionpolicy/ontime-workloads",),
        ("validatingadmissionpolicy/ontime-pods",),
        ("validatingadmissionpolicybinding/ontime-staging-workloads",),
        (f"namespace/{NAMESPACE}-admission",),
    ):
        told = said(lambda t=target: server.kubectl("delete", *t, user=MEMBER))  # type: ignore[misc]
        assert "cannot delete resource" in told, told
        told = said(lambda t=target: server.kubectl("label", *t, "own=label", user=MEMBER))  # type: ignore[misc]
        assert "forbidden" in told.lower(), told
    server.kubectl("get", *template)


@pytest.mark.attack("admission")
def test_without_templates_nothing_is_admitted(server: ApiServer, sources: Path, overlay: list[Manifest]) -> None:
    manifest = replica_set(one(overlay, "Rollout"))
    server.kubectl("delete", "podtemplates", "--all", "--namespace", f"{NAMESPACE}-admission")
    try:
        wait(lambda: "ontime-workloads" in refusal(server, manifest))
    finally:
        server.apply(*(one for one in rendered(sources, "admission") if one["kind"] == "PodTemplate"))
        wait(lambda: refusal(server, manifest) == "")
