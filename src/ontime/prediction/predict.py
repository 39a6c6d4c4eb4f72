"""Predict raw rows whose outcome is not known yet: the features of the graph, then the champion.

In: raw tables, such as a day's flights and weather so far, as files or in the form of `data/raw`; a table that is not
given is taken from `data/raw`. Out: a row for each row of the input, with its key and what the model says, as CSV or
parquet; or, as JSON, the rows' features as the body of a request to a service.
"""

import json
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import column_names, partitions, read_parquet, replacing, write_parquet, write_text
from ontime.common.layout import Layout, own
from ontime.common.params import check, load_section
from ontime.cores import limit_threads
from ontime.data_processing.featurize import check_personal
from ontime.data_processing.split import moment
from ontime.data_processing.validate import violations
from ontime.datasets.keys import key_text
from ontime.datasets.registry import dataset_of
from ontime.datasets.schema import TableSchema, load_schemas
from ontime.datasets.source import Data
from ontime.model_deployment.batch.score import missing_option, score, summary

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".parquet", ".json")


def _time(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    del context, parameter
    try:
        return None if value is None else moment(value)
    except ValueError:
        raise click.BadParameter(f"{value}: expected a time such as 2013-12-31T10:00Z") from None


@click.command(name="predict")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option("--from", "begin", callback=_time, metavar="TIME", help="Only rows from this time on; ISO 8601, UTC.")
@click.option("--until", "end", callback=_time, metavar="TIME", help="Only rows before this time.")
@click.option("--model", type=click.Path(path_type=Path), default=paths.CHAMPION, show_default=True)
@click.option("--model-version", default="0.0.0", show_default=True, help="The value of the column model_version.")
@missing_option
def command(
    source: Path,
    target: Path,
    begin: datetime | None,
    end: datetime | None,
    model: Path,
    model_version: str,
    missing: str,
) -> None:
    """Compute the features of the raw rows in INPUT, and write what the model says to OUTPUT.

    OUTPUT is a .csv or .parquet file. A .json file gets no answers, but the body of a request to `ontime serve`.
    """
    limit_threads()
    if target.suffix not in ENDINGS:
        raise click.UsageError(
            f"OUTPUT: {target}: expected a name that ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        )
    with tempfile.TemporaryDirectory(prefix="ontime-predict-") as temporary:
        folder = Path(temporary)
        rows, layout = features_of(source, folder / "raw", begin, end)
        if target.suffix == ".json":
            write_text(target, json.dumps(body_of(rows, layout)) + "\n")
            click.echo(f"{len(rows):,} rows as the body of a request: {target}")
            return
        features, scored = folder / "features.parquet", folder / "scored.parquet"
        write_parquet(rows[layout.features], features)
        result = score(features, scored, model, model_version, missing, "sequential")
        write(answers_of(rows, layout, scored), target)
        click.echo(f"{summary(result)}: {target}")


def answers_of(rows: "pd.DataFrame", layout: Layout, scored: Path) -> "pd.DataFrame":
    """Key and time of each row, and what the model says of it; `scored` has the rows' features as well."""
    names = [name for name in column_names(scored) if name not in layout.features]
    carried = list(dict.fromkeys([*layout.key, *([layout.time] if layout.time else [])]))
    added = read_parquet(scored, names)
    return rows[carried].assign(**{own(name, carried): added[name] for name in names})


def write(answers: "pd.DataFrame", target: Path) -> None:
    """Write a table of answers as parquet, or as CSV with times as the log's keys have them."""
    import pandas as pd

    if target.suffix == ".parquet":
        write_parquet(answers, target)
        return
    times = [str(name) for name in answers if pd.api.types.is_datetime64_any_dtype(answers[name])]
    with replacing(target) as unfinished:
        answers.assign(**{name: key_text(answers, [name]) for name in times}).to_csv(unfinished, index=False)


def features_of(
    source: Path, raw: Path, begin: datetime | None = None, end: datetime | None = None
) -> "tuple[pd.DataFrame, Layout]":
    """What the graph computes of raw rows, without their target.

    Args:
        source: the raw tables; raw: a folder to write them to, in the form of `data/raw`.
        begin, end: the rows from one time on and before the other, in UTC; the others are history.

    Returns:
        Key, time and features of each row, in the order of the graph's features; the roles of the columns.

    Raises:
        OntimeError: no such file or folder, no rows, or values that `data/schema` refuses.
    """
    import pandas as pd

    if not source.exists():
        raise OntimeError(f"{source}: not found")
    data = load_section("data", Data)
    dataset = dataset_of(data.source)
    options = check(dataset.Options, data.options, "params.yaml: data.options")
    schemas = load_schemas(paths.SCHEMA)
    layout = dataset.layout(options, schemas)
    check_personal(layout, schemas, getattr(options, "allow_personal", []))
    if (begin or end) and layout.time is None:
        raise OntimeError("--from and --until: these rows have no time; leave the options out")
    frames: dict[str, dict[str, pd.DataFrame]] = {}
    for table, partition, frame in dataset.new_tables(source, options, schemas):
        frames.setdefault(table, {})[partition] = frame
    if dataset.PARTITIONED_TABLE not in frames:
        raise OntimeError(f"{source}: no table {dataset.PARTITIONED_TABLE} there, as a .csv or .parquet file")
    problems = [
        f"{source}: {table}.{problem}"
        for table, parts in frames.items()
        for problem in violations(parts, without_outcome(schemas[table], parts, options))
    ]
    if problems:
        raise OntimeError("\nerror: ".join(problems))
    for table in schemas:
        if table not in frames:
            (raw / table).parent.mkdir(parents=True, exist_ok=True)
            (raw / table).symlink_to((paths.RAW / table).absolute())
        for partition, frame in frames.get(table, {}).items():
            write_parquet(frame, raw / table / f"{partition}.parquet")
    rows = pd.concat(list(_asked(dataset, raw, options, layout, begin, end)), ignore_index=True)
    if rows.empty:
        raise OntimeError(f"{source}: no rows in that time")
    return rows, layout


def without_outcome(schema: TableSchema, parts: "dict[str, pd.DataFrame]", options: Any) -> TableSchema:
    """The schema that new rows must satisfy: without the target and the weight, if they lack them."""
    outcome = {getattr(options, role, None) for role in ("target", "weight")}
    present = {name for part in parts.values() for name in part}
    kept = [column for column in schema.fields if column.name not in outcome or column.name in present]
    return schema.model_copy(update={"fields": kept})


def _asked(
    dataset: Any, raw: Path, options: Any, layout: Layout, begin: datetime | None, end: datetime | None
) -> "Iterator[pd.DataFrame]":
    import pandas as pd

    for partition in partitions(raw / dataset.PARTITIONED_TABLE):
        rows = dataset.inputs(raw, partition, options, layout)
        chosen = pd.Series(True, index=rows.index)
        if begin:
            chosen &= rows[layout.time] >= pd.Timestamp(begin)
        if end:
            chosen &= rows[layout.time] < pd.Timestamp(end)
        yield rows[chosen]


def body_of(rows: "pd.DataFrame", layout: Layout) -> dict[str, Any]:
    """The body of a request to the service in TensorFlow Serving's form, each row with its key for the log."""
    keys = key_text(rows, layout.key)
    records: list[dict[str, Any]] = [{} for _ in range(len(rows))]
    for name in layout.features:
        is_number = name in layout.numbers
        for record, value in zip(records, rows[name].to_numpy(), strict=True):
            # the shortest decimal number that is the same in 32 bits
            record[name] = None if value != value or value is None else float(str(value)) if is_number else value
    return {"instances": records, "keys": keys.tolist()}
