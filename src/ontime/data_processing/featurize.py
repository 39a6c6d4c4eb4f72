"""One feature table per partition, each computed on its own: on one machine or on a cluster, the same bytes.

In: raw tables. Out: `data/processed/features/<partition>.parquet` and `feature_layout.json`, the roles of the columns.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import partitions, replacing, write_json, write_parquet
from ontime.common.layout import Layout
from ontime.common.params import check, load_section
from ontime.datasets.registry import dataset_of
from ontime.datasets.schema import TableSchema, load_schemas
from ontime.datasets.source import Data
from ontime.engine import Engine, Files, run_tasks


@click.command(name="featurize")
def command() -> None:
    """Write what is known of each row at its cutoff."""
    data, engine = load_section("data", Data), load_section("engine", Engine)
    dataset = dataset_of(data.source)
    options = check(dataset.Options, data.options, "params.yaml: data.options")
    schemas = load_schemas(paths.SCHEMA)
    layout = dataset.layout(options, schemas)
    check_personal(layout, schemas, getattr(options, "allow_personal", []))
    with replacing(paths.FEATURES) as folder:
        folder.mkdir()
        featurize(paths.RAW, folder, data, layout, engine.backend)
    write_json(paths.FEATURE_LAYOUT, layout.as_json())


def check_personal(layout: Layout, schemas: Mapping[str, TableSchema], allowed: Collection[str]) -> None:
    """Refuse columns of features that a schema marks personal, whatever dataset made the layout.

    Raises:
        OntimeError: such a column is in the layout and is not allowed by name.
    """
    for table, schema in schemas.items():
        for name in schema.personal:
            if name in layout.columns and name not in allowed:
                raise OntimeError(
                    f"{paths.SCHEMA / table}.yaml: {name}: is marked personal, and the features of {table} use it; "
                    "leave it out of them"
                )


def featurize(raw: Path, folder: Path, data: Data, layout: Layout, backend: str) -> None:
    """Write the features of every partition of `raw` into `folder`, spread by `backend`."""
    table = dataset_of(data.source).PARTITIONED_TABLE
    names = partitions(raw / table)
    run_tasks(
        featurize_partition,
        [(raw.absolute(), name, folder.absolute() / f"{name}.parquet", data, layout) for name in names],
        backend,
        partition_files,
        "partition",
    )


def partition_files(raw: Path, partition: str, output: Path, data: Data, layout: Layout) -> Files:
    """What the task of one partition reads and writes."""
    del layout
    return Files(dataset_of(data.source).files(raw, partition), [output])


def featurize_partition(raw: Path, partition: str, output: Path, data: Data, layout: Layout) -> None:
    """Read one partition, compute its features and write them to `output`."""
    dataset = dataset_of(data.source)
    options = check(dataset.Options, data.options, "params.yaml: data.options")
    write_parquet(dataset.features(raw, partition, options, layout), output)
