"""What Argo CD's projects admit: what their environments have, and nothing more."""

import copy

import pytest

from ontime.manifests.render import Manifest, parse
from tests.checkouts import TOP
from tests.kubernetes import STAGES, one

pytestmark = pytest.mark.xdist_group("manifests")
ARGO_CDS_OWN = ("AppProject", "Application", "ApplicationSet")


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


@pytest.mark.attack("removed-check")
def test_no_project_takes_an_unsigned_commit_of_this_repository(rendered: dict[str, list[Manifest]]) -> None:
    """What an unsigned commit may change must not include the check itself, so every project has it."""
    projects = [manifest for manifest in rendered["argocd"] if manifest["kind"] == "AppProject"]
    ours = one(rendered["argocd"], "Application", "bootstrap")["spec"]["source"]["repoURL"]
    assert any(ours in project["spec"]["sourceRepos"] for project in projects)
    for project in projects:
        (policy,) = project["spec"]["sourceIntegrity"]["git"]["policies"]
        assert [one["url"] for one in policy["repos"]] == [ours], project["metadata"]["name"]
        assert policy["gpg"]["mode"] == "head" and policy["gpg"]["keys"], project["metadata"]["name"]


@pytest.mark.attack("removed-check")
def test_the_project_that_is_applied_by_hand_has_the_check_before_anything_is_rendered() -> None:
    project = one(parse((TOP / "argocd" / "bootstrap.yaml").read_text()), "AppProject", "bootstrap")
    assert project["spec"]["sourceIntegrity"]["git"]["policies"][0]["gpg"]["mode"] == "head"


@pytest.mark.attack("removed-check")
def test_argo_cds_own_objects_are_reached_by_one_application_alone(rendered: dict[str, list[Manifest]]) -> None:
    projects = [manifest for manifest in rendered["argocd"] if manifest["kind"] == "AppProject"]
    reaching = [
        project["metadata"]["name"]
        for project in projects
        if any(place["namespace"] == "argocd" for place in project["spec"]["destinations"])
        or any(kind["group"] == "argoproj.io" and kind["kind"] in ARGO_CDS_OWN for kind in kinds(project))
    ]
    assert reaching == ["bootstrap"]
    within = [one for one in rendered["argocd"] if one.get("spec", {}).get("project") == "bootstrap"]
    assert [one["metadata"]["name"] for one in within] == ["bootstrap"]


def kinds(project: Manifest) -> list[Manifest]:
    """What a project admits, namespaced and not."""
    spec = project["spec"]
    found: list[Manifest] = [*spec["clusterResourceWhitelist"], *spec.get("namespaceResourceWhitelist", [])]
    return found


def test_production_rests_at_the_weekend(rendered: dict[str, list[Manifest]]) -> None:
    production = one(rendered["argocd"], "AppProject", "model-production")["spec"]
    (window,) = production["syncWindows"]
    assert (window["kind"], window["manualSync"], window["syncOverrun"]) == ("deny", True, True)
    assert window["namespaces"] == ["ontime-production"]


def test_each_application_is_in_a_project_that_admits_its_source_and_place(
    rendered: dict[str, list[Manifest]],
) -> None:
    applications = [manifest for manifest in rendered["argocd"] if manifest["kind"] == "Application"]
    ours = one(rendered["argocd"], "Application", "bootstrap")["spec"]["source"]["repoURL"]
    files = [path for path in (TOP / "argocd" / "platform").glob("*.yaml") if path.stem != "kustomization"]
    assert len(applications) == len(files) + 1
    for application in applications:
        spec = application["spec"]
        project = one(rendered["argocd"], "AppProject", spec["project"])["spec"]
        for source in spec.get("sources") or [spec["source"]]:
            assert source["repoURL"] in project["sourceRepos"], application["metadata"]["name"]
            is_ours = source["repoURL"] == ours
            assert (source["targetRevision"] == "main") == is_ours, "others' versions are pinned"
            assert is_ours or source["targetRevision"].lstrip("v").count(".") == 2
        assert any(place["namespace"] == spec["destination"]["namespace"] for place in project["destinations"])
        assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
        assert 0 < spec["syncPolicy"]["retry"]["limit"] <= 10 and spec["syncPolicy"]["retry"]["refresh"] is True
