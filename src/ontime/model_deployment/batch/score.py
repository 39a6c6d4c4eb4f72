"""Score a parquet file, or a folder of parquet partitions, with the champion.

In: feature tables, or any tables that have the model's features as columns, and the model's folder. Out: each
partition with `probability`, `decision` and `model_version` behind its own columns. The file's key-value metadata
tells of which bytes and by which model it was made: a partition that is there already is left as it is, so that a run
that was interrupted is finished by running it again.
"""

import fcntl
import functools
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ontime.common import paths
from ontime.common.environment import end_with_parent
from ontime.common.errors import OntimeError
from ontime.common.files import partitions, read_json, replacing, sha256
from ontime.common.params import load_section
from ontime.encoder import MISSING, UNKNOWN, Encoder
from ontime.engine import Engine, run_tasks
from ontime.model_deployment.batch.parquet_columns import append_columns
from ontime.model_deployment.inference.champion import Matrix, Model, open_session, replay
from ontime.model_deployment.inference.signing import verify

BATCH_ROWS = 20_000
"""At once in the matrix. A power of two would put all features of a row into one place of the processor's cache."""
ADDED = pa.schema(
    {"probability": pa.float32(), "decision": pa.bool_(), "model_version": pa.dictionary(pa.int32(), pa.string())}
)
WRITER = {
    "version": "2.6",
    "data_page_version": "1.0",
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": ["model_version"],
    "store_schema": False,
}
"""As `files.write_parquet` does; probabilities hardly repeat."""
VERIFIED_FILES = ("model.onnx", "vocabulary.json", "golden.json")


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
        verify(model, signature, public_key)
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
    manifest_sha256 = sha256(model / "manifest.json") if (model / "manifest.json").is_file() else ""
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
def load(folder: Path, manifest_sha256: str, version: str) -> Model:
    """The model, once per process: the bytes that its manifest names, its golden records replayed.

    One thread, for tasks fill the cores, and sums of trees would otherwise depend on the number of threads.
    """
    manifest = read_json(folder / "manifest.json")
    if sha256(folder / "manifest.json") != manifest_sha256:
        raise OntimeError(f"{folder}: the model changed during the run; run it again")
    for name in VERIFIED_FILES:
        if not (folder / name).is_file() or sha256(folder / name) != manifest["files"][name]["sha256"]:
            raise OntimeError(f"{folder / name}: not what manifest.json says; run `dvc repro` (or `dvc pull`) first")
    model = Model(
        name=manifest["name"],
        version=version,
        git_commit="unknown",
        digest=manifest["files"]["model.onnx"]["sha256"],
        manifest=manifest,
        encoder=Encoder.from_vocabulary(read_json(folder / "vocabulary.json")),
        threshold=manifest["threshold"],
        may_be_missing=np.array([feature["may_be_missing"] for feature in manifest["features"]]),
        session=open_session(folder / "model.onnx", threads=1),
    )
    replay(model, folder)
    return model


def try_partition(source: Path, target: Path, job: Job) -> Scored | OntimeError:
    """Score one partition; a problem is returned, for joblib would kill the tasks beside one that raises it."""
    try:
        return score_partition(source, target, job)
    except OntimeError as problem:
        return problem


def score_partition(source: Path, target: Path, job: Job) -> Scored:
    """Score one partition, unless its file is there and was made of the same bytes by the same model."""
    end_with_driver(job.driver)
    model = load(job.model, job.manifest_sha256, job.model_version)
    with reading(source):
        # the bytes of one open file, whatever takes its name meanwhile
        content = pa.memory_map(str(source)).read_buffer()
        metadata = pq.read_metadata(pa.BufferReader(content))
    made_of = {
        "ontime.input_sha256": sha256_of(content).hexdigest(),
        "ontime.manifest_sha256": job.manifest_sha256,
        "ontime.missing": job.missing,
        "ontime.model_sha256": model.digest,
        "ontime.model_version": job.model_version,
    }
    if recorded(target) == made_of:
        return Scored(metadata.num_rows, 0, made=False)
    check_columns(source, metadata.schema.to_arrow_schema(), model.encoder)
    # distinct texts and their places are all that is needed of a category
    categories = list(model.encoder.categories)
    parquet = pq.ParquetFile(pa.BufferReader(content), metadata=metadata, read_dictionary=categories)
    scores, unanswered = score_rows(source, parquet, model, job.missing)
    with replacing(target) as temporary, temporary.open("wb") as stream:
        stream.writelines(append_columns(memoryview(content), memoryview(scores), made_of))
    return Scored(metadata.num_rows, unanswered, made=True)


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


def read_batches(path: Path, parquet: Any, group: int, features: list[str]) -> Iterator[pa.RecordBatch]:
    """The features of a row group's rows, at most `BATCH_ROWS` at a time."""
    batches = parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=features, use_threads=False)
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


def check_columns(path: Path, schema: pa.Schema, encoder: Encoder) -> None:
    """Stop unless the table has every feature once and of its type, and none of the columns that scoring adds."""
    found = Counter(schema.names)
    absent = [name for name in encoder.features if name not in found]
    if absent:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        raise OntimeError(f"{path}: no column {', '.join(absent[:5])}{more}; the model needs it")
    for name, count in found.items():
        if name in ADDED.names:
            raise OntimeError(f"{path}: column {name} is there already; rename it")
        if count > 1:
            raise OntimeError(f"{path}: column {name} is there {count} times")
    for name in encoder.features:
        kind = schema.field(name).type
        fits, wanted = (is_number(kind), "numbers") if name in encoder.numbers else (is_text(kind), "text")
        if not fits and not pa.types.is_null(kind):
            raise OntimeError(f"{path}: column {name}: expected {wanted}, found {kind}")


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type can be a number feature."""
    types = pa.types
    return any((types.is_integer(kind), types.is_floating(kind), types.is_boolean(kind), types.is_decimal(kind)))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any((pa.types.is_string(kind), pa.types.is_large_string(kind), pa.types.is_string_view(kind)))


def score_rows(source: Path, parquet: Any, model: Model, missing: str) -> tuple[pa.Buffer, int]:
    """A parquet file in memory with what scoring adds to each row group, and how many rows have no probability."""
    seen = Seen(model)
    scores = pa.BufferOutputStream()
    with pq.ParquetWriter(scores, ADDED, **WRITER) as writer:
        for group in range(parquet.num_row_groups):
            answers = []
            for batch in read_batches(source, parquet, group, model.encoder.features):
                columns = encode(batch, model.encoder)
                incomplete = seen.look(columns)
                if not seen.refused(missing):
                    answers.append(answer(columns, incomplete, model))
            table = pa.Table.from_batches(answers, ADDED)
            writer.write_table(table, row_group_size=max(1, table.num_rows))
    if seen.refused(missing):
        raise OntimeError(f"{source}: {seen.reason()}")
    return scores.getvalue(), seen.unanswered


class Seen:
    """Values of a partition that the service would refuse, counted by feature over its batches."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.infinite: Counter[str] = Counter()
        self.lacking: Counter[str] = Counter()
        self.unanswered = 0

    def look(self, columns: Matrix) -> npt.NDArray[np.bool_]:
        """Rows (rows,) of encoded columns (features, rows) that lack a value which no training row lacked."""
        incomplete = np.zeros(columns.shape[1], dtype=np.bool_)
        for place, (name, values) in enumerate(zip(self.model.encoder.features, columns, strict=True)):
            if place >= self.model.numbers:
                missing = values == MISSING
            elif np.isfinite(values).all():
                continue
            else:
                missing = np.isnan(values)
                self.infinite[name] += int(np.isinf(values).sum())
            if not self.model.may_be_missing[place]:
                self.lacking[name] += int(missing.sum())
                incomplete |= missing
        self.unanswered += int(incomplete.sum())
        return incomplete

    def refused(self, missing: str) -> bool:
        """Whether the partition is not to be scored."""
        return self.infinite.total() > 0 or (missing == "refuse" and self.unanswered > 0)

    def reason(self) -> str:
        """Columns and counts in one line."""
        if self.infinite.total():
            told = ", ".join(f"{name} in {count:,} rows" for name, count in self.infinite.items() if count)
            return f"values that are no finite float32 numbers: {told}"
        told = ", ".join(f"{name} in {count:,} rows" for name, count in self.lacking.items() if count)
        return (
            f"missing values where training had none: {told}; "
            "fill them in, or leave these rows without a probability by --missing null"
        )


def encode(batch: pa.RecordBatch, encoder: Encoder) -> Matrix:
    """What `Encoder.transform` makes of the batch's columns, transposed, by Arrow's arrays instead of Python's lists.

    Returns:
        float32 (features, rows): a column at a time is faster to fill and to check.
    """
    columns = np.empty((len(encoder.features), batch.num_rows), dtype=np.float32)
    with np.errstate(over="ignore"):
        for place, name in enumerate(encoder.numbers):
            columns[place] = number_values(batch.column(name))
    for place, (name, codes) in enumerate(
        zip(encoder.categories, encoder.codes, strict=True), start=len(encoder.numbers)
    ):
        columns[place] = category_codes(batch.column(name), codes)
    return columns


def number_values(column: pa.Array) -> npt.NDArray[Any]:
    """A column's numbers, NaN where missing: as they are if float32, else float64."""
    if not pa.types.is_float32(column.type):
        column = column.cast(pa.float64(), safe=False)
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def category_codes(column: pa.Array, codes: dict[str, int]) -> npt.NDArray[np.float32]:
    """A column's codes, looked up once per distinct value."""
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    found = [codes.get(value, UNKNOWN) for value in column.dictionary.to_pylist()]
    indices = column.indices.cast(pa.int64()).fill_null(len(found)).to_numpy()
    by_place: npt.NDArray[np.float32] = np.array([*found, MISSING], dtype=np.float32)[indices]
    return by_place


def answer(columns: Matrix, incomplete: npt.NDArray[np.bool_], model: Model) -> pa.RecordBatch:
    """What scoring adds to a batch; no probability and no decision where `incomplete`."""
    probability = model.probability(np.ascontiguousarray(columns.T))
    version = pa.DictionaryArray.from_arrays(np.zeros(len(probability), dtype=np.int32), [model.version])
    values = [pa.array(probability, mask=incomplete), pa.array(model.decide(probability), mask=incomplete), version]
    return pa.RecordBatch.from_arrays(values, schema=ADDED)
