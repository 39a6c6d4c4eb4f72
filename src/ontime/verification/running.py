"""The proof that what runs is what was released: from the running pods back to the raw data, link by link.

In: a stage and the user's own access to its cluster, by kubectl. Walked: the pods' image digests, then all that
`ontime verify release` walks, then the raw data by the hashes that the released commit's `dvc.lock` has. Out: a line
for each link that holds, up to the first that does not.
"""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.signing import Signer
from ontime.release.commit_checks import folder_md5_of
from ontime.release.registry import SHORT, read_registry
from ontime.release.release_file import Release
from ontime.repository.git import tip
from ontime.repository.lock_file import LOCK, committed_lock, outputs
from ontime.verification.release import link_of, released, signer_options, verify_release

SELECTOR = "app.kubernetes.io/name=ontime,app.kubernetes.io/component=service"
CONTAINER = "ontime"
VERSION_LABEL = "app.kubernetes.io/version"
COMMIT_ANNOTATION, MODEL_ANNOTATION = "ontime.io/git-commit", "ontime.io/model-sha256"
SECONDS = 30
CHUNK = 1 << 20


def command_of(stage: str) -> click.Command:
    """The command `ontime verify STAGE`."""

    @click.command(
        name=stage, help=f"Walk from the pods that run in {stage} back to the raw data; say where it breaks."
    )
    @click.option("--namespace", default=f"ontime-{stage}", show_default=True, help="Where the pods run.")
    @click.option("--context", help="Of the kubeconfig; otherwise its current one.")
    @click.option("--branch", default="main", show_default=True, help="The default branch.")
    @signer_options
    def command(namespace: str, context: str | None, branch: str, signer: Signer) -> None:
        for link, what in verify_running(stage, namespace, context, branch, signer):
            click.echo(f"{link:<14}{what}")

    return command


def verify_running(
    stage: str, namespace: str, context: str | None, branch: str, signer: Signer
) -> Iterator[tuple[str, str]]:
    """Yield each link of the chain that holds and what it was checked for.

    Raises:
        OntimeError: a link does not hold; the text names it first.
    """
    with link_of("release file"):
        release = released(stage, read_registry(), tip(branch))
    with link_of("pods"):
        pods = running_pods(namespace, context)
        for pod in pods:
            check_pod(pod, release)
    yield "pods", f"{len(pods)} in {namespace} run {release.digest}"
    yield from verify_release(stage, branch, signer)
    with link_of("raw data"):
        data = list(check_raw_data(release.commit))
    for path, md5, files in data:
        yield "raw data", f"{path}: {files} files, MD5 {md5}, as {LOCK} of {release.commit[:SHORT]} has it"


def running_pods(namespace: str, context: str | None) -> list[dict[str, Any]]:
    """The service's pods, but for those that are being stopped.

    Raises:
        OntimeError: kubectl cannot tell, or there is none.
    """
    where = ["--context", context] if context else []
    arguments = ["get", "pods", "--namespace", namespace, "--selector", SELECTOR, "--output", "json"]
    try:
        done = subprocess.run(
            ["kubectl", *where, f"--request-timeout={SECONDS}s", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise OntimeError("kubectl is not on PATH") from None
    if done.returncode:
        # the last line says why; those above it are each attempt's
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise OntimeError(f"kubectl: {lines[-1]}")
    pods = [pod for pod in json.loads(done.stdout)["items"] if "deletionTimestamp" not in pod["metadata"]]
    if not pods:
        raise OntimeError(f"none in {namespace} with {SELECTOR}")
    return pods


def check_pod(pod: dict[str, Any], release: Release) -> None:
    """Refuse a pod whose container does not run the released image, or that says to be of another release."""
    name = pod["metadata"]["name"]
    statuses = [one for one in pod["status"].get("containerStatuses", ()) if one["name"] == CONTAINER]
    if not statuses or "running" not in statuses[0]["state"]:
        raise OntimeError(f"{name}: container {CONTAINER} is not running")
    # the node's word for the bytes that it started, not the specification's
    found = statuses[0]["imageID"].rpartition("@")[2]
    if found != release.digest:
        raise OntimeError(f"{name}: runs {found}, not {release.digest} of the release file")
    for kind, key, wanted in (
        ("labels", VERSION_LABEL, release.version),
        ("annotations", COMMIT_ANNOTATION, release.commit),
        ("annotations", MODEL_ANNOTATION, release.model_sha256),
    ):
        said = pod["metadata"].get(kind, {}).get(key)
        if said != wanted:
            raise OntimeError(f"{name}: {key} is {said}, not {wanted}")


def check_raw_data(commit: str) -> Iterator[tuple[str, str, int]]:
    """Read the graph's first outputs from DVC's cache or remote; path, MD5 and number of files of each.

    Raises:
        OntimeError: a file is nowhere, or is not what the lock says.
    """
    from dvc.api import DVCFileSystem

    system = DVCFileSystem(str(Path.cwd()), rev=commit)
    for path, md5 in first_outputs(commit).items():
        try:
            if system.isdir(path):
                hashes = {str(Path(name).relative_to(path)): _md5(system, name) for name in system.find(path)}
                found, files = folder_md5_of(hashes), len(hashes)
            else:
                found, files = _md5(system, path), 1
        except Exception as error:  # whatever the storage's own library raises
            line = " ".join(str(error).split())[:300]
            raise OntimeError(f"{path}: neither in DVC's cache nor in its remote: {line}") from None
        if found != md5.removesuffix(".dir"):
            raise OntimeError(f"{path}: in DVC it is not what {LOCK} of {commit[:SHORT]} says (MD5 {md5})")
        yield path, md5, files


def first_outputs(commit: str) -> dict[str, str]:
    """MD5 by path of what the stages that read no other stage's output made, as the commit's lock has it."""
    stages = committed_lock(commit)
    made = outputs(stages).keys()
    return outputs({name: one for name, one in stages.items() if not made & {dep["path"] for dep in one["deps"]}})


def _md5(system: Any, name: str) -> str:
    found = hashlib.md5(usedforsecurity=False)
    with system.open(name, "rb") as stream:
        while chunk := stream.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()
