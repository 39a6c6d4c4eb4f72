"""Render every manifest, validate it against the schemas of the versions that the cluster runs, and lint it.

In: `deployment/kubernetes/` and `argocd/`. Out: exit status 1 with a line for each finding; or, with a base revision,
the difference of the rendered manifests as Markdown.
"""

from pathlib import Path

import click

from ontime.common.errors import OntimeError
from ontime.manifests.difference import report_difference
from ontime.manifests.lint import lint
from ontime.manifests.render import render_all
from ontime.manifests.schemas import schemas, validate_all
from ontime.manifests.tools import find_kustomize


@click.command(name="manifests")
@click.option("--base", metavar="REV", help="Only report the differences from this revision.")
@click.option(
    "--output", type=click.Path(path_type=Path), default="report", show_default=True, help="Folder of the report."
)
def command(base: str | None, output: Path) -> None:
    """Render, validate and lint every manifest."""
    if base is not None:
        click.echo(report_difference(base, output / "report.md"))
        return
    rendered = render_all(Path(), find_kustomize())
    count = sum(map(len, rendered.values()))
    findings = [*validate_all(rendered, schemas()), *lint(rendered)]
    for finding in findings:
        click.echo(finding, err=True)
    if findings:
        raise OntimeError(f"{len(findings)} findings in {count} manifests")
    click.echo(f"{count} manifests of {', '.join(rendered)}: valid, no findings")
