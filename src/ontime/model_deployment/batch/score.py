"""Score a parquet file, or a folder of parquet partitions, with the champion.

In: feature tables, or any tables that have the model's features as columns, and the model's folder. Out: each
partition with `probability`, `decision` and `model_version` behind its own columns. The file's key-value metadata
tells of which bytes and by which model it was made: a partition that is there already is left as it is, so that a run
that was interrupted is finished by running it again.
"""

import fcntl
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import get_args

import click
import pyarrow as pa
import pyarrow.parquet as pq

from ontime.common import paths
from ontime.common.environment import end_with_parent
from ontime.common.errors import OntimeError
from ontime.common.files import partitions, replacing, sha256
from ontime.common.params import load_section
from ontime.engine import Engine, run_tasks
from ontime.model_deployment.batch.columns import ADDED, RefusedValues, answer, check_columns, encode
from ontime.model_deployment.inference.champion import Champion, load_champion
from ontime.model_deployment.inference.manifest import MANIFEST, read_manifest
from ontime.model_deployment.inference.signing import Signer, verify

BATCH_ROWS = 20_000
"""At once in the matrix. A power of two would put all features of a row into one place of the processor's cache."""
WRITER = {
    "version": "2.6",
    "data_page_version": "1.0",
    "compression": "zstd",
    "compression_level": 3,
    "store_schema": False,
}
"""As `files.write_parquet` does."""


@click.command(name="score")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), default=paths.CHAMPION, show_default=True)
@click.option("--model-version", default="0.0.0", show_default=True, help="What the column model_version says.")
@click.option("--public-key", type=click.Path(path_type=Path), help="Score only if this key signed the model.")
@click.option("--signature", type=click.Path(path_type=Path), help="The signature to check by the public key.")
@click.option(
    "--missing",
    type=click.Choice(["refuse", "null"]),
    default="refuse",
    show_default=True,
    help="What to do with rows that lack a value which training always had: stop, or leave probability and decision "
    "empty.",
)
@click.option(
    "--backend",
    type=click.Choice(get_args(Engine.model_fields["backend"].annotation)),
    help="How partitions are spread.  [default: engine.backend of params.yaml]",
)
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
    """Score INPUT, a parquet file or a folder of them, to OUTPUT, likewise."""
    if (public_key is None) != (signature is None):
        raise click.UsageError("--public-key and --signature belong together")
    if public_key is not None and signature is not None:
        verify(model, signature, Signer(public_key))
    done = score(source, target, model, model_version, missing, backend or load_section("engine", Engine).backend)
    made = [part for part in done if part.made]
    told = f"scored {sum(part.rows for part in made):,} rows in {len(made)} of {len(done)} partitions"
    told += f", {len(done) - len(made)} were there already" if len(made) < len(done) else ""
    unanswered = sum(part.unanswered for part in made)
    told += f"; {unanswered:,} rows lack a value and have no probability" if unanswered else ""
    click.echo(f"{told}: {target}")


@dataclass(frozen=True)
class Job:
    """What every task of a run shares; paths are absolute, so that a worker may have any working folder.

    `driver` is the process that a worker must not outlive, 0 for one on another machine.
    """

    model: Path
    manifest_sha256: str
    model_version: str
    missing: str
    driver: int


@dataclass(frozen=True)
class Scored:
    """One partition: its rows, how many of them have no probability, and whether this run made its file."""

    rows: int
    unanswered: int
    made: bool


def score(
    source: Path,
    target: Path,
    model: Path,
    model_version: str = "0.0.0",
    missing: str = "refuse",
    backend: str = "loky",
) -> list[Scored]:
    """Score every partition of `source` that `target` does not have yet.

    Args:
        source: a parquet file, or a folder of them; target: the same kind, made or added to.
        model: folder with `manifest.json`, `model.onnx`, `vocabulary.json` and `golden.json`.
        missing: `refuse` stops at a row that lacks a value which no training row lacked; `null` leaves it unanswered.

    Returns:
        What was done, in the order of the partitions' names.

    Raises:
        OntimeError: the model is not there or not what its manifest says; no partition; a column that is absent, of
            the wrong type, or holds a missing or infinite value; another run writes to the same folder.
    """
    source, target = source.absolute(), target.absolute()
    pairs = pair(source, target)
    read_manifest(model)
    manifest_sha256 = sha256(model / MANIFEST)
    load(model.absolute(), manifest_sha256, model_version)
    job = Job(model.absolute(), manifest_sha256, model_version, missing, os.getpid() if backend != "spark" else 0)
    with only_writer(target if source.is_dir() else target.parent):
        done = run_tasks(try_partition, [(*files, job) for files in pairs], backend)
    problems = [part for part in done if isinstance(part, OntimeError)]
    if problems:
        more = f" (and {len(problems) - 1} more of {len(done)} partitions)" if len(problems) > 1 else ""
        raise OntimeError(f"{problems[0]}{more}")
    return done


def pair(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """Each partition with the file that its scores go to."""
    if not source.exists():
        raise OntimeError(f"{source}: not found")
    if source.resolve() == target.resolve():
        raise OntimeError(f"{target}: INPUT and OUTPUT are the same")
    if source.is_dir():
        if target.exists() and not target.is_dir():
            raise OntimeError(f"{target}: a file; INPUT is a folder, so OUTPUT must be one")
        return [(source / f"{name}.parquet", target / f"{name}.parquet") for name in partitions(source)]
    if target.is_dir():
        raise OntimeError(f"{target}: a folder; INPUT is a file, so OUTPUT must be one")
    return [(source, target)]


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keep other runs on this machine from writing to the folder; a run that is killed gives it free."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OntimeError(f"{folder}: another `ontime score` writes there; wait for it") from None
        yield
    finally:
        os.close(descriptor)


@functools.lru_cache(maxsize=1)
def load(folder: Path, manifest_sha256: str, version: str) -> Champion:
    """The champion, once per process, if its manifest is the one that the run began with.

    One thread, for tasks fill the cores, and sums over trees would otherwise depend on the number of threads.
    """
    if sha256(folder / MANIFEST) != manifest_sha256:
        raise OntimeError(f"{folder}: the model changed during the run; run it again")
    return load_champion(folder, version)


def try_partition(source: Path, target: Path, job: Job) -> Scored | OntimeError:
    """Score one partition; a problem is returned, for joblib would kill the tasks beside one that raises it."""
    try:
        return score_partition(source, target, job)
    except OntimeError as problem:
        return problem


def score_partition(source: Path, target: Path, job: Job) -> Scored:
    """Score one partition, unless its file is there and was made of the same bytes by the same model."""
    end_with_driver(job.driver)
    champion = load(job.model, job.manifest_sha256, job.model_version)
    with reading(source):
        # the bytes of one open file, whatever takes its name meanwhile
        content = pa.memory_map(str(source)).read_buffer()
        # distinct texts and their indices are all that is needed of a category
        parquet = pq.ParquetFile(pa.BufferReader(content), read_dictionary=list(champion.encoder.categories))
    made_of = {
        "ontime.input_sha256": sha256_of(content).hexdigest(),
        "ontime.manifest_sha256": job.manifest_sha256,
        "ontime.missing": job.missing,
        "ontime.model_sha256": champion.sha256,
        "ontime.model_version": job.model_version,
    }
    rows = parquet.metadata.num_rows
    if recorded(target) == made_of:
        return Scored(rows, 0, made=False)
    check_columns(source, parquet.schema_arrow, champion.encoder)
    refused = RefusedValues(champion)
    schema = pa.schema([*parquet.schema_arrow, *ADDED], metadata=made_of)
    with replacing(target) as temporary:
        with pq.ParquetWriter(temporary, schema, **WRITER) as writer:
            for group in range(parquet.num_row_groups):
                scored = [scored_batch(batch, champion, refused) for batch in read_batches(source, parquet, group)]
                table = pa.Table.from_batches(scored, schema)
                writer.write_table(table, row_group_size=max(1, table.num_rows))
        if refused.refused(job.missing):
            raise OntimeError(f"{source}: {refused.reason()}")
    return Scored(rows, refused.unanswered, made=True)


def scored_batch(batch: pa.RecordBatch, champion: Champion, refused: RefusedValues) -> pa.RecordBatch:
    """A batch of rows with what scoring adds; values that are not to be scored are counted in `refused`."""
    columns = encode(batch, champion.encoder)
    added = answer(columns, refused.count(columns), champion)
    schema = pa.schema([*batch.schema, *ADDED])
    return pa.RecordBatch.from_arrays([*batch.columns, *added.columns], schema=schema)


def end_with_driver(driver: int) -> None:
    """In a worker process of this machine: never write after the run that started it was killed."""
    if driver not in (0, os.getpid()):
        end_with_parent()
        if os.getppid() != driver:
            os._exit(1)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file that cannot be read, in a line."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise OntimeError(f"{path}: not a readable parquet file: {str(error).splitlines()[0]}") from None


def read_batches(path: Path, parquet: pq.ParquetFile, group: int) -> Iterator[pa.RecordBatch]:
    """A row group's rows, at most `BATCH_ROWS` at a time."""
    batches = parquet.iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False)
    while True:
        with reading(path):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def recorded(path: Path) -> dict[str, str] | None:
    """What an earlier run noted in the file that it made; None if there is no such file."""
    try:
        notes = pq.read_metadata(path).metadata or {}
    except (pa.ArrowException, OSError):
        return None
    return {name.decode(): value.decode() for name, value in notes.items()}
