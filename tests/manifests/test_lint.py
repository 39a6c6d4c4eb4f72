"""Checkov has nothing to say of what is here, and looks into a Rollout."""

import copy

import pytest

from ontime.manifests.lint import known_to_linters, lint
from ontime.manifests.render import Manifest
from tests.checkouts import TOP
from tests.kubernetes import one

pytestmark = pytest.mark.xdist_group("manifests")


@pytest.mark.integration
def test_the_linter_passes_what_is_there_and_finds_what_a_rollout_does_wrong(
    rendered: dict[str, list[Manifest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(TOP)
    broken = copy.deepcopy(one(rendered["overlays/staging"], "Rollout"))
    del broken["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    # in one call: Checkov takes longer to start than to look
    found = list(lint({**rendered, "broken": [broken]}))
    assert [finding for finding in found if not finding.startswith("broken/")] == []
    assert any("CKV_K8S_20" in finding for finding in found)


def test_a_linter_sees_the_pods_of_a_rollout(overlay: list[Manifest]) -> None:
    rollout = one(overlay, "Rollout")
    shown = known_to_linters(rollout)
    assert (shown["apiVersion"], shown["kind"]) == ("apps/v1", "Deployment")
    assert shown["spec"]["template"] == rollout["spec"]["template"] and "strategy" not in shown["spec"]
