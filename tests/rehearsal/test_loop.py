"""The whole loop on a throw-away cluster, told in chapters: from raw tables to pods that are verified, and what stops.

Real parts alone: DVC with an S3 server, Podman, a registry, Kubernetes with pods, Argo CD, Argo Rollouts, Prometheus.
The chapters marked `thorough`, of what fails around the model, are left out of the usual run. ONTIME_REHEARSAL_FULL=1
keeps the canary's own pauses and intervals, and asks for 100,000 requests.
"""

import contextlib
import csv
import hashlib
import io
import json
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import requests

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.model_deployment.inference.signing import make_key
from ontime.release.release_file import Release, parse, path_of
from tests.checkouts import commit, git, run
from tests.rehearsal.cluster.processes import PODS, owned
from tests.rehearsal.story import ARGO_CD, CACHE, TUMOURS, Load, Story
from tests.rehearsal.telling import CANARY_SECONDS, FULL, RATE, begun, canary, note
from tests.releases import digest_of
from tests.secret_pods import HARMLESS, secret_pods

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("rehearsal")]
needs = pytest.mark.needs
thorough = pytest.mark.thorough
ABORT_SECONDS = 180
"""From the first answer of a bad version to the end of it."""
JOB_CONTROLLER = "system:serviceaccount:kube-system:job-controller"
SLEEP = """            import asyncio

            await asyncio.sleep(0.2)
"""
FLOOR = """\
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {{name: floor, namespace: argocd}}
spec:
  sourceRepos: ["{url}"]
  destinations: [{{server: "https://kubernetes.default.svc", namespace: floor}}]
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: floor, namespace: argocd}}
spec:
  project: floor
  source: {{repoURL: "{url}", targetRevision: main, path: floor}}
  destination: {{server: "https://kubernetes.default.svc", namespace: floor}}
  syncPolicy: {{automated: {{prune: true, selfHeal: true}}}}
"""
CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}}}
data: {{value: "{value}"}}
"""
CLUSTER_ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: everything}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
"""
OPAQUE = """\
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {token: nothing}
"""
ROOT_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: root, namespace: ontime-staging}
spec:
  containers:
    - {name: root, image: ontime, securityContext: {privileged: true}}
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, figures: dict[str, Any]) -> Iterator[Story]:
    """The cluster, and a checkout whose graph has not run yet."""
    with begun(CACHE / "story", tmp_path_factory, figures) as story:
        yield story


def test_1_the_graph_runs_and_its_outputs_are_on_s3(story: Story) -> None:
    story.ontime("s3")
    story.train("Train")
    story.push()
    missing = json.loads(story.run("dvc", "data", "status", "--not-in-remote", "--json").stdout)
    assert not missing.get("not_in_remote")
    assert read_json(story.checkout / "models" / "selection.json")["champion"] == "logistic_regression"


@needs("1_the_graph_runs_and_its_outputs_are_on_s3")
def test_2_a_pull_request_is_proven_and_judged_and_merged(story: Story) -> None:
    story.git("fetch", "--quiet", "origin")
    story.git("switch", "--quiet", "--create", "change")
    story.set("train.logistic_regression", C=0.2)
    story.train("Regularise less")
    story.git("push", "--quiet", "origin", "change")
    # `make pull-request`, but for the setup of an environment
    output = ["--base", "origin/main", "--output", str(story.folder / "report")]
    story.ontime("lock")
    assert "dvc.lock: proven" in story.ontime("proof", *output)
    story.ontime("report", *output)
    story.ontime("manifests", *output)
    report = (story.folder / "report" / "report.md").read_text()
    assert "## Gate passed" in report
    assert "`train.logistic_regression.C`: `0.1` → `0.2`" in report
    story.git("switch", "--quiet", "main")
    story.git("merge", "--quiet", "--no-ff", "--message", "Merge change", "change")
    story.push()


@needs("2_a_pull_request_is_proven_and_judged_and_merged")
def test_3_a_version_is_registered_built_signed_and_published(story: Story) -> None:
    story.register("v1.0.0")
    story.publish("v1.0.0")
    text = story.git("show", f"origin/main:{path_of('staging')}")
    assert story.digests["v1.0.0"] in text
    verified = story.ontime("verify", "release", "staging", "--rebuild", f"--base={story.base}")
    assert verified.splitlines()[-1].startswith("layers ")


@needs("3_a_version_is_registered_built_signed_and_published")
def test_4_argo_cd_brings_it_into_an_empty_cluster(story: Story, figures: dict[str, Any]) -> None:
    story.rig.add_gpg_key(story.folder / "key.asc")
    begun = time.time()
    story.rig.kubectl("apply", "--filename", str(story.checkout / "argocd" / "bootstrap.yaml"))
    head = story.git("rev-parse", "HEAD")
    figures["bootstrap_to_healthy_seconds"] = round(story.wait_synced("staging", head, 180) - begun, 1)
    assert set(story.pods("staging").values()) == {story.digests["v1.0.0"]}
    hooks = story.rig.get("jobs", namespace="ontime-staging").get("items", [])
    assert {job["metadata"]["name"]: job["status"].get("succeeded") for job in hooks} == {
        "ontime-signature": 1,
        "ontime-smoke-test": 1,
    }
    assert "signature and golden records verified" in logs(story, "ontime-signature")
    assert "golden records, 20 times, differ by up to" in logs(story, "ontime-smoke-test")
    with story.load("staging", 50) as load:
        time.sleep(2)
        seen = load.stop()
    assert (seen["failures"], list(seen["versions"])) == (0, ["1.0.0"])


def logs(story: Story, job: str) -> str:
    """What a job of staging wrote."""
    return story.rig.kubectl("logs", f"job/{job}", "--namespace", "ontime-staging", check=False)


@needs("4_argo_cd_brings_it_into_an_empty_cluster")
def test_4_a_commit_of_one_config_map_says_how_fast_argo_cd_itself_is(story: Story, figures: dict[str, Any]) -> None:
    folder = story.checkout / "floor"
    folder.mkdir()

    def push(value: str) -> float:
        (folder / "value.yaml").write_text(CONFIG_MAP.format(name="floor", value=value))
        commit(story.checkout, f"Say {value}")
        story.push()
        return time.time()

    def wait(value: str, pushed: float) -> float:
        def says() -> bool:
            return bool(story.rig.get("configmap", "floor", "floor").get("data", {}).get("value") == value)

        story.wait(f"floor says {value}", says, 60)
        return round(time.time() - pushed, 1)

    push("nothing")
    story.hook()
    story.rig.kubectl("create", "namespace", "floor")
    story.rig.kubectl("apply", "--filename", "-", text=FLOOR.format(url=story.rig.repository_url))
    wait("nothing", time.time())
    told = figures.setdefault("push_to_synced_seconds", {})
    for place in range(2):
        pushed = push(f"told {place}")
        story.hook()
        told.setdefault("config_map_by_webhook", []).append(wait(f"told {place}", pushed))
    told["config_map_by_polling"] = wait("found", push("found"))


def judged(story: Story, stage: str) -> list[dict[str, Any]]:
    """The analyses of a stage, oldest first."""
    runs = story.rig.get("analysisruns.argoproj.io", namespace=f"ontime-{stage}").get("items", [])
    return sorted(runs, key=lambda run: str(run["metadata"]["creationTimestamp"]))


@needs("4_argo_cd_brings_it_into_an_empty_cluster")
def test_5_a_better_version_becomes_a_canary_and_then_all_of_staging(story: Story, figures: dict[str, Any]) -> None:
    story.set("train.logistic_regression", C=0.25)
    story.make("v1.1.0", "Regularise even less")
    canary(story, figures, "staging", "v1.1.0", lambda: story.publish("v1.1.0"), told=True)
    judgements = judged(story, "staging")
    assert [one["status"]["phase"] for one in judgements] == ["Successful", "Successful"]
    for judgement in judgements:
        found = {one["name"]: one.get("successful", 0) for one in judgement["status"]["metricResults"]}
        assert found.keys() == {"error-rate", "latency-p95", "prediction-shift"}
        assert min(found.values()) >= 3


@needs("4_argo_cd_brings_it_into_an_empty_cluster")
def test_6_production_takes_a_signed_commit_alone(story: Story, figures: dict[str, Any]) -> None:
    assert story.pods("production") == {}
    assigned = story.ontime("release", "assign", "v1.0.0", "production", "--push")
    story.promote(assigned.partition(": ")[0])
    # before, its release file named no image, which is tried again with longer and longer waits in between
    story.rig.argocd("app", "terminate-op", "ontime-production", check=False)
    story.wait_synced("production", story.hook(), 300)
    assert set(story.pods("production").values()) == {story.digests["v1.0.0"]}
    story.git("-c", "commit.gpgSign=false", "commit", "--quiet", "--allow-empty", "--message", "Unsigned")
    story.push()
    story.hook()
    figures["unsigned"] = story.wait("refusal", lambda: unsigned(story, "production"), 60)
    assert set(story.pods("production").values()) == {story.digests["v1.0.0"]}
    sign_again(story)


def unsigned(story: Story, application: str) -> str:
    """What Argo CD says of an Application whose newest commit is not signed as it must be."""
    told = [one["message"] for one in story.application(application).get("conditions", [])]
    return next((one for one in told if re.search("signature|signed|GPG", one)), "")


def sign_again(story: Story) -> None:
    """Go on with a signed commit; what was refused is tried again later and later unless somebody ends that."""
    story.git("commit", "--quiet", "--allow-empty", "--message", "Signed")
    story.push()
    story.rig.argocd("app", "terminate-op", "ontime-production", check=False)
    story.wait_synced("production", story.hook(), 300)


@pytest.mark.attack("removed-check")
@needs("6_production_takes_a_signed_commit_alone")
def test_6_an_unsigned_commit_does_not_remove_the_check_of_signatures(story: Story) -> None:
    """Neither by the projects, which `bootstrap` applies, nor by what the platform's Applications apply."""
    bootstrap = story.checkout / "argocd" / "bootstrap.yaml"
    namespaces = story.checkout / "deployment" / "kubernetes" / "namespaces" / "namespaces.yaml"
    bootstrap.write_text(bootstrap.read_text().replace("mode: head", "mode: none"))
    namespaces.write_text(namespaces.read_text().replace("enforce: restricted", "enforce: privileged"))
    story.git("-c", "commit.gpgSign=false", "commit", "--quiet", "--all", "--message", "Check nothing")
    story.push()
    story.hook()
    for application in ("bootstrap", "namespaces", "admission", "staging", "production"):
        story.wait(f"{application} refuses", lambda name=application: unsigned(story, name), 60)  # type: ignore[misc]
    for name in ("bootstrap", "platform", "model-staging", "model-production"):
        (policy,) = story.rig.get("appproject.argoproj.io", name, ARGO_CD)["spec"]["sourceIntegrity"]["git"]["policies"]
        assert policy["gpg"]["mode"] == "head", name
    labels = story.rig.get("namespace", "ontime-production")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    story.git("revert", "--no-edit", "HEAD")
    story.push()
    sign_again(story)


@needs(
    "5_a_better_version_becomes_a_canary_and_then_all_of_staging",
    "6_production_takes_a_signed_commit_alone",
)
def test_6_what_staging_ran_becomes_all_of_production(story: Story, figures: dict[str, Any]) -> None:
    assigned = story.ontime("release", "assign", "v1.1.0", "production", "--push")
    tag = assigned.partition(": ")[0]
    canary(story, figures, "production", "v1.1.0", lambda: story.promote(tag), told=False)
    pages = ("/", "/docs", "/openapi.json")
    assert {answered(story, "staging", page) for page in pages} == {200}
    assert {answered(story, "production", page) for page in pages} == {404}
    assert answered(story, "production", "/v2/health/ready") == 200


def answered(story: Story, stage: str, path: str) -> int:
    """The status by which a stage's Service answers for a path."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"http://{story.address(stage)}{path}", timeout=10).status_code


def aborted(story: Story, figures: dict[str, Any], what: str, change: Callable[[], str], metric: str = "") -> float:
    """Bring something bad into staging under load, see it taken back by itself and reverted; how long it answered."""
    stable = set(story.pods("staging").values())
    with story.load("staging", RATE) as load:
        time.sleep(2)
        good = set(load.now()["versions"])
        head, changed = change(), time.time()

        def degraded() -> Any:
            status = story.rollout("staging")["status"]
            return status if status.get("abort") and status.get("phase") == "Degraded" else None

        status = story.wait(f"{what} is aborted", degraded, CANARY_SECONDS)
        seconds = time.time() - changed
        assert metric in status["message"], status["message"]
        story.wait("only what was there", lambda: set(story.pods("staging").values()) == stable, 90)

        def quiet() -> bool:
            return all(time.time() - last > 3 for one, last in load.now()["last"].items() if one not in good)

        story.wait("no answer of what was taken back", quiet, 30)
        story.wait("Degraded", lambda: story.state("staging")[2] == "Degraded", 60)
        reverted = time.time()
        # Argo CD tries a failed sync again, and looks at a newer commit when that attempt has ended
        story.wait_synced("staging", story.revert(head), 300)
        healed = time.time() - reverted
        seen = load.stop()
    bad = [seen["first"][one] for one in seen["versions"] if one not in good]
    figures.setdefault("aborted", {})[what] = {
        "push_to_abort_seconds": round(seconds, 1),
        "first_answer_to_abort_seconds": round(changed + seconds - min(bad), 1) if bad else None,
        "revert_to_healthy_seconds": round(healed, 1),
        "reason": status["message"],
    }
    note(figures, what, seen)
    assert seen["failures"] == 0, seen
    return changed + seconds - min(bad) if bad else 0


def publish(story: Story, version: str) -> str:
    """Publish a version and tell Argo CD; the commit."""
    story.publish(version)
    return story.hook()


@needs("5_a_better_version_becomes_a_canary_and_then_all_of_staging")
def test_7_a_model_of_shuffled_labels_is_taken_back_by_its_predictions(story: Story, figures: dict[str, Any]) -> None:
    good = story.git("rev-parse", "HEAD")
    table = story.checkout / "data" / "external" / "tumours.csv"
    text = shuffle(table.read_text(), "target", 0.6)
    table.write_text(text)
    story.set("data.options", sha256=hashlib.sha256(text.encode()).hexdigest())
    story.make("v1.2.0", "Take new labels")
    seconds = aborted(story, figures, "v1.2.0", lambda: publish(story, "v1.2.0"), "prediction-shift")
    assert 0 < seconds < ABORT_SECONDS
    story.git("checkout", good, "--", "data", "params.yaml", "dvc.lock")
    story.commit("Take the old labels again")
    story.run("dvc", "checkout", "--quiet")


def shuffle(text: str, column: str, share: float) -> str:
    """A table of which a share of the rows have each other's value in a column."""
    header, *rows = csv.reader(io.StringIO(text))
    place, chance = header.index(column), random.Random(7)
    chosen = chance.sample(range(len(rows)), int(share * len(rows)))
    for one, value in zip(chosen, chance.sample([rows[one][place] for one in chosen], len(chosen)), strict=True):
        rows[one][place] = value
    return "\n".join(",".join(row) for row in [header, *rows]) + "\n"


@needs("5_a_better_version_becomes_a_canary_and_then_all_of_staging")
def test_7_a_service_that_is_slower_is_taken_back_by_its_latency(story: Story, figures: dict[str, Any]) -> None:
    endpoint = story.checkout / "src" / "ontime" / "model_deployment" / "service" / "inference_endpoint.py"
    before = "            outputs = await self.service.outputs(rows, requested)\n"
    text = endpoint.read_text()
    assert text.count(before) == 1
    endpoint.write_text(text.replace(before, SLEEP + before))
    slow = story.commit("Look something up")
    story.register("v1.3.0")
    seconds = aborted(story, figures, "v1.3.0", lambda: publish(story, "v1.3.0"), "latency-p95")
    assert 0 < seconds < ABORT_SECONDS
    story.revert(slow)


@needs("6_what_staging_ran_becomes_all_of_production")
def test_8_production_goes_back_by_a_commit(story: Story, figures: dict[str, Any]) -> None:
    with story.load("production", RATE / 2) as load:
        begun = time.time()
        assigned = story.run("bash", "deployment/scripts/rollback_model.sh", "production").stdout
        tag = assigned.partition(": ")[0]
        assert "v1.0.0" in assigned
        pushed = story.promote(tag)
        synced = story.wait_synced("production", story.hook(), 240)
        seen = load.stop()
    assert set(story.pods("production").values()) == {story.digests["v1.0.0"]}
    figures["rollback_seconds"] = {
        "command_to_synced": round(synced - begun, 1),
        "push_to_synced": round(synced - pushed, 1),
        "push_to_first_prediction": round(seen["first"]["1.0.0"] - pushed, 1),
    }
    note(figures, "rollback in production", seen)
    assert seen["failures"] == 0, seen
    # the same image as before, as no graph was run and nothing was built
    verified = story.ontime("verify", "release", "production", "--rebuild", f"--base={story.base}")
    assert verified.splitlines()[-1].startswith("layers ")


@needs("4_argo_cd_brings_it_into_an_empty_cluster")
def test_9_what_somebody_changes_by_hand_is_put_right(story: Story, figures: dict[str, Any]) -> None:
    namespace = ("--namespace", "ontime-staging")

    def service() -> bool:
        return bool(story.rig.get("service", "ontime-canary", "ontime-staging"))

    def budget() -> bool:
        found = story.rig.get("poddisruptionbudget", "ontime", "ontime-staging")
        return bool(found["spec"]["maxUnavailable"] == 1)

    def rollout() -> bool:
        return bool(story.rollout("staging")["spec"]["minReadySeconds"] == 5)

    patch = "--type=merge", "--patch"
    for what, arguments, healed in (
        ("deleted Service", ("delete", "service", "ontime-canary", "--wait=false"), service),
        ("patched budget", ("patch", "pdb", "ontime", *patch, '{"spec": {"maxUnavailable": 2}}'), budget),
        ("patched Rollout", ("patch", "rollout", "ontime", *patch, '{"spec": {"minReadySeconds": 1}}'), rollout),
    ):
        story.rig.kubectl(*arguments, *namespace)
        changed = time.time()
        story.wait(what, healed, 60)
        figures.setdefault("healed_seconds", {})[what] = round(time.time() - changed, 1)


@needs("4_argo_cd_brings_it_into_an_empty_cluster")
def test_9_a_commit_with_kinds_that_no_model_needs_is_refused_whole(story: Story) -> None:
    overlay = story.checkout / "deployment" / "kubernetes" / "overlays" / "staging"
    (overlay / "more.yaml").write_text(
        "---\n".join([CLUSTER_ROLE, OPAQUE, CONFIG_MAP.format(name="beside", value="it")])
    )
    kustomization = overlay / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("  - ../../base\n", "  - ../../base\n  - more.yaml\n"))
    commit = story.commit("Add more")

    def refused() -> set[str]:
        results = story.application("staging").get("operationState", {}).get("syncResult", {}).get("resources", [])
        return {one["kind"] for one in results if "not permitted in project" in one.get("message", "")}

    story.wait("refusal", lambda: refused() == {"ClusterRole", "Secret"}, 60)
    assert story.rig.get("configmap", "beside", "ontime-staging") == {}
    assert story.rig.get("clusterrole", "everything") == {}
    assert story.rig.get("secret", "token", "ontime-staging") == {}
    story.wait_synced("staging", story.revert(commit), 180)


@needs("4_argo_cd_brings_it_into_an_empty_cluster")
def test_9_neither_the_namespace_nor_the_default_project_lets_in_what_they_should_not(story: Story) -> None:
    with pytest.raises(OntimeError, match='violates PodSecurity "restricted:latest": privileged'):
        story.rig.kubectl("apply", "--filename", "-", text=ROOT_POD)
    stray = FLOOR.format(url=story.rig.repository_url).partition("---\n")[2]
    stray = stray.replace("name: floor,", "name: stray,").replace("project: floor", "project: default")
    story.rig.kubectl("apply", "--filename", "-", text=stray)
    told = story.wait("refusal", lambda: story.application("stray").get("conditions"), 60)
    story.rig.kubectl("delete", "application.argoproj.io", "stray", "--namespace", ARGO_CD)
    assert {one["type"] for one in told} == {"InvalidSpecError"}
    assert "is not permitted in project 'default'" in json.dumps(told)


@pytest.mark.attack("platform-access")
@needs("4_argo_cd_brings_it_into_an_empty_cluster")
def test_9_no_pod_of_the_model_reads_a_secret(story: Story) -> None:
    create = ("create", "--dry-run=server", "--namespace=ontime-staging", f"--as={JOB_CONTROLLER}", "--filename=-")
    assert "created (server dry run)" in story.rig.kubectl(*create, text=json.dumps(HARMLESS))
    for what, pod in secret_pods():
        with pytest.raises(OntimeError) as refused:
            story.rig.kubectl(*create, text=json.dumps(pod))
        assert "ontime-no-secrets" in str(refused.value), (what, refused.value)


@pytest.mark.attack("admission")
@needs("4_argo_cd_brings_it_into_an_empty_cluster")
def test_9_the_cluster_refuses_pods_that_are_not_committed(story: Story, figures: dict[str, Any]) -> None:
    stable = story.pods("staging")
    sets = story.rig.get("replicasets", namespace="ontime-staging")["items"]
    (running,) = (one for one in sets if one["spec"]["replicas"])
    foreign = f"{story.image}@{digest_of('foreign')}"

    def with_container(**changes: Any) -> dict[str, Any]:
        template = json.loads(json.dumps(running["spec"]["template"]))
        template["spec"]["containers"][0] |= changes
        return {"template": template, "selector": running["spec"]["selector"]}

    sidecar = with_container()
    first = sidecar["template"]["spec"]["containers"][0]
    sidecar["template"]["spec"]["containers"].append({**first, "name": "sidecar", "ports": []})
    override = [{"name": "ONTIME_SERVICE_PUBLIC_KEY", "value": "/tmp/mine.pub"}]
    told = figures.setdefault("refused", {})
    for what, spec, reason in (
        ("foreign digest", with_container(image=foreign), "the release file has"),
        ("unsigned image", with_container(image=f"{story.image}:latest"), "the release file has"),
        ("override", with_container(env=override), "environment variables ONTIME_SERVICE_PUBLIC_KEY"),
        ("sidecar", sidecar, "containers ontime, sidecar; the committed manifest has ontime"),
    ):
        metadata = {"name": "mine", "namespace": "ontime-staging"}
        manifest = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}
        with pytest.raises(OntimeError, match="denied request") as refused:
            story.rig.kubectl("create", "--filename=-", text=json.dumps(manifest))
        assert reason in str(refused.value)
        told[what] = str(refused.value).partition("denied request: ")[2]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine", "namespace": "ontime-staging"}}
    with pytest.raises(OntimeError, match="here the ReplicaSets and Jobs of the committed manifests alone make pods"):
        story.rig.kubectl(
            "create", "--filename=-", text=json.dumps({**pod, "spec": with_container()["template"]["spec"]})
        )
    with pytest.raises(OntimeError, match="exec into a pod of the model"):
        story.rig.kubectl("exec", next(iter(stable)), "--namespace=ontime-staging", "--", "/opt/ontime/bin/python")
    assert story.pods("staging") == stable


LINKS = [
    *("pods", "specification", "release file", "tag", "commit", "dvc.lock", "model", "manifest"),
    *("image", "configuration", "model layer", "signature", "layers", "raw data"),
]


def walk(story: Story, checkout: Path, *options: str) -> tuple[list[str], str]:
    """The links of production that hold, and the line that names the one that does not."""
    rebuilt = ("--rebuild", f"--base={story.base}")
    done = story.run("ontime", "verify", "production", *rebuilt, *options, cwd=checkout, check=False)
    # beside what the build of the image says
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return [line[:16].strip() for line in done.stdout.splitlines()], "\n".join(errors)


@needs("6_production_takes_a_signed_commit_alone")
def test_10_production_is_verified_from_its_pods_to_the_raw_data(story: Story, figures: dict[str, Any]) -> None:
    begun = time.monotonic()
    held, said = walk(story, story.checkout)
    figures["verify_seconds"] = round(time.monotonic() - begun, 1)
    assert said == ""
    assert held == LINKS


def tampered(story: Story, name: str) -> Path:
    """A clone of the team's repository with its own copy of the data."""
    target = story.clone(name)
    run(
        "cp",
        "--recursive",
        "--dereference",
        str(story.checkout / ".dvc" / "cache"),
        str(target / ".dvc" / "cache"),
        cwd=target,
    )
    run("cp", "--recursive", str(story.checkout / ".keys"), str(target / ".keys"), cwd=target)
    return target


def everybody_sees(checkout: Path) -> None:
    """Commit what is there as if main had it."""
    git(checkout, "commit", "--quiet", "--all", "--message", "Tamper")
    git(checkout, "update-ref", "refs/remotes/origin/main", "HEAD")


def in_production(checkout: Path) -> Release:
    """What the checkout's release file of production says."""
    release = parse((checkout / path_of("production")).read_text(), path_of("production"))
    assert release is not None
    return release


def edit_the_release_file(checkout: Path) -> None:
    path = checkout / path_of("production")
    path.write_text(path.read_text() + "# mine\n")
    everybody_sees(checkout)


def move_the_tag(checkout: Path) -> None:
    release = in_production(checkout)
    tag = f"{TUMOURS.name}@{release.version}"
    git(checkout, "tag", "--delete", tag)
    git(checkout, "tag", "--annotate", "--message=moved", tag, f"{release.commit}^")


def rewrite_history(checkout: Path) -> None:
    tree = git(checkout, "rev-parse", "HEAD^{tree}").strip()
    root = git(checkout, "commit-tree", tree, "-m", "All at once").strip()
    git(checkout, "update-ref", "refs/remotes/origin/main", root)


def flip(checkout: Path, md5: str) -> None:
    """Change a byte of an object in DVC's cache."""
    path = checkout / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def md5_of(checkout: Path, output: str, file: str) -> str:
    """The hash of a file of an output at the released commit."""
    lock = git(checkout, "show", f"{in_production(checkout).commit}:dvc.lock")
    folder = re.findall(rf"path: {output}\n\s+hash: md5\n\s+md5: (\w+)\.dir", lock)[0]
    listing = json.loads((checkout / f".dvc/cache/files/md5/{folder[:2]}/{folder[2:]}.dir").read_text())
    return next(str(one["md5"]) for one in listing if one["relpath"].endswith(file))


def flip_the_model(checkout: Path) -> None:
    flip(checkout, md5_of(checkout, "models/champion", "model.onnx"))


def flip_the_raw_data(checkout: Path) -> None:
    flip(checkout, md5_of(checkout, "data/raw", ".parquet"))


@needs("10_production_is_verified_from_its_pods_to_the_raw_data")
@pytest.mark.parametrize(
    ("tamper", "link"),
    [
        (edit_the_release_file, "release file"),
        (move_the_tag, "tag"),
        (rewrite_history, "commit"),
        (flip_the_model, "model"),
        (flip_the_raw_data, "raw data"),
    ],
)
def test_10_a_link_of_the_repository_that_was_tampered_with_is_named(
    story: Story, tamper: Callable[[Path], None], link: str
) -> None:
    checkout = tampered(story, link.replace(" ", "-"))
    assert walk(story, checkout)[1] == ""
    tamper(checkout)
    held, said = walk(story, checkout)
    assert said.startswith(f"error: {link}: "), said
    assert "\n" not in said
    assert held == LINKS[: LINKS.index(link)] or link == "release file"


@needs("10_production_is_verified_from_its_pods_to_the_raw_data")
def test_10_another_image_another_annotation_and_another_key_are_named(story: Story) -> None:
    namespace = ("--namespace", "ontime-production")
    pods = story.pods("production")
    pod = next(iter(pods))
    other = next(digest for digest in story.digests.values() if digest != pods[pod])
    story.rig.kubectl("annotate", "pod", pod, "--overwrite", f"ontime.io/git-commit={'0' * 40}", *namespace)
    assert re.match(rf"error: pods: {pod}: ontime.io/git-commit is 0+, not ", walk(story, story.checkout)[1])
    image = ("set", "image", f"pod/{pod}", f"ontime={story.image}@{other}", *namespace)
    with pytest.raises(OntimeError, match="a running pod's image may not be changed"):
        story.rig.kubectl(*image)

    def without_admission() -> bool:
        # until Argo CD puts it back
        story.rig.kubectl("delete", "validatingadmissionpolicybinding", "ontime-pods", "--ignore-not-found")
        return "image updated" in story.rig.kubectl(*image, check=False)

    story.wait("the other image is taken", without_admission, 60)
    story.wait("the other image runs", lambda: story.pods("production").get(pod) == other, 60)
    assert walk(story, story.checkout)[1].startswith(f"error: pods: {pod}: runs {other}, not ")
    story.rig.kubectl("delete", "pod", pod, *namespace)
    story.wait("pods as before", lambda: sorted(story.pods("production").values()) == sorted(pods.values()), 60)
    make_key(story.folder / "stranger.key")
    held, said = walk(story, story.checkout, f"--public-key={story.folder / 'stranger.pub'}")
    assert (held[-1], said.partition(": not signed by ")[0]) == (
        "model layer",
        "error: signature: models/champion.sig",
    )


@thorough
@needs("5_a_better_version_becomes_a_canary_and_then_all_of_staging")
def test_11_a_broken_signature_fails_before_anything_changes(story: Story, figures: dict[str, Any]) -> None:
    stable = set(story.pods("staging").values())
    broken = story.build_on("v1.1.0", "broken", "COPY Dockerfile /models/champion.sig")
    with story.load("staging", RATE) as load:
        commit = story.say("staging", broken)
        story.wait("log", lambda: "error: /models/champion.sig: not signed by" in logs(story, "ontime-signature"), 90)
        story.wait("failure", lambda: "ontime-signature" in failed(story, commit), 90)
        assert set(story.pods("staging").values()) == stable
        story.wait_synced("staging", story.revert(commit), 180)
        seen = load.stop()
    note(figures, "broken signature", seen)
    assert (seen["failures"], len(seen["versions"])) == (0, 1)


def failed(story: Story, commit: str) -> str:
    """What Argo CD says of an operation that failed or is tried again for a commit."""
    operation = story.application("staging").get("operationState", {})
    told = json.dumps(operation)
    tried = operation.get("phase") in ("Failed", "Error") or operation.get("retryCount", 0) > 0
    return told if tried and commit in told else ""


@thorough
@needs("5_a_better_version_becomes_a_canary_and_then_all_of_staging")
def test_11_pods_that_never_get_ready_are_taken_back(story: Story, figures: dict[str, Any]) -> None:
    deaf = story.build_on("v1.1.0", "deaf", "ENV ONTIME_SERVICE_PORT=8081")
    aborted(story, figures, "never ready", lambda: story.say("staging", deaf), "timed out")


@thorough
@needs("5_a_better_version_becomes_a_canary_and_then_all_of_staging")
def test_11_without_prometheus_a_canary_is_not_promoted(story: Story, figures: dict[str, Any]) -> None:
    again = story.build_on("v1.1.0", "again", "LABEL again=1")

    def change() -> str:
        commit = story.say("staging", again)
        story.wait("canary", lambda: again in story.pods("staging").values(), 90)
        story.rig.kill("prometheus")
        return commit

    try:
        aborted(story, figures, "without Prometheus", change, "assessed Error")
    finally:
        story.rig.restart("prometheus")


@thorough
@needs("5_a_better_version_becomes_a_canary_and_then_all_of_staging")
@pytest.mark.parametrize("case", ["no such image", "no registry"])
def test_11_an_image_that_cannot_be_pulled_changes_nothing(story: Story, figures: dict[str, Any], case: str) -> None:
    stable = set(story.pods("staging").values())
    digest = digest_of("nothing") if case == "no such image" else story.build_on("v1.1.0", "late", "LABEL late=1")
    with contextlib.ExitStack() as stack:
        if case == "no registry":
            story.rig.kill("registry")
            stack.callback(story.rig.restart, "registry")
        load: Load = stack.enter_context(story.load("staging", RATE))
        commit = story.say("staging", digest)
        story.wait("no pull", lambda: "ImagePull" in waiting(story), 60)
        if FULL:
            # the job has two minutes for it
            story.wait("failure", lambda: failed(story, commit), 180)
        else:
            story.rig.argocd("app", "terminate-op", "ontime-staging")
        assert set(story.pods("staging").values()) == stable
        seen = load.stop()
        note(figures, case, seen)
        assert (seen["failures"], len(seen["versions"])) == (0, 1)
    wanted = story.revert(commit), "Synced", "Healthy"
    # what runs is what the revert says, so there is nothing to sync and the last operation stays the failed one
    story.wait("as before", lambda: story.state("staging")[:3] == wanted, 240)


def waiting(story: Story) -> str:
    """Why containers of staging wait."""
    pods = story.rig.get("pods", namespace="ontime-staging").get("items", [])
    return json.dumps([pod["status"].get("containerStatuses") for pod in pods])


@thorough
@needs("5_a_better_version_becomes_a_canary_and_then_all_of_staging")
def test_12_a_canary_survives_the_death_of_a_pod_and_of_its_controllers(story: Story, figures: dict[str, Any]) -> None:
    story.set("train.logistic_regression", C=0.22)
    story.make("v1.4.0", "Regularise a little more")
    with story.load("staging", RATE) as load:
        time.sleep(2)
        story.publish("v1.4.0")
        head = story.hook()
        digest = story.digests["v1.4.0"]
        story.wait("canary", lambda: digest in story.pods("staging").values(), 90)
        for component in ("rollouts-controller", "application-controller", "repo-server"):
            story.rig.kill(component)
            time.sleep(2)
            story.rig.restart(component)
        before = load.now()
        service_of(story, "staging").send_signal(signal.SIGKILL)
        story.wait_synced("staging", head, CANARY_SECONDS)
        seen = load.stop()
    note(figures, "kills", seen)
    assert set(story.pods("staging").values()) == {digest}
    assert before["failures"] == 0, before
    # those in flight in the pod that was killed, and those that came before its node had noticed
    assert seen["failures"] < 0.02 * seen["requests"], seen


def service_of(story: Story, stage: str) -> psutil.Process:
    """The service in one of the pods of a stage."""
    pods = story.pods(stage)
    for process, name in owned(str(story.rig.folder)):
        with contextlib.suppress(psutil.Error):
            if name == PODS and process.environ().get("HOSTNAME") in pods:
                return process
    raise AssertionError(f"no process of {', '.join(pods)}")


@needs("10_production_is_verified_from_its_pods_to_the_raw_data")
def test_13_a_new_cluster_serves_from_the_repository_the_remote_and_the_registry(
    story: Story, figures: dict[str, Any]
) -> None:
    stages = ("staging", "production")
    promised = {stage: released(story, stage, "digest") for stage in stages}
    assert {stage: set(story.pods(stage).values()) for stage in stages} == {
        stage: {digest} for stage, digest in promised.items()
    }
    story.lose_the_cluster()
    assert all(story.pods(stage) == {} for stage in stages)
    # what an operator has: a clone, the remote's address and credentials, the key that signs, access to the cluster
    begun = time.time()
    restored = story.clone("restored")
    run("cp", str(story.checkout / ".dvc" / "config.local"), str(restored / ".dvc" / "config.local"), cwd=restored)
    run("cp", "--recursive", str(story.checkout / ".keys"), str(restored / ".keys"), cwd=restored)
    story.run("dvc", "pull", "--quiet", cwd=restored)
    pulled = time.time()
    story.rig.add_gpg_key(story.folder / "key.asc")
    story.rig.kubectl("apply", "--filename", str(restored / "argocd" / "bootstrap.yaml"))
    head = git(restored, "rev-parse", "HEAD").strip()
    synced = {stage: story.wait_synced(stage, head, 300) - pulled for stage in stages}
    assert {stage: set(story.pods(stage).values()) for stage in stages} == {
        stage: {digest} for stage, digest in promised.items()
    }
    with story.load("production", 50) as load:
        time.sleep(2)
        seen = load.stop()
    version = released(story, "production", "version").removeprefix("v")
    assert (seen["failures"], list(seen["versions"])) == (0, [version])
    assert walk(story, restored) == (LINKS, "")
    figures["restore_seconds"] = {
        "cluster": round(story.rig.seconds_to_up, 1),
        "clone_and_pull": round(pulled - begun, 1),
        **{f"bootstrap_to_{stage}": round(seconds, 1) for stage, seconds in synced.items()},
    }


def released(story: Story, stage: str, name: str) -> str:
    """What the release file of a stage says at the tip of main: its digest or its version."""
    text = git(story.checkout, "show", f"origin/main:{path_of(stage)}")
    release = parse(text, path_of(stage))
    assert release is not None
    return str(getattr(release, name))
