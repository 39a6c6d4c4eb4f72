"""Compares running pods with the pod template that the branch's manifests render to, field by field.

In: pods as the cluster returns them. A pod may have only what the template says and what the API server, the
ReplicaSet's controller and the scheduler add to every pod, each with the value listed here. Anything else is named, so
a container, variable, volume or setting that no commit asked for is found, whoever put it there.
"""

import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontime.common.errors import OntimeError
from ontime.repository.git import tried_bytes

OVERLAYS = Path("deployment/kubernetes/overlays")
HASH = "rollouts-pod-template-hash"
"""Label by which the rollouts controller tells its ReplicaSets' pods apart."""
ANY = object()
"""A value that differs from pod to pod."""
SPEC = {
    "dnsPolicy": "ClusterFirst",
    "nodeName": ANY,
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 0,
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "terminationGracePeriodSeconds": 30,
}
CONTAINER = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
PORT = {"protocol": "TCP"}
PROBE = {"failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1}
DEFAULTS: dict[str, Mapping[str, Any]] = {
    "spec": SPEC,
    "spec.containers[]": CONTAINER,
    "spec.containers[].ports[]": PORT,
    "spec.containers[].env[].valueFrom.fieldRef": {"apiVersion": "v1"},
    **{f"spec.containers[].{name}Probe": PROBE for name in ("startup", "readiness", "liveness")},
    **{f"spec.containers[].{name}Probe.httpGet": {"scheme": "HTTP"} for name in ("startup", "readiness", "liveness")},
    "spec.volumes[].configMap": {"defaultMode": 0o644},
    "spec.volumes[].secret": {"defaultMode": 0o644},
}
"""What Kubernetes adds, by the place in a pod; `[]` is any item of a list."""
ADDED: dict[str, list[dict[str, Any]]] = {
    "spec.tolerations": [
        {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for state in ("not-ready", "unreachable")
    ],
}
"""Items of lists that Kubernetes adds."""


def pod_template(stage: str, commit: str) -> dict[str, Any]:
    """The template of a stage's pods that the manifests of a commit render to.

    Raises:
        OntimeError: kubectl cannot render them, or they have no Rollout.
    """
    with tempfile.TemporaryDirectory(prefix="ontime-pods-") as folder:
        # the whole tree, because an overlay may take resources and components from anywhere in it
        archive = tried_bytes("archive", "--format=tar", commit)
        if archive is None:
            raise OntimeError(f"{commit}: no commit of this repository")
        with tarfile.open(fileobj=io.BytesIO(archive)) as content:
            content.extractall(folder, filter="data")
        text = kubectl("kustomize", str(Path(folder) / OVERLAYS / stage)).replace(f"{folder}/", "")
    try:
        rollouts = [one for one in YAML(typ="safe", pure=True).load_all(text) if one and one["kind"] == "Rollout"]
        (template,) = (one["spec"]["template"] for one in rollouts)
    except (YAMLError, KeyError, TypeError, ValueError):
        raise OntimeError(f"{OVERLAYS / stage}: does not render to one Rollout") from None
    # as the API returns objects
    rendered: dict[str, Any] = json.loads(json.dumps(template))
    return rendered


def check_specification(pod: Mapping[str, Any], template: Mapping[str, Any]) -> None:
    """Refuse a pod that is not what a template says.

    Raises:
        OntimeError: something differs or is there beside it; the message names the place.
    """
    name = pod["metadata"]["name"]
    labels = {key: value for key, value in pod["metadata"].get("labels", {}).items() if key != HASH}
    for place, found, expected in (
        ("labels", labels, template["metadata"].get("labels", {})),
        ("spec", dict(pod["spec"]), dict(template["spec"])),
    ):
        if place == "spec":
            # the API still writes the account's old name beside the new one
            expected = {"serviceAccount": expected.get("serviceAccountName"), **expected}
        for difference in differences(found, expected, place):
            raise OntimeError(f"{name}: {difference}")


def differences(found: Any, expected: Any, place: str, pattern: str = "") -> Iterator[str]:
    """Where an object of the API differs from what a manifest says, defaults aside."""
    pattern = pattern or place
    if isinstance(found, dict) and isinstance(expected, dict):
        defaults = DEFAULTS.get(pattern, {})
        for key in sorted(found.keys() | expected.keys()):
            where, inside = f"{place}.{key}", f"{pattern}.{key}"
            if key in expected or inside in ADDED:
                yield from differences(found.get(key), expected.get(key), where, inside)
            elif found[key] not in ({}, None) and defaults.get(key) not in (ANY, found[key]):
                yield f"{where} is {_short(found[key])}, which no manifest says"
    elif pattern in ADDED or (isinstance(found, list) and isinstance(expected, list)):
        yield from _items(found or [], [*(expected or []), *ADDED.get(pattern, ())], place, pattern)
    elif found != expected and not _same_quantity(found, expected, pattern):
        yield f"{place} is {_short(found)}, not {_short(expected)}"


def _items(found: list[Any], expected: list[Any], place: str, pattern: str) -> Iterator[str]:
    """The same for two lists: named items by their name, others in their order."""
    named = all(isinstance(one, dict) and "name" in one for one in [*found, *expected])
    ours = {one["name"] if named else number: one for number, one in enumerate(expected)}
    theirs = {one["name"] if named else number: one for number, one in enumerate(found)}
    if len(theirs) != len(found):
        yield f"{place} has a name twice"
    for key in [*ours, *(one for one in theirs if one not in ours)]:
        where = f"{place}[{key}]"
        if key not in ours:
            yield f"{where} is {_short(theirs[key])}, which no manifest says"
        elif key not in theirs:
            yield f"{where} is missing"
        else:
            yield from differences(theirs[key], ours[key], where, f"{pattern}[]")


def _same_quantity(found: Any, expected: Any, pattern: str) -> bool:
    """Whether two amounts of a resource are the same, which the API may write in another way."""
    if ".resources." not in pattern:
        return False
    try:
        return _amount(str(found)) == _amount(str(expected))
    except ValueError:
        return False


def _amount(text: str) -> float:
    units = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    number = text.rstrip("mkMGKi")
    unit = text[len(number) :]
    return float(number) * (units[unit] if unit in units else 1 if not unit else float("nan"))


def kubectl(*arguments: str) -> str:
    """What kubectl prints.

    Raises:
        OntimeError: it is not there, or fails.
    """
    try:
        done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise OntimeError("kubectl is not on PATH") from None
    if done.returncode:
        # the last line has the reason; the lines above it are from each attempt
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise OntimeError(f"kubectl: {lines[-1]}")
    return done.stdout


def _short(value: Any) -> str:
    text = "not set" if value is None else json.dumps(value, sort_keys=True)
    return text if len(text) <= 160 else f"{text[:157]}…"
