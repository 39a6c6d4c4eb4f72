"""Who gets to production: the gateway alone, which asks for a certificate and reads its keys where no model can."""

import re

import pytest

from ontime.manifests.render import Manifest, containers
from ontime.model_deployment.service.settings import PREFIX, Settings
from tests.kubernetes import STAGES, one, pods

pytestmark = pytest.mark.xdist_group("manifests")
SPACE = "kubernetes.io/metadata.name"


@pytest.mark.attack("client")
def test_no_pod_but_the_gateways_and_the_smoke_test_reaches_production(rendered: dict[str, list[Manifest]]) -> None:
    production = rendered["overlays/production"]
    labels = one(production, "Rollout")["spec"]["template"]["metadata"]["labels"]
    let_in = []
    for policy in (found["spec"] for found in production if found["kind"] == "NetworkPolicy"):
        if policy["podSelector"].get("matchLabels", {}).items() <= labels.items():
            let_in += [(rule.get("from"), rule.get("ports")) for rule in policy.get("ingress", ())]
    (clients, http), (monitoring, metrics) = let_in
    assert (http, metrics) == ([{"port": "http"}], [{"port": "metrics"}])
    smoke, gateway = clients
    # the API server's own label of a namespace, which nobody else sets
    assert gateway == {
        "namespaceSelector": {"matchLabels": {SPACE: "ontime-gateway"}},
        "podSelector": {"matchLabels": one(rendered["gateway"], "Deployment")["spec"]["selector"]["matchLabels"]},
    }
    job = one(production, "Job", "ontime-smoke-test")["spec"]["template"]["metadata"]["labels"]
    assert smoke.keys() == {"podSelector"} and smoke["podSelector"]["matchLabels"].items() <= job.items()
    assert monitoring == [{"namespaceSelector": {"matchLabels": {SPACE: "monitoring"}}}]
    assert not [found for found in production if found["kind"] in ("Gateway", "HTTPRoute", "Ingress")]
    services = [found["spec"] for found in production if found["kind"] == "Service"]
    assert {service.get("type", "ClusterIP") for service in services} == {"ClusterIP"}


def test_the_gateway_reaches_the_service_that_it_asks(rendered: dict[str, list[Manifest]]) -> None:
    gateway, production = rendered["gateway"], rendered["overlays/production"]
    (configuration,) = (found["data"] for found in gateway if found["kind"] == "ConfigMap")
    (name, namespace, port) = re.findall(r"^\s+server ([\w-]+)\.([\w-]+):(\d+);$", configuration["nginx.conf"], re.M)[0]
    service = one(production, "Service", name)
    assert (service["metadata"]["namespace"], service["spec"]["ports"][0]["port"]) == (namespace, int(port))
    rule = one(gateway, "NetworkPolicy", "gateway")["spec"]["egress"][0]
    assert rule["to"][0]["namespaceSelector"]["matchLabels"] == {SPACE: namespace}
    assert rule["to"][0]["podSelector"]["matchLabels"] == service["spec"]["selector"]
    (container,) = containers(one(gateway, "Deployment"))
    (listens,) = re.findall(r"^\s+listen (\d+) ssl;$", configuration["nginx.conf"], re.M)
    assert [port["containerPort"] for port in container["ports"]] == [int(listens)]
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    for path in re.findall(r"/etc/gateway/\w+", " ".join([configuration["nginx.conf"], *container["command"]])):
        assert path in mounted


def test_no_client_is_listed_before_somebody_lists_one(rendered: dict[str, list[Manifest]]) -> None:
    (configuration,) = (found["data"] for found in rendered["gateway"] if found["kind"] == "ConfigMap")
    lines = configuration["clients.map"].splitlines()
    assert lines and all(line.startswith("#") for line in lines)


def test_secrets_are_mounted_by_the_gateway_alone(rendered: dict[str, list[Manifest]]) -> None:
    for where, manifest in pods(rendered):
        assert ("secret" in str(manifest["spec"]["template"]["spec"]).lower()) == where.startswith("gateway "), where


@pytest.mark.parametrize("stage", STAGES)
def test_production_has_no_page_and_every_variable_is_a_setting(
    rendered: dict[str, list[Manifest]], stage: str
) -> None:
    given = {
        variable["name"]: variable["value"]
        for manifest in rendered[f"overlays/{stage}"]
        for container in containers(manifest)
        for variable in container.get("env", ())
    }
    assert given == ({f"{PREFIX}PAGE": "false"} if stage == "production" else {})
    assert {name.removeprefix(PREFIX).lower() for name in given} <= set(Settings.model_fields)
