"""Verifies that the running pods are the release: traces them back to the raw data, step by step.

In: a stage and the user's own access to its cluster, by kubectl. Checked: the image digests of the pods, their whole
specification against the branch's manifests, everything that `ontime verify release` checks, and the raw data against
the hashes in the released commit's `dvc.lock`. Out: a line for each check that passes, up to the first that fails.
"""

import json
from collections.abc import Iterator
from typing import Any

import click

from ontime.common.errors import OntimeError
from ontime.release.image_check import link_of
from ontime.release.registry import SHORT, read_registry
from ontime.release.release_file import Release
from ontime.repository.git import tip
from ontime.repository.lock_file import LOCK, committed_lock, outputs
from ontime.repository.pull import fetched_files
from ontime.verification.pods import check_specification, kubectl, pod_template
from ontime.verification.release import Checks, checks_options, released, verify_release

SELECTOR = "app.kubernetes.io/name=ontime,app.kubernetes.io/component=service"
CONTAINER = "ontime"
VERSION_LABEL = "app.kubernetes.io/version"
COMMIT_ANNOTATION, MODEL_ANNOTATION = "ontime.io/git-commit", "ontime.io/model-sha256"
SECONDS = 30


def command_of(stage: str) -> click.Command:
    """The command `ontime verify STAGE`."""

    @click.command(
        name=stage, help=f"Trace the pods in {stage} back to the raw data; the first check that fails is named."
    )
    @click.option("--namespace", default=f"ontime-{stage}", show_default=True, help="Namespace of the pods.")
    @click.option("--context", help="Context of the kubeconfig (default: the current one).")
    @click.option("--branch", default="main", show_default=True, help="The default branch.")
    @checks_options
    def command(namespace: str, context: str | None, branch: str, checks: Checks) -> None:
        for link, what in verify_running(stage, namespace, context, branch, checks):
            click.echo(f"{link:<16}{what}")

    return command


def verify_running(
    stage: str, namespace: str, context: str | None, branch: str, checks: Checks
) -> Iterator[tuple[str, str]]:
    """Yield the name and a description of each check that passes.

    Raises:
        OntimeError: a check fails; the message begins with its name.
    """
    with link_of("release file"):
        top = tip(branch)
        release = released(stage, read_registry(), top)
    with link_of("pods"):
        pods = running_pods(namespace, context)
        for pod in pods:
            check_pod(pod, release)
    yield "pods", f"{len(pods)} in {namespace} run {release.digest}"
    with link_of("specification"):
        template = pod_template(stage, top)
        for pod in pods:
            check_specification(pod, template)
    yield "specification", f"every field of the pods is the manifests' at {top[:SHORT]}, or Kubernetes' default"
    yield from verify_release(stage, branch, checks)
    with link_of("raw data"):
        data = list(check_raw_data(release.commit))
    for path, md5, files in data:
        yield "raw data", f"{path}: {files} files, MD5 {md5}, as {LOCK} of {release.commit[:SHORT]} has it"


def running_pods(namespace: str, context: str | None) -> list[dict[str, Any]]:
    """The service's pods, without those that are being deleted.

    Raises:
        OntimeError: kubectl fails, or there are no pods.
    """
    where = ["--context", context] if context else []
    arguments = ["get", "pods", "--namespace", namespace, "--selector", SELECTOR, "--output", "json"]
    answer = kubectl(*where, f"--request-timeout={SECONDS}s", *arguments)
    pods = [pod for pod in json.loads(answer)["items"] if "deletionTimestamp" not in pod["metadata"]]
    if not pods:
        raise OntimeError(f"none in {namespace} with {SELECTOR}")
    return pods


def check_pod(pod: dict[str, Any], release: Release) -> None:
    """Refuse a pod whose container does not run the released image, or whose labels name another release."""
    name = pod["metadata"]["name"]
    statuses = [one for one in pod["status"].get("containerStatuses", ()) if one["name"] == CONTAINER]
    if not statuses or "running" not in statuses[0]["state"]:
        raise OntimeError(f"{name}: container {CONTAINER} is not running")
    for kind in ("initContainerStatuses", "ephemeralContainerStatuses", "containerStatuses"):
        for one in pod["status"].get(kind, ()):
            if one["name"] != CONTAINER:
                raise OntimeError(f"{name}: runs a container {one['name']} beside {CONTAINER}")
    # the digest that the node reports as started, not the one in the pod's specification
    running = statuses[0]["imageID"].rpartition("@")[2]
    if running != release.digest:
        raise OntimeError(f"{name}: runs {running}, not {release.digest} of the release file")
    for kind, key, expected in (
        ("labels", VERSION_LABEL, release.version),
        ("annotations", COMMIT_ANNOTATION, release.commit),
        ("annotations", MODEL_ANNOTATION, release.model_sha256),
    ):
        actual = pod["metadata"].get(kind, {}).get(key)
        if actual != expected:
            raise OntimeError(f"{name}: {key} is {actual}, not {expected}")


def check_raw_data(commit: str) -> Iterator[tuple[str, str, int]]:
    """Read the graph's first outputs from DVC's cache or remote; path, MD5 and number of files of each.

    Raises:
        OntimeError: a file is in neither of them, or differs from the lock.
    """
    for path, md5 in first_outputs(commit).items():
        yield path, md5, len(fetched_files({path: md5}))


def first_outputs(commit: str) -> dict[str, str]:
    """MD5 by path, in the commit's lock, of the outputs of stages that read no output of another stage."""
    stages = committed_lock(commit)
    made = outputs(stages).keys()
    return outputs({name: stage for name, stage in stages.items() if not made & {dep["path"] for dep in stage["deps"]}})
