"""What the API server compares pods with: the pod templates of each overlay, out of reach of the model's project."""

from pathlib import Path

import pytest

from ontime.manifests.render import Manifest, build, containers, copy_sources, parse
from ontime.release.release_file import path_of, render
from tests.checkouts import TOP
from tests.kubernetes import STAGES, add_tensorflow_serving, one
from tests.releases import RELEASE

pytestmark = pytest.mark.xdist_group("manifests")
KINDS = {"Namespace", "PodTemplate", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
COMPONENT = "app.kubernetes.io/component"


def templates(admission: list[Manifest], stage: str) -> dict[str, Manifest]:
    """The pod templates of an environment, by name."""
    return {
        manifest["metadata"]["name"]: manifest
        for manifest in admission
        if manifest["kind"] == "PodTemplate" and manifest["metadata"]["namespace"] == f"ontime-{stage}-admission"
    }


@pytest.mark.parametrize("stage", STAGES)
def test_every_pod_of_an_overlay_has_its_template_and_no_other_has_one(
    rendered: dict[str, list[Manifest]], stage: str
) -> None:
    found = templates(rendered["admission"], stage)
    making = [manifest["spec"]["template"] for manifest in rendered[f"overlays/{stage}"] if containers(manifest)]
    assert {template["metadata"]["labels"][COMPONENT]: template for template in making} == {
        name: manifest["template"] for name, manifest in found.items()
    }
    for manifest in found.values():
        assert manifest["metadata"]["annotations"]["ontime.io/components"].split() == list(found)


def test_a_release_changes_the_templates_with_the_overlay(kustomize: Path, tmp_path: Path) -> None:
    top = copy_sources(TOP, tmp_path)
    (top / path_of("staging")).write_text(render(RELEASE))
    after = templates(parse(build(top / "deployment" / "kubernetes" / "admission", kustomize)), "staging")
    images = {container["image"] for one in after.values() for container in one["template"]["spec"]["containers"]}
    assert images == {f"{RELEASE.image}@{RELEASE.digest}"}
    assert after["service"]["template"]["metadata"]["annotations"]["ontime.io/git-commit"] == RELEASE.commit


def test_tensorflow_serving_has_its_template_with_the_name_of_its_configuration(
    kustomize: Path, tmp_path: Path
) -> None:
    top = copy_sources(TOP, tmp_path)
    add_tensorflow_serving(top)
    overlay = parse(build(top / "deployment" / "kubernetes" / "overlays" / "staging", kustomize))
    admission = parse(build(top / "deployment" / "kubernetes" / "admission", kustomize))
    found = templates(admission, "staging")
    assert found["tensorflow-serving"]["template"] == one(overlay, "Deployment")["spec"]["template"]
    for manifest in found.values():
        assert manifest["metadata"]["annotations"]["ontime.io/components"].split() == list(found)
    assert {manifest["kind"] for manifest in admission} == {*KINDS, "ConfigMap"}
    assert "tensorflow-serving" not in templates(admission, "production")


def test_nothing_runs_there_and_every_environment_is_bound(rendered: dict[str, list[Manifest]]) -> None:
    admission = rendered["admission"]
    assert {manifest["kind"] for manifest in admission} == KINDS
    for stage in STAGES:
        spec = one(admission, "ValidatingAdmissionPolicyBinding", f"ontime-{stage}-workloads")["spec"]
        assert spec["validationActions"] == ["Deny"] and spec["policyName"] == "ontime-workloads"
        parameters = {"namespace": f"ontime-{stage}-admission", "selector": {}, "parameterNotFoundAction": "Deny"}
        assert spec["paramRef"] == parameters
        labels = {"kubernetes.io/metadata.name": f"ontime-{stage}"}
        assert spec["matchResources"] == {"namespaceSelector": {"matchLabels": labels}}
    (chosen,) = one(admission, "ValidatingAdmissionPolicyBinding", "ontime-pods")["spec"]["matchResources"][
        "namespaceSelector"
    ]["matchExpressions"]
    assert chosen["values"] == sorted(f"ontime-{stage}" for stage in STAGES)
    for policy in (manifest for manifest in admission if manifest["kind"] == "ValidatingAdmissionPolicy"):
        assert policy["spec"]["failurePolicy"] == "Fail"


@pytest.mark.parametrize("stage", STAGES)
def test_the_project_of_a_model_reaches_neither_policy_nor_template(
    rendered: dict[str, list[Manifest]], stage: str
) -> None:
    spec = one(rendered["argocd"], "AppProject", f"model-{stage}")["spec"]
    assert [place["namespace"] for place in spec["destinations"]] == [f"ontime-{stage}"]
    admitted = {kind["kind"] for kind in [*spec["clusterResourceWhitelist"], *spec["namespaceResourceWhitelist"]]}
    assert not admitted & KINDS
    platform = one(rendered["argocd"], "AppProject", "platform")["spec"]
    admitted = {
        kind["kind"] for kind in [*platform["clusterResourceWhitelist"], *platform["namespaceResourceWhitelist"]]
    }
    assert admitted >= KINDS
