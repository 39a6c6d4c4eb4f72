"""Grafana's dashboards: they are what the code describes, and every panel says what it shows and what to do."""

import json
import re
from typing import Any

import pytest

from ontime.manifests.dashboards.command import FOLDER, all_dashboards, runbooks
from ontime.manifests.dashboards.grafana import COLUMNS
from ontime.manifests.render import Manifest
from tests.checkouts import TOP
from tests.kubernetes import one
from tests.pages import anchors

pytestmark = pytest.mark.xdist_group("manifests")
PAGE = TOP / "docs" / "monitoring.md"
DASHBOARDS = all_dashboards(runbooks(TOP))
PANELS = [
    pytest.param(panel, id=f"{name}-{panel['id']}")
    for name, content in DASHBOARDS.items()
    for panel in content["panels"]
    if panel["type"] != "row"
]


def test_the_committed_dashboards_are_what_the_code_makes() -> None:
    committed = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (TOP / FOLDER).glob("*.json")}
    assert committed == DASHBOARDS, "run `ontime dashboards`"


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_has_a_title_with_its_unit_a_description_and_a_runbook(panel: dict[str, Any]) -> None:
    assert re.fullmatch(r"[A-Z0-9].+ \([^()]+\)", panel["title"]), panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len(panel["description"]) > 20 and panel["description"].endswith(".")
    ((title, address),) = ((link["title"], link["url"]) for link in panel["links"])
    page, _, anchor = address.partition("#")
    assert title == "Runbook" and page == runbooks(TOP) and anchor in anchors(PAGE)
    assert panel["targets"] and all(target["expr"] and target["legendFormat"] for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_side_by_side(name: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        for cell in ((x + place["x"], y + place["y"]) for x in range(place["w"]) for y in range(place["h"])):
            assert cell not in taken, f"{panel['title']} and {taken[cell]}"
            taken[cell] = panel["title"]
    titles = [panel["title"] for panel in DASHBOARDS[name]["panels"]]
    assert len(set(titles)) == len(titles)


def test_the_runbooks_name_panels_that_are_there() -> None:
    titles = {param.values[0]["title"].rpartition(" (")[0] for param in PANELS}  # type: ignore[index]
    text = PAGE.read_text(encoding="utf-8")
    named = re.findall(r'"([A-Z][^"\n]+)"', text[text.index("## Runbooks") : text.index("## When to retrain")])
    assert len(named) > 5 and set(named) <= titles


def test_grafanas_sidecar_finds_each_dashboard(rendered: dict[str, list[Manifest]]) -> None:
    maps = [manifest for manifest in rendered["dashboards"] if manifest["kind"] == "ConfigMap"]
    assert {name for found in maps for name in found["data"]} == {f"{name}.json" for name in DASHBOARDS}
    values = one(rendered["argocd"], "Application", "kube-prometheus-stack")["spec"]["source"]["helm"]["valuesObject"]
    assert values["grafana"]["sidecar"]["dashboards"]["searchNamespace"] == "ALL"
    for found in maps:
        # the chart's own label and value
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert found["metadata"]["namespace"] == "monitoring"
        assert sum(map(len, found["data"].values())) < 2**20
    application = one(rendered["argocd"], "Application", "dashboards")["spec"]
    assert application["source"]["path"] == str(FOLDER)
