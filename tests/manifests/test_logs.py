"""What of the logs can be held without a server: redaction, the queue, and that what is shown is what is stored."""

import json
import random
import re
from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml

from ontime.manifests.render import Manifest
from tests.checkouts import TOP
from tests.kubernetes import one
from tests.pages import HOW_TO
from tests.planted import INNOCENT, KINDS, planted
from tests.rehearsal.logs.collector import PARTS, WRITER, chart_values, writer_module

pytestmark = pytest.mark.xdist_group("manifests")
FOLDER = WRITER.parent
PAGE = HOW_TO / "cluster-logs.md"
AGGREGATED = ("keyword", "short", "integer", "long", "float", "boolean", "date", "date_nanos")
POLICY = {
    # https://docs.opensearch.org/latest/im-plugin/ism/policies/, of which this has a small part
    "type": "object",
    "required": ["policy"],
    "additionalProperties": False,
    "properties": {
        "policy": {
            "type": "object",
            "required": ["description", "default_state", "states", "ism_template"],
            "additionalProperties": False,
            "properties": {
                "description": {"type": "string"},
                "default_state": {"type": "string"},
                "ism_template": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["index_patterns", "priority"],
                        "additionalProperties": False,
                        "properties": {
                            "index_patterns": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                            "priority": {"type": "integer"},
                        },
                    },
                },
                "states": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name", "actions", "transitions"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"},
                            "actions": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["delete"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "delete": {"type": "object", "maxProperties": 0},
                                        "retry": {
                                            "type": "object",
                                            "required": ["count", "backoff", "delay"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "count": {"type": "integer"},
                                                "backoff": {"enum": ["exponential", "constant", "linear"]},
                                                "delay": {"type": "string", "pattern": "^[0-9]+[dhms]$"},
                                            },
                                        },
                                    },
                                },
                            },
                            "transitions": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["state_name", "conditions"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "state_name": {"type": "string"},
                                        "conditions": {
                                            "type": "object",
                                            "required": ["min_index_age"],
                                            "additionalProperties": False,
                                            "properties": {"min_index_age": {"type": "string", "pattern": "^[0-9]+d$"}},
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}


@cache
def configuration() -> dict[str, Any]:
    """The collector's configuration."""
    found: dict[str, Any] = chart_values()["alternateConfig"]
    return found


@cache
def patterns(name: str) -> list[re.Pattern[str]]:
    """Patterns of the redaction; what they use means the same in Go and, for ASCII, here."""
    return [re.compile(one, re.ASCII) for one in configuration()["processors"]["redaction"][name]]


def redacted(value: Any) -> Any:
    """What the redaction makes of a line: of text, or of JSON by its keys and values."""
    if isinstance(value, dict):
        by_key = patterns("blocked_key_patterns")
        return {k: "****" if any(one.search(k) for one in by_key) else redacted(v) for k, v in value.items()}
    if isinstance(value, list):
        return [redacted(one) for one in value]
    if isinstance(value, str):
        for pattern in patterns("blocked_values"):
            value = pattern.sub("****", value)
    return value


def parsed(line: str) -> Any:
    """A line as the collector parses it."""
    return json.loads(line) if line.startswith("{") else line


def mapped(template: dict[str, Any], path: str = "") -> dict[str, str]:
    """Type of each field by its name."""
    found: dict[str, str] = {}
    for name, field in template["properties"].items():
        if "properties" in field:
            found |= mapped(field, f"{path}{name}.")
        else:
            found[f"{path}{name}"] = field["type"]
    return found


def fields() -> dict[str, str]:
    """The fields of an index of the logs, by their names."""
    return mapped(json.loads((FOLDER / "index_template.json").read_text())["template"]["mappings"])


def saved_objects() -> list[dict[str, Any]]:
    """What is imported into OpenSearch Dashboards."""
    return [json.loads(line) for line in (FOLDER / "dashboards.ndjson").read_text().splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_of_each_kind_is_masked(kind: str) -> None:
    draw = random.Random(3)
    for _ in range(20):
        line, secret = planted(kind, draw)
        assert secret in line
        assert secret not in json.dumps(redacted(parsed(line)))


@pytest.mark.parametrize("line", INNOCENT)
def test_what_is_no_secret_stays(line: str) -> None:
    assert redacted(parsed(line)) == parsed(line)


def test_no_line_is_lost_by_the_configuration() -> None:
    collector = configuration()
    (receiver,), (exporter,) = collector["receivers"].values(), collector["exporters"].values()
    (pipeline,) = collector["service"]["pipelines"].values()
    # a batch processor would hold lines in memory that their files count as read
    assert pipeline["processors"] == ["memory_limiter", "redaction"]
    assert receiver["storage"] == exporter["sending_queue"]["storage"] == "file_storage"
    assert receiver["retry_on_failure"]["max_elapsed_time"] == exporter["retry_on_failure"]["max_elapsed_time"] == 0
    assert exporter["sending_queue"]["block_on_overflow"] and collector["extensions"]["file_storage"]["fsync"]
    assert chart_values()["command"]["extraArgs"] == ["--feature-gates=stanza.synchronousLogEmitter"]
    (mounted,) = (volume["hostPath"]["path"] for volume in chart_values()["extraVolumes"] if volume["name"] == "queue")
    assert mounted == collector["extensions"]["file_storage"]["directory"]


def test_nothing_leaves_the_node_before_it_is_redacted() -> None:
    collector = configuration()
    (pipeline,) = collector["service"]["pipelines"].values()
    assert pipeline["processors"][-1] == "redaction"
    (exporter,) = pipeline["exporters"]
    assert collector["exporters"][exporter]["logs_endpoint"] == "http://127.0.0.1:4318/v1/logs"
    (container,) = chart_values()["extraContainers"]
    assert container["command"][-1] == "4318"


def test_the_tests_collector_has_the_components_of_the_charts() -> None:
    parts = yaml.safe_load(PARTS.read_text())
    built = {
        part["gomod"].split()[0].rpartition("/")[2]
        for kind in parts.values()
        if isinstance(kind, list)
        for part in kind
    }
    collector = configuration()
    used = {
        name.split("/")[0].replace("_", "")
        for kind in ("extensions", "receivers", "exporters")
        for name in collector[kind]
    }
    used |= {name.replace("_", "") for name in collector["processors"]}
    # otlphttpexporter, healthcheckextension, filestorage
    assert {re.sub("(receiver|processor|exporter|extension)$", "", name) for name in built} == used


def test_the_charts_collector_has_the_version_of_the_tests() -> None:
    versions = set(re.findall(r"contrib/\S+ v(\S+)", PARTS.read_text()))
    assert versions == {chart_values()["image"]["tag"]}


def test_the_program_that_argo_cd_applies_is_the_one_that_is_tested(rendered: dict[str, list[Manifest]]) -> None:
    (manifest,) = rendered["logging"]
    assert (manifest["kind"], manifest["metadata"]["namespace"]) == ("ConfigMap", "logging")
    assert manifest["data"] == {WRITER.name: WRITER.read_text(encoding="utf-8")}
    volumes = {volume["name"]: volume for volume in chart_values()["extraVolumes"]}
    assert volumes["writer"]["configMap"]["name"] == manifest["metadata"]["name"]
    (container,) = chart_values()["extraContainers"]
    (mount,) = (one["mountPath"] for one in container["volumeMounts"] if one["name"] == "writer")
    assert container["command"][1] == f"{mount}/{WRITER.name}"
    application = one(rendered["argocd"], "Application", "logging")
    assert TOP / application["spec"]["source"]["path"] == FOLDER


def test_the_writers_image_is_the_base_of_the_services() -> None:
    (container,) = chart_values()["extraContainers"]
    assert f"ARG BASE={container['image']}\n" in (TOP / "deployment" / "docker" / "Dockerfile").read_text()


def test_the_template_the_policy_and_the_role_are_for_the_writers_indices(rendered: dict[str, list[Manifest]]) -> None:
    template = json.loads((FOLDER / "index_template.json").read_text())
    policy = json.loads((FOLDER / "retention.json").read_text())
    (patterns_of_policy,) = (one["index_patterns"] for one in policy["policy"]["ism_template"])
    search = one(rendered["argocd"], "Application", "opensearch")["spec"]["source"]["helm"]["valuesObject"]
    (permission,) = search["securityConfig"]["config"]["data"]["roles.yml"]["collector"]["index_permissions"]
    for patterns_of_indices in (template["index_patterns"], patterns_of_policy, permission["index_patterns"]):
        (pattern,) = patterns_of_indices
        assert writer_module().INDEX.startswith(pattern.removesuffix("*"))
    # what no mapping knows is kept and shown, and refuses no line
    assert template["template"]["mappings"]["dynamic"] is False


def test_indices_are_deleted_after_the_documented_time() -> None:
    content = json.loads((FOLDER / "retention.json").read_text())
    jsonschema.validate(content, POLICY)
    policy = content["policy"]
    states = {state["name"]: state for state in policy["states"]}
    (transition,) = states[policy["default_state"]]["transitions"]
    assert [[*action.keys() - {"retry"}] for action in states[transition["state_name"]]["actions"]] == [["delete"]]
    days = transition["conditions"]["min_index_age"].removesuffix("d")
    assert f"{days} days" in policy["description"]
    page = PAGE.read_text(encoding="utf-8")
    assert f"after {days} days" in page
    assert "`PUT /_index_template/ontime-logs`" in page and "`PUT /_plugins/_ism/policies/ontime-logs`" in page


def test_each_field_that_is_shown_is_stored_and_each_reference_leads_somewhere() -> None:
    known = fields()
    objects = {(one["type"], one["id"]): one for one in saved_objects()}
    for saved in objects.values():
        for reference in saved["references"]:
            assert (reference["type"], reference["id"]) in objects
        attributes = saved["attributes"]
        for column in attributes.get("columns", []):
            assert column in known, column
        query = json.loads(attributes.get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "{}")).get("query", {})
        for name in re.findall(r"([\w.@]+):", query.get("query", "")):
            assert name in known, name
        for aggregation in json.loads(attributes.get("visState", "{}")).get("aggs", []):
            name = aggregation["params"].get("field")
            assert name is None or known[name] in AGGREGATED, name
    assert {kind for kind, _ in objects} == {"index-pattern", "search", "visualization", "dashboard"}
