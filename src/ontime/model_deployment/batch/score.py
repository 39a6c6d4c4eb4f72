"""Score a parquet file, or a folder of parquet partitions, with the champion.

In: tables that have the model's features as columns, and the model's folder. Out: each partition with what the model
answers, such as `probability` and `decision`, and `model_version` after its own columns. The file's key-value metadata
records the input's hash and the model, and a partition whose file has that record already is skipped: to finish an
interrupted run, run it again.
"""

import fcntl
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import partitions, replacing, sha256
from ontime.common.params import load_section
from ontime.cores import limit_threads
from ontime.engine import Engine, Files, backend_option, run_tasks
from ontime.model_deployment.batch.columns import RefusedValues, added_columns, check_columns, encode, predictions
from ontime.model_deployment.inference.champion import Champion, load_champion
from ontime.model_deployment.inference.manifest import MANIFEST, read_manifest
from ontime.model_deployment.inference.signing import Signer, verify

BATCH_ROWS = 20_000
"""Rows of the matrix at once. With a power of two, a row's features would share one set of the CPU's cache."""
WRITER = {
    "version": "2.6",
    "data_page_version": "1.0",
    "compression": "zstd",
    # a third faster than level 3 at a tenth more bytes
    "compression_level": 1,
    "store_schema": False,
}

missing_option = click.option(
    "--missing",
    type=click.Choice(["refuse", "null"]),
    default="refuse",
    show_default=True,
    help="What to do with rows that lack a value which every training row had: stop, or leave their answers empty.",
)


@click.command(name="score")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), default=paths.CHAMPION, show_default=True)
@click.option("--model-version", default="0.0.0", show_default=True, help="The value of the column model_version.")
@click.option("--public-key", type=click.Path(path_type=Path), help="Public key that must have signed the model.")
@click.option("--signature", type=click.Path(path_type=Path), help="Signature of the model; goes with --public-key.")
@missing_option
@backend_option
def command(
    source: Path,
    target: Path,
    model: Path,
    model_version: str,
    public_key: Path | None,
    signature: Path | None,
    missing: str,
    backend: str | None,
) -> None:
    """Score INPUT, a parquet file or a folder of them, and write OUTPUT, a file or a folder as well."""
    limit_threads()
    if (public_key is None) != (signature is None):
        raise click.UsageError("--public-key and --signature belong together")
    if public_key is not None and signature is not None:
        verify(model, signature, Signer(public_key))
    results = score(source, target, model, model_version, missing, backend or load_section("engine", Engine).backend)
    click.echo(f"{summary(results)}: {target}")


def summary(results: "list[PartitionResult]") -> str:
    """What a run did, in one line."""
    written = [result for result in results if result.written]
    text = f"scored {sum(result.rows for result in written):,} rows in {len(written)} of {len(results)} partitions"
    if len(written) < len(results):
        text += f", {len(results) - len(written)} were scored already"
    incomplete = sum(result.incomplete_rows for result in written)
    if incomplete:
        text += f"; {incomplete:,} rows lack a value and have no answer"
    return text


@dataclass(frozen=True)
class Job:
    """What every task of a run shares."""

    manifest_sha256: str
    model_version: str
    missing: str


@dataclass(frozen=True)
class PartitionResult:
    """One partition: its rows, how many of them have no answer, and whether this run wrote its file."""

    rows: int
    incomplete_rows: int
    written: bool


def score(
    source: Path,
    target: Path,
    model: Path,
    model_version: str = "0.0.0",
    missing: str = "refuse",
    backend: str = "loky",
) -> list[PartitionResult]:
    """Score every partition of `source` that `target` does not have yet.

    Args:
        source: a parquet file, or a folder of them; target: a file or a folder as well, made or added to.
        model: the champion's folder.
        missing: `refuse` stops at a row that lacks a value which no training row lacked; `null` leaves its
            answers empty.

    Returns:
        A result for each partition, in the order of their names.

    Raises:
        OntimeError: the model is not found or not what its manifest says; there is no partition; a column is missing,
            of the wrong type, or holds a missing or infinite value; another run writes to the same folder.
    """
    # absolute, so that a worker may have any working folder
    source, target, model = source.absolute(), target.absolute(), model.absolute()
    pairs = partition_pairs(source, target)
    read_manifest(model)
    manifest_sha256 = sha256(model / MANIFEST)
    load(model, manifest_sha256, model_version)
    job = Job(manifest_sha256, model_version, missing)
    with exclusive_lock(target if source.is_dir() else target.parent):
        tasks = [(source, target, model, read_provenance(target), job) for source, target in pairs]
        results = run_tasks(try_partition, tasks, backend, partition_files)
    errors = [result for result in results if isinstance(result, OntimeError)]
    if errors:
        more = f" (and {len(errors) - 1} more of {len(results)} partitions)" if len(errors) > 1 else ""
        raise OntimeError(f"{errors[0]}{more}")
    return results


def partition_pairs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """Each partition's file with the file that its scores are written to."""
    if not source.exists():
        raise OntimeError(f"{source}: not found")
    if source.resolve() == target.resolve():
        raise OntimeError(f"{target}: INPUT and OUTPUT are the same")
    if source.is_dir():
        if target.exists() and not target.is_dir():
            raise OntimeError(f"{target}: is a file; INPUT is a folder, so OUTPUT must be a folder too")
        return [(source / f"{name}.parquet", target / f"{name}.parquet") for name in partitions(source)]
    if target.is_dir():
        raise OntimeError(f"{target}: is a folder; INPUT is a file, so OUTPUT must be a file too")
    return [(source, target)]


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Keep other runs on this machine from writing to the folder; the lock of a killed run is released by Linux."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OntimeError(f"{folder}: another `ontime score` is writing here; wait until it has finished") from None
        yield
    finally:
        os.close(descriptor)


@functools.lru_cache(maxsize=1)
def load(folder: Path, manifest_sha256: str, version: str) -> Champion:
    """The champion, loaded once per process, on one thread: sums over trees depend on the number of threads.

    Raises:
        OntimeError: the manifest is not the one that the run began with, or the champion cannot be loaded.
    """
    if sha256(folder / MANIFEST) != manifest_sha256:
        raise OntimeError(f"{folder}: the model changed during the run; run it again")
    return load_champion(folder, version)


def partition_files(source: Path, target: Path, model: Path, *rest: Any) -> Files:
    """What the task of one partition reads and writes."""
    del rest
    return Files([source, *sorted(path for path in model.rglob("*") if path.is_file())], [target])


def try_partition(
    source: Path, target: Path, model: Path, before: dict[str, str] | None, job: Job
) -> PartitionResult | OntimeError:
    """Score one partition; an error is returned, because the other tasks would end if it were raised."""
    try:
        return score_partition(source, target, model, before, job)
    except OntimeError as error:
        return error


def score_partition(
    source: Path, target: Path, model: Path, before: dict[str, str] | None, job: Job
) -> PartitionResult:
    """Score one partition, unless its file was made of the same bytes by the same model already.

    Args:
        before: what that file records.

    Raises:
        OntimeError: the partition cannot be read, or holds a column or a value that is refused.
    """
    champion = load(model, job.manifest_sha256, job.model_version)
    with reading(source):
        # one open file: what is hashed is what is scored, even if another file takes its name meanwhile
        content = pa.memory_map(str(source)).read_buffer()
        metadata = pq.read_metadata(pa.BufferReader(content))
    provenance = {
        "ontime.input_sha256": sha256_of(content).hexdigest(),
        "ontime.manifest_sha256": job.manifest_sha256,
        "ontime.missing": job.missing,
        "ontime.model_sha256": champion.sha256,
        "ontime.model_version": job.model_version,
    }
    if before == provenance:
        return PartitionResult(metadata.num_rows, 0, written=False)
    with reading(source):
        check_columns(source, metadata.schema.to_arrow_schema(), champion.encoder, champion.answer)
        # of a category only the distinct texts and their indices are needed
        categories = list(champion.encoder.categories)
        parquet = pq.ParquetFile(pa.BufferReader(content), metadata=metadata, read_dictionary=categories)
    refused = RefusedValues(champion)
    added = added_columns(champion.encoder, champion.answer)
    schema = pa.schema([*parquet.schema_arrow, *added])
    said = [field.name for field in added if pa.types.is_floating(field.type)]
    with replacing(target) as temporary:
        with pq.ParquetWriter(temporary, schema, **WRITER, **column_options(schema, said)) as writer:
            writer.add_key_value_metadata(provenance)
            for group in range(parquet.num_row_groups):
                with reading(source):
                    table = parquet.read_row_group(group, use_threads=False)
                scored = add_predictions(table, champion, refused)
                writer.write_table(scored, row_group_size=max(1, scored.num_rows))
        if refused.refused(job.missing):
            raise OntimeError(f"{source}: {refused.reason()}")
    return PartitionResult(metadata.num_rows, refused.incomplete_rows, written=True)


def column_options(schema: pa.Schema, said: list[str]) -> dict[str, list[str]]:
    """Which columns the writer gives a dictionary and which statistics.

    Floating numbers get neither, except the statistics of what the model `said`: dictionaries cost most of the writer's
    time, and without them zstd makes a file of nearly the same size.
    """
    others = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return {"use_dictionary": others, "write_statistics": [*others, *said]}


def add_predictions(table: pa.Table, champion: Champion, refused: RefusedValues) -> pa.Table:
    """A row group with the columns that scoring adds; values that are refused are counted in `refused`."""
    batches = []
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        matrix = encode(batch, champion.encoder)
        batches.append(predictions(matrix, refused.count(matrix), champion))
    added = pa.Table.from_batches(batches, added_columns(champion.encoder, champion.answer))
    columns = [*table.columns, *added.columns]
    return pa.Table.from_arrays(columns, schema=pa.schema([*table.schema, *added.schema]))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an error of reading the file into one line that names it."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise OntimeError(f"{path}: not a readable parquet file: {str(error).splitlines()[0]}") from None


def read_provenance(path: Path) -> dict[str, str] | None:
    """What an earlier run recorded in the file that it wrote; None if there is no such file."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (pa.ArrowException, OSError):
        return None
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, value in metadata.items()}
