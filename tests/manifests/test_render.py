"""What is rendered: all that is applied, each release where it belongs, and one line where it cannot be."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.manifests.render import Manifest, build, containers, copy_sources, parse
from ontime.release.release_file import path_of, render
from tests.checkouts import TOP
from tests.kubernetes import STAGES, one, pods
from tests.releases import RELEASE

pytestmark = pytest.mark.xdist_group("manifests")


def test_what_is_rendered_is_what_is_expected_to_run(rendered: dict[str, list[Manifest]]) -> None:
    assert [*rendered] == [
        "overlays/production",
        "overlays/staging",
        "namespaces",
        "admission",
        "gateway",
        "logging",
        "dashboards",
        "airflow",
        "argocd",
        "components/tensorflow-serving",
    ]
    names = {name.removeprefix("overlays/production ") for name, _ in pods(rendered) if "production" in name}
    assert names == {"Rollout ontime", "Job ontime-signature", "Job ontime-smoke-test"}


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


def test_the_repository_is_named_in_one_place(kustomize: Path, tmp_path: Path) -> None:
    top = copy_sources(TOP, tmp_path)
    before = build(top / "argocd", kustomize)
    bootstrap = top / "argocd" / "bootstrap.yaml"
    ours = parse(bootstrap.read_text())[1]["spec"]["source"]["repoURL"]
    bootstrap.write_text(bootstrap.read_text().replace(ours, "https://git.example/a.git"))
    after = build(top / "argocd", kustomize)
    assert after == before.replace(ours, "https://git.example/a.git") != before
    assert "REPOSITORY" not in after


def test_a_folder_that_does_not_render_is_one_line(kustomize: Path, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(OntimeError, match=r"absent\.yaml") as refused:
        build(tmp_path, kustomize)
    assert "\n" not in str(refused.value)
