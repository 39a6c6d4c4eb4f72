"""Manifests against the schemas of what runs: those here are valid, and what no schema knows is found."""

import copy
from typing import Any

import pytest

from ontime.manifests.render import Manifest
from ontime.manifests.schemas import DEFINITIONS, strict, validate, validate_all
from tests.kubernetes import one

pytestmark = pytest.mark.xdist_group("manifests")


def test_the_definitions_are_those_of_the_versions_that_run(rendered: dict[str, list[Manifest]]) -> None:
    versions = {definitions.module.rpartition("/")[2]: definitions.version for definitions in DEFINITIONS}
    rollouts = one(rendered["argocd"], "Application", "argo-rollouts")["spec"]["source"]
    assert rollouts["targetRevision"] == versions["argo-rollouts"]


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
