"""What Argo CD applies, rendered: who may run how, what judges a canary, what the projects admit; and the checks."""

import copy
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ontime.common.errors import OntimeError
from ontime.manifests import tools
from ontime.manifests.difference import report_difference
from ontime.manifests.lint import known_to_linters, lint
from ontime.manifests.render import Manifest, build, containers, copy_sources, parse, render_all
from ontime.manifests.schemas import DEFINITIONS, schemas, strict, validate, validate_all
from ontime.manifests.tools import find_kustomize
from ontime.release.release_file import path_of, render
from tests.checkouts import TOP, git
from tests.releases import RELEASE

pytestmark = pytest.mark.xdist_group("manifests")

STAGES = ("staging", "production")
ROWS = (100, 300, 500, 700, 900, 1000, 1100, 1150, 1180, 1200)


@pytest.fixture(scope="module")
def kustomize() -> Path:
    if shutil.which("go") is None:
        pytest.skip("go is not installed: it builds kustomize")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(TOP)
        return find_kustomize()


@pytest.fixture(scope="module")
def rendered(kustomize: Path) -> dict[str, list[Manifest]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(TOP)
        return render_all(Path(), kustomize)


@pytest.fixture(scope="module")
def custom(kustomize: Path) -> dict[str, Manifest]:
    del kustomize
    return schemas()


@pytest.fixture(params=STAGES)
def overlay(request: pytest.FixtureRequest, rendered: dict[str, list[Manifest]]) -> list[Manifest]:
    return rendered[f"overlays/{request.param}"]


def one(manifests_: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    (found,) = [
        manifest
        for manifest in manifests_
        if manifest["kind"] == kind and (name is None or manifest["metadata"]["name"] == name)
    ]
    return found


def pods(rendered: dict[str, list[Manifest]]) -> Iterator[tuple[str, Manifest]]:
    """Every manifest that makes pods, and where it is."""
    for target, found in rendered.items():
        for manifest in found:
            if containers(manifest):
                yield f"{target} {manifest['kind']} {manifest['metadata']['name']}", manifest


def test_what_is_rendered_is_what_is_expected_to_run(rendered: dict[str, list[Manifest]]) -> None:
    assert [*rendered] == [
        "overlays/production",
        "overlays/staging",
        "namespaces",
        "argocd",
        "components/tensorflow-serving",
    ]
    names = {name.removeprefix("overlays/production ") for name, _ in pods(rendered) if "production" in name}
    assert names == {"Rollout ontime", "Job ontime-signature", "Job ontime-smoke-test"}


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


def test_every_image_is_named_by_digest(rendered: dict[str, list[Manifest]]) -> None:
    images = [container["image"] for _, manifest in pods(rendered) for container in containers(manifest)]
    assert images
    for image in images:
        name, _, digest = image.partition("@")
        assert digest.startswith("sha256:") and ":" not in name.rpartition("/")[2], image


def test_every_container_asks_for_and_is_bound_to_memory_and_processor(rendered: dict[str, list[Manifest]]) -> None:
    for where, manifest in pods(rendered):
        for container in containers(manifest):
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, where
            assert container["resources"]["limits"].keys() == {"cpu", "memory"}, where


def test_a_pod_of_the_service_is_probed_and_leaves_without_a_lost_request(overlay: list[Manifest]) -> None:
    pod = one(overlay, "Rollout")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8080, "metrics": 9090}
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/v2/health/ready", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/v2/health/live", "port": "http"}
    from ontime.model_deployment.service.server import FINISH_SECONDS
    from ontime.model_deployment.service.settings import Settings

    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    taken = sleep + Settings.model_fields["drain_seconds"].default + FINISH_SECONDS
    assert sleep >= 2 and pod["terminationGracePeriodSeconds"] > taken


def test_a_canary_takes_bounded_steps_and_each_weight_is_judged(overlay: list[Manifest]) -> None:
    rollout = one(overlay, "Rollout")
    assert "replicas" not in rollout["spec"], "the autoscaler's"
    assert rollout["spec"]["progressDeadlineAbort"] is True
    canary = rollout["spec"]["strategy"]["canary"]
    assert canary["maxUnavailable"] == 0
    steps = canary["steps"]
    assert [next(iter(step)) for step in steps] == ["setWeight", "pause", "analysis"] * 2
    for step in steps:
        if "pause" in step:
            assert step["pause"]["duration"].endswith("s"), "without a duration it waits for ever"
        if "setWeight" in step:
            assert 0 < step["setWeight"] <= 50
        if "analysis" in step:
            template = one(overlay, "AnalysisTemplate", step["analysis"]["templates"][0]["templateName"])
            needed = {arg["name"] for arg in template["spec"]["args"] if "value" not in arg}
            assert {arg["name"] for arg in step["analysis"]["args"]} == needed


def test_an_analysis_without_traffic_is_neither_success_nor_failure(overlay: list[Manifest]) -> None:
    metrics = one(overlay, "AnalysisTemplate")["spec"]["metrics"]
    assert [metric["name"] for metric in metrics] == ["error-rate", "latency-p95", "prediction-shift"]
    thresholds = {"error-rate": "0.01", "latency-p95": "2", "prediction-shift": "0.25"}
    for metric in metrics:
        threshold = thresholds[metric["name"]]
        # an empty answer meets neither condition
        assert metric["successCondition"] == f"len(result) == 1 && result[0] <= {threshold}"
        assert metric["failureCondition"] == f"len(result) == 1 && result[0] > {threshold}"
        # so many successes in a row or it is inconclusive, in bounded time, and two failures abort
        assert metric["consecutiveSuccessLimit"] >= 2
        assert metric["failureLimit"] < metric["consecutiveSuccessLimit"]
        assert metric["count"] * int(metric["interval"].removesuffix("s")) <= 600
        assert metric["inconclusiveLimit"] == metric["count"]


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
    namespaces = {one["metadata"]["name"]: one["metadata"]["labels"] for one in rendered["namespaces"]}
    assert namespaces.keys() == {f"ontime-{stage}" for stage in STAGES}
    for labels in namespaces.values():
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for stage in STAGES:
        assert {one["metadata"]["namespace"] for one in rendered[f"overlays/{stage}"]} == {f"ontime-{stage}"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_release_changes_every_image_and_the_labels_of_the_rollout(
    kustomize: Path, tmp_path: Path, stage: str, rendered: dict[str, list[Manifest]]
) -> None:
    top = copy_sources(TOP, tmp_path)
    (top / path_of(stage)).write_text(render(RELEASE))
    after = parse(build(top / "deployment" / "kubernetes" / "overlays" / stage, kustomize))
    images = {container["image"] for manifest in after for container in containers(manifest)}
    assert images == {f"{RELEASE.image}@{RELEASE.digest}"}
    metadata = one(after, "Rollout")["spec"]["template"]["metadata"]
    assert metadata["labels"]["app.kubernetes.io/version"] == RELEASE.version
    assert metadata["annotations"] == {
        "ontime.io/git-commit": RELEASE.commit,
        "ontime.io/model-sha256": RELEASE.model_sha256,
    }
    # and nothing else
    before = rendered[f"overlays/{stage}"]
    assert [m for m in after if not containers(m)] == [m for m in before if not containers(m)]


def admits(project: Manifest, manifest: Manifest, namespace: str, repository: str) -> bool:
    """Whether a project's lists admit a namespaced object, in the words of Argo CD's projects."""
    spec = project["spec"]
    group = manifest["apiVersion"].rpartition("/")[0]
    kind = {"group": group, "kind": manifest["kind"]}
    return (
        repository in spec["sourceRepos"]
        and any(destination.get("namespace") == namespace for destination in spec["destinations"])
        and kind in spec.get("namespaceResourceWhitelist", [])
    )


@pytest.mark.parametrize("stage", STAGES)
def test_the_project_of_an_environment_admits_what_its_overlay_has(
    rendered: dict[str, list[Manifest]], stage: str
) -> None:
    project = one(rendered["argocd"], "AppProject", f"model-{stage}")
    (repository,) = project["spec"]["sourceRepos"]
    namespace = f"ontime-{stage}"
    for manifest in [*rendered[f"overlays/{stage}"], *rendered["components/tensorflow-serving"]]:
        assert admits(project, manifest, namespace, repository), manifest["kind"]
    other = {"apiVersion": "v1", "kind": "Service"}
    for refused in (
        {"apiVersion": "v1", "kind": "Secret"},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"},
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application"},
    ):
        assert not admits(project, refused, namespace, repository)
    assert not admits(project, other, "kube-system", repository)
    assert not admits(project, other, namespace, "https://elsewhere.example/x.git")
    assert project["spec"]["clusterResourceWhitelist"] == []


def test_no_project_has_a_wildcard_and_the_default_one_admits_nothing(rendered: dict[str, list[Manifest]]) -> None:
    projects = [manifest for manifest in rendered["argocd"] if manifest["kind"] == "AppProject"]
    assert {one["metadata"]["name"] for one in projects} == {
        *("bootstrap", "default", "platform"),
        *(f"model-{stage}" for stage in STAGES),
    }
    for project in projects:
        spec = copy.deepcopy(project["spec"])
        if project["metadata"]["name"] == "default":
            assert spec["sourceRepos"] == spec["destinations"] == spec["clusterResourceWhitelist"] == []
            assert spec.pop("namespaceResourceBlacklist") == [{"group": "*", "kind": "*"}]
        texts = [str(value) for entry in (spec["sourceRepos"], spec["destinations"]) for value in entry]
        texts += [f"{kind}" for name, kinds in spec.items() if name.endswith("Whitelist") for kind in kinds]
        assert not [text for text in texts if "*" in text], project["metadata"]["name"]


def test_production_wants_signed_commits_and_rests_at_the_weekend(rendered: dict[str, list[Manifest]]) -> None:
    production = one(rendered["argocd"], "AppProject", "model-production")["spec"]
    (policy,) = production["sourceIntegrity"]["git"]["policies"]
    assert [one["url"] for one in policy["repos"]] == production["sourceRepos"]
    assert policy["gpg"]["mode"] == "head" and policy["gpg"]["keys"]
    (window,) = production["syncWindows"]
    assert (window["kind"], window["manualSync"], window["syncOverrun"]) == ("deny", True, True)
    assert window["namespaces"] == ["ontime-production"]


def test_each_application_is_in_a_project_that_admits_its_source_and_place(
    rendered: dict[str, list[Manifest]],
) -> None:
    applications = [manifest for manifest in rendered["argocd"] if manifest["kind"] == "Application"]
    files = [path for path in (TOP / "argocd" / "platform").glob("*.yaml") if path.stem != "kustomization"]
    assert len(applications) == len(files) + 1
    for application in applications:
        spec = application["spec"]
        project = one(rendered["argocd"], "AppProject", spec["project"])["spec"]
        for source in spec.get("sources") or [spec["source"]]:
            assert source["repoURL"] in project["sourceRepos"], application["metadata"]["name"]
            is_ours = "OWNER" in source["repoURL"]
            assert (source["targetRevision"] == "main") == is_ours, "others' versions are pinned"
            assert is_ours or source["targetRevision"].lstrip("v").count(".") == 2
        assert any(place["namespace"] == spec["destination"]["namespace"] for place in project["destinations"])
        assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
        assert 0 < spec["syncPolicy"]["retry"]["limit"] <= 10 and spec["syncPolicy"]["retry"]["refresh"] is True


def test_the_definitions_are_those_of_the_versions_that_run(rendered: dict[str, list[Manifest]]) -> None:
    versions = {definitions.module.rpartition("/")[2]: definitions.version for definitions in DEFINITIONS}
    rollouts = one(rendered["argocd"], "Application", "argo-rollouts")["spec"]["source"]
    assert rollouts["targetRevision"] == versions["argo-rollouts"]


def test_the_repository_is_named_in_one_place(kustomize: Path, tmp_path: Path) -> None:
    top = copy_sources(TOP, tmp_path)
    before = build(top / "argocd", kustomize)
    bootstrap = top / "argocd" / "bootstrap.yaml"
    ours = parse(bootstrap.read_text())[1]["spec"]["source"]["repoURL"]
    bootstrap.write_text(bootstrap.read_text().replace(ours, "https://git.example/a.git"))
    after = build(top / "argocd", kustomize)
    assert after == before.replace(ours, "https://git.example/a.git") != before
    assert "REPOSITORY" not in after


def test_everything_is_valid(rendered: dict[str, list[Manifest]], custom: dict[str, Manifest]) -> None:
    assert list(validate_all(rendered, custom)) == []


@pytest.mark.parametrize(
    ("kind", "path", "value", "told"),
    [
        ("Rollout", ("spec", "strategy", "canary", "steps", 1, "pause"), {"durration": "3s"}, "durration"),
        ("Rollout", ("spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"), "http", "http"),
        ("AnalysisTemplate", ("spec", "metrics", 0, "provider", "prometheus", "querry"), "up", "querry"),
        ("ServiceMonitor", ("spec", "endpoints", 0, "intervall"), "3s", "intervall"),
        ("Service", ("spec", "selectors"), {}, "selectors"),
        ("Job", ("spec", "activeDeadlineSeconds"), "soon", "soon"),
        ("HorizontalPodAutoscaler", ("apiVersion",), "autoscaling/v9", "no schema for autoscaling/v9"),
    ],
)
def test_what_no_schema_knows_is_found(
    rendered: dict[str, list[Manifest]],
    custom: dict[str, Manifest],
    kind: str,
    path: tuple[Any, ...],
    value: Any,
    told: str,
) -> None:
    manifest = copy.deepcopy(next(one for one in rendered["overlays/staging"] if one["kind"] == kind))
    place: Any = manifest
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    problems = list(validate(manifest, custom))
    assert len(problems) == 1 and told in problems[0]


def test_a_schema_is_strict_where_the_definition_does_not_allow_more() -> None:
    schema = strict(
        {
            "type": "object",
            "properties": {
                "description": {"type": "string", "nullable": True, "description": "x"},
                "any": {"type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": True},
            },
        }
    )
    assert schema["additionalProperties"] is False
    assert schema["properties"]["description"] == {"type": ["string", "null"]}
    assert "additionalProperties" not in schema["properties"]["any"]


@pytest.mark.integration
def test_the_linter_passes_what_is_there_and_finds_what_a_rollout_does_wrong(
    rendered: dict[str, list[Manifest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(TOP)
    assert list(lint(rendered)) == []
    broken = copy.deepcopy(one(rendered["overlays/staging"], "Rollout"))
    del broken["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    assert any("CKV_K8S_20" in finding for finding in lint({"overlays/staging": [broken]}))


def test_a_linter_sees_the_pods_of_a_rollout(overlay: list[Manifest]) -> None:
    rollout = one(overlay, "Rollout")
    shown = known_to_linters(rollout)
    assert (shown["apiVersion"], shown["kind"]) == ("apps/v1", "Deployment")
    assert shown["spec"]["template"] == rollout["spec"]["template"] and "strategy" not in shown["spec"]


def commit_sources(folder: Path) -> None:
    """A repository of the manifests alone."""
    copy_sources(TOP, folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "--quiet", "--message=base")


def test_the_report_shows_the_rendered_difference_once(
    kustomize: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del kustomize
    commit_sources(tmp_path)
    monkeypatch.chdir(tmp_path)
    report = tmp_path / "report" / "report.md"
    assert report_difference("HEAD", report) == "no manifest differs from HEAD"
    assert not report.exists()
    autoscaler = tmp_path / "deployment" / "kubernetes" / "base" / "autoscaler.yaml"
    autoscaler.write_text(autoscaler.read_text().replace("maxReplicas: 4", "maxReplicas: 5"))
    for _ in range(2):
        assert report_difference("HEAD", report).endswith("manifests differ: overlays/staging")
    text = report.read_text()
    assert text.startswith("<!-- ontime report -->\n")
    assert text.count("\n-  maxReplicas: 4\n+  maxReplicas: 5\n") == 1
    autoscaler.write_text("a: [")
    report_difference("HEAD", report)
    assert "+does not render: " in report.read_text()


def test_an_unknown_base_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_sources(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OntimeError, match=r"^git diff: .*absent") as refused:
        report_difference("absent", tmp_path / "report.md")
    assert "\n" not in str(refused.value)


def test_without_go_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_sources(tmp_path)
    (tmp_path / "deployment" / "kubernetes" / "base" / "autoscaler.yaml").write_text("")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setattr(tools, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.chdir(TOP)
    with pytest.raises(OntimeError, match=r"^go: not found; install Go 1\.26 or later \(https"):
        find_kustomize()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tools, "TOOLS", TOP / tools.TOOLS)
    report = tmp_path / "report.md"
    assert report_difference("HEAD", report).startswith("manifests not compared: kustomize: not built")
    assert not report.exists()


def test_a_folder_that_does_not_render_is_one_line(kustomize: Path, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(OntimeError, match=r"absent\.yaml") as refused:
        build(tmp_path, kustomize)
    assert "\n" not in str(refused.value)


# --- what the analysis asks, answered by Prometheus' own evaluation of its rules


def series(name: str, hash_: str, per_second: float, **labels: str) -> Manifest:
    """A counter of one pod that grows evenly, scraped every ten seconds for five minutes."""
    told = {"namespace": "here", "pod": f"{hash_}-1", "rollouts_pod_template_hash": hash_, **labels}
    text = ",".join(f'{key}="{value}"' for key, value in told.items())
    return {"series": f"{name}{{{text}}}", "values": f"0+{per_second * 10:g}x30"}


def pod_series(hash_: str, rows: tuple[float, ...], failed: float = 0.0, slow: float = 0.0) -> list[Manifest]:
    """A pod's counters: rows by bucket a second, requests a second that fail and that take 200 ms."""
    edges = [f"{edge / 10:.2f}" for edge in range(1, 11)]
    found = [series("ontime_predicted_probability_bucket", hash_, n, le=le) for le, n in zip(edges, rows, strict=True)]
    found += [
        series("ontime_requests_total", hash_, 10 - failed, protocol="v1", code="200"),
        series("ontime_requests_total", hash_, failed, protocol="v1", code="500"),
    ]
    found += [
        series("ontime_request_duration_seconds_bucket", hash_, n, protocol="v1", le=le)
        for le, n in (("0.005", 10 - slow), ("0.1", 10 - slow), ("0.25", 10), ("+Inf", 10))
    ]
    return found


def evaluate(overlay: list[Manifest], tmp_path: Path, metric: str, canary: list[Manifest]) -> str:
    """What promtool says of the metric's query: the difference from an answer that cannot be."""
    import json

    rule = one(overlay, "PrometheusRule")["spec"]
    (tmp_path / "rules.json").write_text(json.dumps(rule))
    (query,) = [
        found["provider"]["prometheus"]["query"]
        for found in one(overlay, "AnalysisTemplate")["spec"]["metrics"]
        if found["name"] == metric
    ]
    for name, value in (("namespace", "here"), ("canary", "new"), ("stable", "old")):
        query = query.replace(f"{{{{args.{name}}}}}", value)
    test = {
        "rule_files": ["rules.json"],
        "evaluation_interval": "10s",
        "tests": [
            {
                "interval": "10s",
                "input_series": [*pod_series("old", ROWS), *canary],
                "promql_expr_test": [{"expr": query, "eval_time": "5m", "exp_samples": [{"value": -1}]}],
            }
        ],
    }
    (tmp_path / "test.json").write_text(json.dumps(test))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout
    return done.stdout + done.stderr


def answers(told: str) -> list[float]:
    """The values that promtool got."""
    got = told.split("got:")[1].splitlines()[0] if "got:" in told else ""
    return [float(part.split()[-1]) for part in got.strip(' "[]').split(",") if part.strip() not in ("", "nil")]


def test_rules_alerts_and_queries_ask_only_for_metrics_that_the_service_exports(overlay: list[Manifest]) -> None:
    text = (TOP / "src" / "ontime" / "model_deployment" / "service" / "telemetry.py").read_text()
    rules = [rule for group in one(overlay, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    queries = [rule["expr"] for rule in rules]
    queries += [m["provider"]["prometheus"]["query"] for m in one(overlay, "AnalysisTemplate")["spec"]["metrics"]]
    names = {name for query in queries for name in re.findall(r"\bontime[_:][a-z0-9_:]+", query)}
    assert len(names) > 8 and len([rule for rule in rules if "alert" in rule]) == 4
    for name in names - recorded:
        assert f'"{re.sub("_(total|bucket|count)$", "", name)}"' in text, name


@pytest.mark.parametrize(
    ("metric", "canary", "low", "high"),
    [
        ("error-rate", {"rows": ROWS}, 0.0, 0.0),
        ("error-rate", {"rows": ROWS, "failed": 1.0}, 0.0999, 0.1001),
        ("latency-p95", {"rows": ROWS}, 0.0, 2.0),
        ("latency-p95", {"rows": ROWS, "slow": 9.0}, 2.5, 5.0),
        ("prediction-shift", {"rows": ROWS}, 0.0, 0.001),
        # every probability near the base rate
        ("prediction-shift", {"rows": (0, 0, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200)}, 1.0, 20.0),
    ],
)
def test_the_analysis_tells_a_good_canary_from_a_bad_one(
    rendered: dict[str, list[Manifest]], tmp_path: Path, metric: str, canary: Any, low: float, high: float
) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian and Ubuntu: apt-get install prometheus)")
    (found,) = answers(evaluate(rendered["overlays/staging"], tmp_path, metric, pod_series("new", **canary)))
    assert low <= found <= high


@pytest.mark.parametrize("metric", ["error-rate", "latency-p95", "prediction-shift"])
def test_the_analysis_has_no_answer_while_the_canary_has_little_traffic(
    rendered: dict[str, list[Manifest]], tmp_path: Path, metric: str
) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian and Ubuntu: apt-get install prometheus)")
    few = pod_series("new", tuple(n / 1000 for n in ROWS))
    for one_ in few:
        if "ontime_requests" in one_["series"] and "200" in one_["series"]:
            one_["values"] = "0+1x30"
    assert answers(evaluate(rendered["overlays/staging"], tmp_path, metric, few)) == []
