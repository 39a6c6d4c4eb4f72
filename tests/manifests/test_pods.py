"""What every pod must hold: who it runs as, what it may take, how it is asked and how it ends."""

import copy
from pathlib import Path

import pytest

from ontime.common.files import write_json
from ontime.manifests.render import Manifest, build, containers, copy_sources, parse
from tests.checkouts import TOP
from tests.kubernetes import STAGES, one, pods
from tests.pages import HOW_TO, blocks

pytestmark = pytest.mark.xdist_group("manifests")
DISK = "ephemeral-storage"
TAKEN = {"cpu", "memory", DISK}


def test_no_container_runs_as_root_writes_to_its_image_or_gains_rights(rendered: dict[str, list[Manifest]]) -> None:
    seen = 0
    for where, manifest in pods(rendered):
        pod = manifest["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False, where
        assert pod["securityContext"]["runAsNonRoot"] is True, where
        assert pod["securityContext"]["runAsUser"] >= 10_000, where
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), where
        for container in containers(manifest):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, where
            assert context["readOnlyRootFilesystem"] is True, where
            assert context["capabilities"] == {"drop": ["ALL"]}, where
            assert "runAsUser" not in context and "privileged" not in context, where
            seen += 1
    assert seen >= 8


def test_the_documented_patch_for_openshift_leaves_the_user_to_the_cluster_and_nothing_else_changes(
    kustomize: Path, tmp_path: Path, rendered: dict[str, list[Manifest]]
) -> None:
    (patch,) = (text for _, text in blocks(HOW_TO / "cluster.md") if "securityContext" in text)
    top = copy_sources(TOP, tmp_path)
    for stage in STAGES:
        overlay = top / "deployment" / "kubernetes" / "overlays" / stage
        settings = overlay / "kustomization.yaml"
        (content,) = parse(settings.read_text())
        content["patches"] = [*content.get("patches", []), *parse(patch)[0]["patches"]]
        write_json(settings, content)
        after, before = parse(build(overlay, kustomize)), copy.deepcopy(rendered[f"overlays/{stage}"])
        for manifest in before:
            if containers(manifest):
                context = manifest["spec"]["template"]["spec"]["securityContext"]
                assert context.pop("runAsUser") == context.pop("runAsGroup") == 65532
        assert after == before


def test_every_image_is_named_by_digest(rendered: dict[str, list[Manifest]]) -> None:
    images = [container["image"] for _, manifest in pods(rendered) for container in containers(manifest)]
    assert images
    for image in images:
        name, _, digest = image.partition("@")
        assert digest.startswith("sha256:") and ":" not in name.rpartition("/")[2], image


def test_every_container_asks_for_and_is_bound_to_processor_memory_and_disk(
    rendered: dict[str, list[Manifest]],
) -> None:
    for where, manifest in pods(rendered):
        for container in containers(manifest):
            assert container["resources"]["requests"].keys() == TAKEN, where
            assert container["resources"]["limits"].keys() == TAKEN, where


def test_the_quota_of_disk_holds_what_an_environment_may_run(rendered: dict[str, list[Manifest]]) -> None:
    for stage in STAGES:
        overlay = rendered[f"overlays/{stage}"]
        of_stage = [one for one in rendered["namespaces"] if one["metadata"].get("namespace") == f"ontime-{stage}"]
        quota, limits = (one(of_stage, kind)["spec"] for kind in ("ResourceQuota", "LimitRange"))
        most = one(overlay, "HorizontalPodAutoscaler")["spec"]["maxReplicas"]
        surge = one(overlay, "Rollout")["spec"]["strategy"]["canary"]["maxSurge"]
        second = one(rendered["components/tensorflow-serving"], "Deployment")
        times = {"Rollout": most + surge, "Job": 1, "Deployment": second["spec"]["replicas"] + 1}
        for kind in ("requests", "limits"):
            taken = sum(times[pod["kind"]] * disk(pod, kind) for pod in [*overlay, second] if containers(pod))
            assert 0 < taken <= mebibytes(quota["hard"][f"{kind}.{DISK}"]), (stage, kind)
        (each,) = limits["limits"]
        largest = max(disk(pod, "limits") for pod in [*overlay, second] if containers(pod))
        assert largest <= mebibytes(each["max"][DISK])


def mebibytes(quantity: str) -> int:
    """A quantity of Kubernetes in MiB."""
    number, unit = int(quantity[:-2]), quantity[-2:]
    return number * {"Mi": 1, "Gi": 1024}[unit]


def disk(manifest: Manifest, kind: str) -> int:
    """What a pod asks for or may take, in MiB: its largest container's, because ours has one beside those before it."""
    return max(mebibytes(container["resources"][kind][DISK]) for container in containers(manifest))


def test_a_pod_of_the_service_is_probed_and_leaves_without_a_lost_request(overlay: list[Manifest]) -> None:
    pod = one(overlay, "Rollout")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8080, "metrics": 9090}
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/v2/health/ready", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/v2/health/live", "port": "http"}
    from ontime.model_deployment.service import log, shadow, tracing
    from ontime.model_deployment.service.server import FINISH_SECONDS
    from ontime.model_deployment.service.settings import Settings

    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    closing = log.CLOSE_SECONDS + shadow.CLOSE_SECONDS + tracing.CLOSE_SECONDS
    taken = sleep + Settings.model_fields["drain_seconds"].default + FINISH_SECONDS + closing
    assert sleep >= 2 and pod["terminationGracePeriodSeconds"] > taken


def test_selectors_find_the_pods_of_the_service_and_no_hook(overlay: list[Manifest]) -> None:
    labels = one(overlay, "Rollout")["spec"]["template"]["metadata"]["labels"]
    hooks = [manifest["spec"]["template"]["metadata"]["labels"] for manifest in overlay if manifest["kind"] == "Job"]
    selectors = [manifest["spec"]["selector"] for manifest in overlay if manifest["kind"] == "Service"]
    selectors += [one(overlay, kind)["spec"]["selector"]["matchLabels"] for kind in ("Rollout", "PodDisruptionBudget")]
    assert len(selectors) == 6 and len(hooks) == 2
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not any(selector.items() <= hook.items() for hook in hooks)
    monitored = one(overlay, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
    services = [manifest for manifest in overlay if manifest["kind"] == "Service"]
    found = [one["metadata"]["name"] for one in services if monitored.items() <= one["metadata"]["labels"].items()]
    assert found == ["ontime-metrics"], "each pod is scraped once"


def test_hooks_end_in_bounded_time_and_run_what_the_image_has(overlay: list[Manifest]) -> None:
    for name, hook, words in (
        ("ontime-signature", "PreSync", ["--check"]),
        ("ontime-smoke-test", "PostSync", ["smoke-test", "http://ontime"]),
    ):
        job = one(overlay, "Job", name)
        assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == hook
        assert job["spec"]["activeDeadlineSeconds"] <= 300 and job["spec"]["backoffLimit"] == 0
        (container,) = containers(job)
        assert (container.get("command", []) + container.get("args", []))[-len(words) :] == words
    dockerfile = (TOP / "deployment" / "docker" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["/opt/ontime/bin/python", "-m", "ontime", "serve"]' in dockerfile


def test_namespaces_are_those_of_the_overlays_and_restricted(rendered: dict[str, list[Manifest]]) -> None:
    spaces = [one for one in [*rendered["namespaces"], *rendered["gateway"]] if one["kind"] == "Namespace"]
    namespaces = {one["metadata"]["name"]: one["metadata"]["labels"] for one in spaces}
    assert namespaces.keys() == {"ontime-gateway", *(f"ontime-{stage}" for stage in STAGES)}
    for labels in namespaces.values():
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for stage in STAGES:
        assert {one["metadata"]["namespace"] for one in rendered[f"overlays/{stage}"]} == {f"ontime-{stage}"}
