"""Write the labels of the dataset's rows, by the keys that callers send to the service.

In: raw tables. Out: a parquet file with `key`, `target` (0, 1, a class's name or a number, or missing: a row that never
gets a label) and `known_at` (UTC; missing where the data does not say since when a label is known).
"""

from pathlib import Path

import click
import pandas as pd

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import partitions, write_parquet
from ontime.common.layout import KNOWN_AT, TARGET, own
from ontime.common.params import check, load_section
from ontime.datasets.keys import key_text
from ontime.datasets.registry import dataset_of
from ontime.datasets.schema import load_schemas
from ontime.datasets.source import Data

KEY = "key"


@click.command(name="labels")
@click.argument("output", metavar="OUTPUT", type=click.Path(path_type=Path, dir_okay=False))
def command(output: Path) -> None:
    """Write the key and the label of every row of the raw tables to OUTPUT, a parquet file."""
    if output.suffix != ".parquet":
        raise OntimeError(f"{output}: labels are written as parquet; name a file that ends in .parquet")
    table = label_table(load_section("data", Data), paths.RAW, paths.SCHEMA)
    write_parquet(table, output)
    click.echo(f"{output}: {len(table):,} rows, {int(table[TARGET].notna().sum()):,} with a label")


def label_table(data: Data, raw: Path, schema: Path) -> pd.DataFrame:
    """Key, target and known_at of every row of the raw tables, by partition and in its order."""
    dataset = dataset_of(data.source)
    options = check(dataset.Options, data.options, "params.yaml: data.options")
    layout = dataset.layout(options, load_schemas(schema))
    parts = [
        dataset.labels(raw, partition, options, layout) for partition in partitions(raw / dataset.PARTITIONED_TABLE)
    ]
    rows = pd.concat(parts, ignore_index=True)
    known_at = own(KNOWN_AT, layout.key)
    if known_at not in rows:
        rows[known_at] = pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us, UTC]")
    target = rows[layout.target]
    if layout.classes:
        target = target.map(dict(enumerate(layout.classes)), na_action="ignore").astype("str")
    return pd.DataFrame({KEY: key_text(rows, layout.key), TARGET: target, KNOWN_AT: rows[known_at]})
