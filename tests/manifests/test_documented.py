"""Manifests in the documentation: a copy of them renders with an overlay, is valid and has no findings."""

from pathlib import Path

import pytest

from ontime.manifests.lint import lint
from ontime.manifests.render import KUBERNETES, Manifest, build, copy_sources, parse
from ontime.manifests.schemas import validate_all
from tests.checkouts import TOP
from tests.kubernetes import one
from tests.pages import HOW_TO, blocks

pytestmark = pytest.mark.xdist_group("manifests")


def documented(word: str) -> str:
    """The manifest or patch of a page that has a word."""
    (found,) = (
        text
        for page in sorted(HOW_TO.glob("*.md"))
        for language, text in blocks(page)
        if language == "yaml" and word in text
    )
    return found


def test_what_is_documented_is_valid_in_an_overlay(
    kustomize: Path, custom: dict[str, Manifest], tmp_path: Path
) -> None:
    policy, patches = documented("NetworkPolicy"), documented("volumeMounts")
    overlay = copy_sources(TOP, tmp_path) / KUBERNETES / "overlays" / "staging"
    (overlay / "policy.yaml").write_text(policy)
    kustomization = overlay / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("  - ../../base\n", "  - ../../base\n  - policy.yaml\n"))
    kustomization.write_text(kustomization.read_text() + patches)
    rendered = {"overlays/staging": parse(build(overlay, kustomize))}
    assert [*validate_all(rendered, custom), *lint(rendered)] == []
    policies = [one["metadata"]["name"] for one in rendered["overlays/staging"] if one["kind"] == "NetworkPolicy"]
    assert "traces" in policies
    pod = one(rendered["overlays/staging"], "Rollout")["spec"]["template"]["spec"]
    (volume,), (container,) = pod["volumes"], pod["containers"]
    (mount,) = container["volumeMounts"]
    assert volume["name"] == mount["name"]
    assert container["env"][0]["value"].startswith(f"{mount['mountPath']}/")
    assert container["ports"] and container["readinessProbe"]
