"""Write Grafana's dashboards, which Argo CD applies, from the panels that are described here.

In: the repository's address in `argocd/bootstrap.yaml`, for the links to runbooks. Out:
`deployment/kubernetes/dashboards/*.json`.
"""

from pathlib import Path
from typing import Any

import click

from ontime.common.files import write_json
from ontime.manifests.dashboards import business, model, operations
from ontime.manifests.dashboards.grafana import dashboard, namespace, text_box
from ontime.manifests.render import ARGO_CD, KUBERNETES, parse

FOLDER = KUBERNETES / "dashboards"


@click.command(name="dashboards")
def command() -> None:
    """Write the dashboards."""
    for name, content in all_dashboards(runbooks(Path())).items():
        write_json(FOLDER / f"{name}.json", content)


def runbooks(top: Path) -> str:
    """Address of the page with the runbooks."""
    _, bootstrap = parse((top / ARGO_CD / "bootstrap.yaml").read_text(encoding="utf-8"))
    source = bootstrap["spec"]["source"]
    return f"{source['repoURL'].removesuffix('.git')}/blob/{source['targetRevision']}/docs/monitoring.md"


def all_dashboards(runbooks: str) -> dict[str, dict[str, Any]]:
    """The content of each dashboard by its name."""
    return {
        "operations": dashboard(
            "ontime-operations",
            "Operations",
            "What the service answers, how fast, and a canary beside the stable version.",
            operations.ROWS,
            runbooks,
            [namespace()],
            "now-3h",
        ),
        "model": dashboard(
            "ontime-model",
            "Model",
            "What the model is asked, whether its answers can be repeated, and what became of them.",
            model.ROWS,
            runbooks,
            [],
            "now-60d",
        ),
        "business": dashboard(
            "ontime-business",
            "Business",
            "Warnings and their cost.",
            business.ROWS,
            runbooks,
            [text_box("unit_price", "Price of a unit of cost", "100")],
            "now-60d",
        ),
    }
