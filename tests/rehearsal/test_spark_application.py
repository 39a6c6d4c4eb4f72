"""The run by the Spark operator on real pods: the bytes of the local run, also when an executor is lost."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ontime.common.files import sha256
from ontime.manifests.render import Manifest, parse
from ontime.manifests.schemas import download
from tests.checkouts import TOP, commit, copy_checkout, run
from tests.containers import build, push
from tests.forwarded import forwarded
from tests.integration.local_base import kept_base
from tests.rehearsal.cluster.rig import Rig, rig
from tests.rehearsal.cluster.settings import GATEWAY
from tests.rehearsal.cluster.spark_operator import SPARK as SUBMITTING
from tests.rehearsal.cluster.spark_operator import install, parts
from tests.s3_server import served
from tests.spark_cluster import variables_of

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("rehearsal")]
CACHE = Path.home() / ".cache" / "ontime"
DOCKER = "deployment/docker/spark"
SPARK = "localhost/ontime-spark"
USER = 185
"""Of the image."""
FEATURES = Path("data", "processed", "features")
STAGES = ("featurize", "export")
"""Those that write what is read: the partitions and the champion."""
PARTITIONS, ROWS = 24, 30_000
CREDENTIALS = "remote-credentials"
SECONDS = 600
POLL_SECONDS = 0.3
ENDED = {"COMPLETED", "FAILED"}


@dataclass(frozen=True)
class Place:
    """The cluster with the operator, the image by its digest, and the checkout on the volume."""

    rig: Rig
    namespace: str
    image: str
    checkout: Path
    expected: dict[str, str]
    """Hash of each file of the local run."""

    @property
    def scored(self) -> list[Path]:
        """What a run has written so far; what is not whole yet has a name that begins with a dot."""
        return sorted((self.checkout / "scored").glob("[!.]*"))

    def create(self) -> str:
        """Create the run after the output of an earlier one was removed; its name."""
        shutil.rmtree(self.checkout / "scored", ignore_errors=True)
        text = json.dumps(application(self.image))
        return self.rig.kubectl("create", "--filename=-", "--output=name", text=text).strip().rpartition("/")[2]

    def status(self, name: str) -> dict[str, Any]:
        """Of a run, as the operator tells it."""
        found: dict[str, Any] = self.rig.get("sparkapplication", name, self.namespace).get("status", {})
        return found

    def state(self, name: str) -> str:
        """Of a run, one word."""
        return str(self.status(name).get("applicationState", {}).get("state", ""))

    def pods(self, name: str, role: str) -> list[dict[str, Any]]:
        """Of a run, its driver or its executors."""
        selector = f"--selector=sparkoperator.k8s.io/app-name={name},spark-role={role}"
        told = self.rig.kubectl("get", "pods", f"--namespace={self.namespace}", selector, "--output=json")
        found: list[dict[str, Any]] = json.loads(told)["items"]
        return found

    def driver_log(self, name: str) -> str:
        """What the driver printed."""
        return self.rig.kubectl("logs", f"{name}-driver", f"--namespace={self.namespace}", check=False)

    def wait(self, name: str, found: Callable[[], Any]) -> Any:
        """Ask until there is something, and return it; the run must not end meanwhile."""
        end = time.monotonic() + SECONDS
        while not (value := found()):
            assert time.monotonic() < end and self.state(name) not in ENDED, self.told(name)
            time.sleep(POLL_SECONDS)
        return value

    def end(self, name: str, state: str = "COMPLETED") -> None:
        """Wait until a run has ended, as it must."""
        end = time.monotonic() + SECONDS
        while (found := self.state(name)) not in ENDED and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        assert found == state, self.told(name)

    def told(self, name: str) -> str:
        """What one needs after a failure."""
        where = f"--namespace={self.namespace}"
        parts = [
            json.dumps(self.status(name)),
            self.rig.kubectl("get", "pods,events", where, "--output=wide", check=False),
            self.driver_log(name)[-8000:],
            self.rig.kubectl("logs", "deployment/spark-operator-controller", where, "--tail=30", check=False),
        ]
        return "\n\n".join(parts)


def application(image: str) -> Manifest:
    """The committed run with what this cluster lacks: an image's registry, more cores, and a cloud's roles."""
    (made,) = parse((TOP / "deployment" / "kubernetes" / "spark" / "score.yaml").read_text(encoding="utf-8"))
    made["spec"]["image"] = image
    for part in ("driver", "executor"):
        made["spec"][part]["coreRequest"] = "200m"
    made["spec"]["executor"]["envFrom"] = [{"secretRef": {"name": CREDENTIALS}}]
    found: Manifest = made
    return found


@pytest.fixture(scope="module")
def spark_image(podman: dict[str, str]) -> str:
    """The image of the driver and the executors, in the store."""
    ignored = f"--ignorefile={DOCKER}/Dockerfile.dockerignore"
    build(podman, SPARK, kept_base("podman", podman), f"--file={DOCKER}/Dockerfile", ignored, folder=TOP)
    return SPARK


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    fork: Path,
    podman: dict[str, str],
    spark_image: str,
    figures: dict[str, Any],
) -> Iterator[Place]:
    """The cluster with all that the run needs."""
    top = tmp_path_factory.mktemp("spark")

    def build_and_push(folder: Path, base: str, name: str) -> str:
        build(podman, name, base, folder=folder)
        return push(podman, name, name)

    with (
        rig(CACHE / "rehearsal" / "spark", delivery=False) as cluster,
        served(top / "s3") as state,
        forwarded(GATEWAY, int(state["port"])) as address,
    ):
        name = f"{cluster.registry}/ontime-spark"
        begun = time.monotonic()
        image = f"{name}@{push(podman, spark_image, name)}"
        namespace = install(cluster, top / "operator", spark_image, build_and_push)
        figures["spark_application"] = {"operator_ready_after_seconds": round(time.monotonic() - begun, 1)}
        keys = variables_of(state)
        checkout = make_checkout(top / "checkout", fork, f"http://{address}", keys)
        local = top / "local"
        begun = time.monotonic()
        source, target, *rest = application(image)["spec"]["arguments"][1:]
        options = ["loky" if word == "spark" else word for word in rest]
        run("ontime", "score", source, str(local), *options, cwd=checkout)
        figures["spark_application"]["local_seconds"] = round(time.monotonic() - begun, 1)
        assert target == "scored"
        own(checkout, USER)
        for manifest in claimed(checkout, namespace, keys):
            cluster.kubectl("apply", "--filename=-", text=json.dumps(manifest))
        yield Place(cluster, namespace, image, checkout, hashes(sorted(local.iterdir())))
        figures["spark_application"]["largest_mib_of_all_pods"] = cluster.peak_mib["pods"]


def make_checkout(top: Path, fork: Path, endpoint: str, keys: dict[str, str]) -> Path:
    """A team's checkout with a champion and partitions to score, which are in the remote; it holds no credentials."""
    copy_checkout(top)
    for name in ("data", "models"):
        shutil.copytree(fork / name, top / name, dirs_exist_ok=True)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copyfile(fork / name, top / name)
    (only,) = (fork / FEATURES).iterdir()
    table = pq.read_table(only)
    many = pa.concat_tables([table] * (ROWS // len(table)))
    (top / FEATURES / only.name).unlink()
    for number in range(PARTITIONS):
        pq.write_table(many.slice(number), top / FEATURES / f"{number:02}.parquet")
    run("dvc", "commit", "--quiet", "--force", *STAGES, cwd=top)
    run("dvc", "remote", "modify", "--local", "models", "endpointurl", endpoint, cwd=top)
    run("dvc", "push", "--quiet", *STAGES, cwd=top, check=True, **keys)
    commit(top, "partitions")
    return top


def own(top: Path, user: int) -> None:
    """Give a folder to the user of the image."""
    for path in (top, *top.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


def claimed(checkout: Path, namespace: str, keys: dict[str, str]) -> list[Manifest]:
    """What a team has in its cluster: the volume with the checkout, and the account that may read the remote."""
    claim = {"name": "ontime-checkout", "namespace": namespace}
    size, modes = {"storage": "1Gi"}, ["ReadWriteOnce"]
    volume = {
        "capacity": size,
        "accessModes": modes,
        "storageClassName": "",
        "hostPath": {"path": str(checkout), "type": "Directory"},
        "claimRef": claim,
    }
    asked = {
        "accessModes": modes,
        "storageClassName": "",
        "volumeName": "ontime-checkout",
        "resources": {"requests": size},
    }
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "ontime-checkout"}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": claim, "spec": asked},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "dvc-remote-reader", "namespace": namespace},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": CREDENTIALS, "namespace": namespace},
            "stringData": keys,
        },
    ]


def hashes(paths: list[Path]) -> dict[str, str]:
    """Hash of each file by its name."""
    return {path.name: sha256(path) for path in paths}


def test_the_operator_submits_runs_by_the_spark_of_its_own_image() -> None:
    module, *_ = (part.whole for part in parts())
    assert module is not None
    (version,) = re.findall(r"^pyspark==(\S+) ", SUBMITTING)
    assert f"ARG SPARK_IMAGE=docker.io/apache/spark:{version}@" in (download(module) / "Dockerfile").read_text()


def test_the_run_writes_the_bytes_of_the_local_run(place: Place, figures: dict[str, Any]) -> None:
    begun = time.monotonic()
    name = place.create()
    (driver,) = place.wait(name, lambda: place.pods(name, "driver"))
    executors = place.wait(name, lambda: place.pods(name, "executor"))
    place.end(name)
    assert hashes(place.scored) == place.expected
    assert f" rows in {PARTITIONS} of {PARTITIONS} partitions: scored\n" in place.driver_log(name)
    figures["spark_application"]["seconds"] = round(time.monotonic() - begun, 1)
    assert mounted(driver) == {"/checkout"}
    for pod in executors:
        assert mounted(pod) == set()
    for pod in (driver, *executors):
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def mounted(pod: dict[str, Any]) -> set[str]:
    """Where a pod's container has volumes that a claim holds."""
    claims = {one["name"] for one in pod["spec"]["volumes"] if "persistentVolumeClaim" in one}
    (container,) = pod["spec"]["containers"]
    return {one["mountPath"] for one in container["volumeMounts"] if one["name"] in claims}


def test_an_executor_that_is_lost_in_the_middle_changes_no_byte(place: Place, figures: dict[str, Any]) -> None:
    begun = time.monotonic()
    name = place.create()
    place.wait(name, lambda: len(place.scored) >= 2)
    victim = place.pods(name, "executor")[0]["metadata"]["name"]
    lost = ("--grace-period=0", "--force", f"--namespace={place.namespace}")
    place.rig.kubectl("delete", "pod", victim, *lost)
    done = len(place.scored)
    place.end(name)
    assert 2 <= done < PARTITIONS
    assert hashes(place.scored) == place.expected
    executors = place.status(name)["executorState"]
    figures["spark_application"]["lost"] = {
        "seconds": round(time.monotonic() - begun, 1),
        "partitions_before": done,
        "partitions": PARTITIONS,
        "executors": len(executors),
    }
    assert victim in executors
    assert len(executors) > 2


def test_a_partition_that_is_not_in_the_remote_is_named_and_the_run_has_failed(place: Place) -> None:
    more = place.checkout / FEATURES / "more.parquet"
    shutil.copyfile(place.checkout / FEATURES / "00.parquet", more)
    with more.open("ab") as stream:
        stream.write(b"-")
    own(more.parent, USER)
    try:
        name = place.create()
        place.end(name, "FAILED")
    finally:
        more.unlink()
    (reason,) = [line for line in place.driver_log(name).splitlines() if line.startswith("error: ")]
    assert reason.startswith(f"error: output /checkout/{FEATURES / more.name}: object ")
    assert "neither in DVC's cache nor in its remote" in reason
