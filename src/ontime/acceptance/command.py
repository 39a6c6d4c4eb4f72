"""Check a deployed service from outside: golden records, protocols, errors, latency and quality; write a report.

In: the service's address, and the champion's folder that it should serve. Out: `acceptance.md` and `acceptance.json`,
and exit status 1 with the names of the checks that failed.
"""

from collections.abc import Callable
from pathlib import Path

import click

from ontime.acceptance.checks import (
    Target,
    check_errors,
    check_golden_binary,
    check_golden_v1,
    check_golden_v2,
    check_metadata,
    check_metrics,
    wait_until_ready,
)
from ontime.acceptance.client import Client
from ontime.acceptance.latency import check_latency
from ontime.acceptance.report import Report, Result
from ontime.common import paths
from ontime.common.errors import OntimeError

Check = Callable[[], str]
FIRST = "health"
"""The check without which no other is run."""


class _Address(click.ParamType[Client]):
    name = "URL"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Client:
        if isinstance(value, Client):
            return value
        try:
            return Client.of(str(value))
        except ValueError:
            self.fail(f"{value}: expected http://HOST[:PORT] or https://HOST[:PORT]", param, ctx)


POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command(name="acceptance")
@click.argument("url", type=_Address())
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    default=paths.CHAMPION,
    show_default=True,
    help="Folder of the model that should be served.",
)
@click.option("--version", help="Version that should be served (default: any).")
@click.option("--metrics", type=_Address(), help="Address of the service's metrics port, if it can be reached.")
@click.option(
    "--rate", type=POSITIVE, default=20.0, show_default=True, help="Requests per second, when latency is measured."
)
@click.option("--seconds", type=POSITIVE, default=10.0, show_default=True, help="For how long.")
@click.option("--p50", type=POSITIVE, default=20.0, show_default=True, help="Limit of the median, in milliseconds.")
@click.option("--p99", type=POSITIVE, default=100.0, show_default=True, help="Limit of the 99th percentile.")
@click.option(
    "--labelled",
    type=click.Path(path_type=Path),
    help="CSV or parquet file with the features and `target` (default: the champion's test rows).",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.001,
    show_default=True,
    help="Share by which a metric may differ from the manifest's on test.",
)
@click.option(
    "--wait", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Seconds until it is ready."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("acceptance"),
    show_default=True,
    help="Folder of the report.",
)
def command(
    url: Client,
    model: Path,
    version: str | None,
    metrics: Client | None,
    rate: float,
    seconds: float,
    p50: float,
    p99: float,
    labelled: Path | None,
    tolerance: float,
    wait: float,
    output: Path,
) -> None:
    """Check the service at URL from outside and write a report."""
    from ontime.acceptance.quality import check_quality, read_labelled

    target = Target.of(url, model, version.removeprefix("v") if version else None)
    rows = read_labelled(labelled, target)
    checks: dict[str, Check | None] = {
        FIRST: lambda: wait_until_ready(target, wait),
        "metadata": lambda: check_metadata(target),
        "golden-v1": lambda: check_golden_v1(target),
        "golden-v2": lambda: check_golden_v2(target),
        "golden-v2-binary": lambda: check_golden_binary(target),
        "errors": lambda: check_errors(target),
        "metrics": (lambda: check_metrics(target, metrics)) if metrics else None,
        "latency": lambda: check_latency(target, rate, seconds, p50, p99),
        "quality": lambda: check_quality(target, rows, tolerance),
    }
    results = run_checks(checks)
    found = str(target.figures.pop("version", "of unknown version"))
    address = f"{url.scheme}://{url.host}:{url.port}{url.path}"
    report = Report(address, target.manifest.name, found, results, target.figures)
    written = report.write(output)
    for one in results:
        click.echo(f"{one.verdict:8} {one.name}: {one.detail}")
    if report.failed:
        raise OntimeError(f"{address}: not accepted: {', '.join(report.failed)}; see {written}")
    click.echo(f"{address}: {report.model} {report.version} accepted; see {written}")


def run_checks(checks: dict[str, Check | None]) -> list[Result]:
    """The verdict on each check; all are run if the service answers, also after one that failed."""
    results: list[Result] = []
    for name, check in checks.items():
        if check is None:
            results.append(Result(name, "not run", "no address given"))
        elif results and results[0].verdict == "failed":
            results.append(Result(name, "not run", f"the service failed the check {FIRST}"))
        else:
            try:
                results.append(Result(name, "passed", check()))
            except OntimeError as error:
                results.append(Result(name, "failed", str(error)))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                # another kind of server answers with other JSON
                results.append(
                    Result(name, "failed", f"not the answer of this service: {type(error).__name__}: {error}")
                )
    return results
