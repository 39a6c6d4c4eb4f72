"""Raw tables as parquet, one folder per table, from the pinned package or a fork's own file.

In: what `data.source` names. Out: `data/raw/<table>/<partition>.parquet`, values and columns untouched.
"""

import click

from ontime.common import paths
from ontime.common.files import replacing, write_parquet
from ontime.common.params import check, load_section
from ontime.datasets.registry import dataset_of
from ontime.datasets.schema import load_schemas
from ontime.datasets.source import Data


@click.command(name="ingest")
def command() -> None:
    """Write the raw tables as parquet."""
    data = load_section("data", Data)
    dataset = dataset_of(data.source)
    options = check(dataset.Options, data.options, "params.yaml: data.options")
    tables = dataset.read_tables(data.source, options, load_schemas(paths.SCHEMA))
    with replacing(paths.RAW) as folder:
        for table, partition, frame in tables:
            write_parquet(frame, folder / table / f"{partition}.parquet")
