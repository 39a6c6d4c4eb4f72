"""Turn the service's log into tables: the predictions of each model version and day as one parquet file.

In: JSON lines of the service as standard output or a container's log file has them, plain or compressed by gzip. Out:
`OUTPUT/model_version=VERSION/day=DATE/predictions.parquet`, in a folder or an object store. A line that is there
already is not added again, so the same lines may be read as often as they come.
"""

import gzip
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.model_deployment.inference.prediction_log import PredictionLine

ROWS_AT_ONCE = 200_000
FILE = "predictions.parquet"
COLUMNS = ["time", "request_id", "row", "event", "key", "model", "probability", "decision"]
"""Columns before the features, whose names begin with `FEATURE`."""
FEATURE = "feature_"
IDENTITY = ["time", "request_id", "row", "event"]
"""What no two rows of a model version have in common."""
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,63}")
TIME = re.compile(r"(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d\.\d{3}\+00:00")
CONTAINER = re.compile(rb"\S+ (?:stdout|stderr) [FP] ")
"""What a container runtime writes before each line (CRI)."""


class _Kind(msgspec.Struct):
    event: str


@click.group(name="log")
def command() -> None:
    """Use the service's log as data."""


@command.command()
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True)
@click.argument("target", metavar="OUTPUT")
def compact(sources: tuple[str, ...], target: str) -> None:
    """Add the predictions in INPUT, files or `-` for standard input, to the parquet files in OUTPUT.

    OUTPUT is a folder or an address such as s3://BUCKET/PREFIX. What is printed is JSON: how many lines were read, of
    which kind, and how many rows are missing from requests of which others are there.
    """
    click.echo(json.dumps(compacted((line for source in sources for line in _lines(source)), target)))


def compacted(lines: Iterable[bytes], target: str) -> dict[str, int]:
    """Add lines to the files of a target.

    Returns:
        Numbers of lines by kind: `predictions` (of models that answered, or of a shadow), `other` (requests and
        messages), `unreadable`, and of the predictions those `repeated`; `partitions` that changed; `missing` rows of
        requests that are there in part.
    """
    counts: Counter[str] = Counter(lines=0, predictions=0, other=0, unreadable=0, repeated=0, partitions=0, missing=0)
    waiting: dict[tuple[str, str], list[dict[str, Any]]] = {}
    changed: dict[tuple[str, str], int] = {}
    kept = 0
    for line in lines:
        counts["lines"] += 1
        found = _parsed(line)
        if isinstance(found, str):
            counts[found] += 1
            continue
        counts["predictions"] += 1
        kept += 1
        waiting.setdefault(found[0], []).append(found[1])
        if kept % ROWS_AT_ONCE == 0:
            _merge_all(waiting, target, counts, changed)
    _merge_all(waiting, target, counts, changed)
    return {**counts, "partitions": len(changed), "missing": sum(changed.values())}


def _lines(source: str) -> Iterator[bytes]:
    if source == "-":
        yield from sys.stdin.buffer
        return
    with Path(source).open("rb") as stream:
        compressed = stream.peek(2)[:2] == b"\x1f\x8b"
        try:
            yield from gzip.GzipFile(fileobj=stream) if compressed else stream
        except (OSError, EOFError) as error:
            raise OntimeError(f"{source}: not readable to its end: {error}") from None


def _parsed(line: bytes) -> tuple[tuple[str, str], dict[str, Any]] | str:
    """Partition (version, day) and row of a prediction, or what else the line is."""
    prefix = CONTAINER.match(line)
    content = line[prefix.end() :] if prefix else line
    try:
        if msgspec.json.decode(content, type=_Kind).event not in ("prediction", "shadow"):
            return "other"
        found = msgspec.json.decode(content, type=PredictionLine)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "unreadable"
    time = TIME.fullmatch(found.time)
    features = {} if found.features is msgspec.UNSET else found.features
    if time is None or VERSION.fullmatch(found.model_version) is None or not _is_flat(features):
        return "unreadable"
    row = {name: getattr(found, name) for name in COLUMNS} | {"key": None if found.key is msgspec.UNSET else found.key}
    return (found.model_version, time[1]), row | {f"{FEATURE}{name}": value for name, value in features.items()}


def _is_flat(features: Any) -> bool:
    return isinstance(features, dict) and all(
        value is None or isinstance(value, str | int | float) for value in features.values()
    )


def _merge_all(
    waiting: dict[tuple[str, str], list[dict[str, Any]]],
    target: str,
    counts: "Counter[str]",
    changed: dict[tuple[str, str], int],
) -> None:
    for (version, day), rows in sorted(waiting.items()):
        path = f"{target.rstrip('/')}/model_version={version}/day={day}/{FILE}"
        repeated, missing = _merge(path, rows)
        counts["repeated"] += repeated
        if repeated < len(rows):
            changed[version, day] = missing
    waiting.clear()


def _merge(path: str, rows: list[dict[str, Any]]) -> tuple[int, int]:
    """Add rows to a file; the number that it had already, and of rows missing from its requests."""
    import pandas as pd

    new = pd.DataFrame(rows)
    old = _read(path)
    both = pd.concat([old, new], ignore_index=True) if old is not None else new
    merged = both.drop_duplicates(IDENTITY).sort_values(IDENTITY, ignore_index=True)
    repeated = len(both) - len(merged)
    if repeated == len(rows):
        return repeated, 0
    _write(path, _typed(merged))
    by_request = merged.groupby(["time", "request_id", "event"], sort=False)["row"]
    return repeated, int((by_request.max() + 1 - by_request.size()).sum())


def _typed(rows: Any) -> Any:
    """Features in the order of their names; a number everywhere is a number, else all its values are text."""
    features = sorted(name for name in rows.columns if name.startswith(FEATURE))
    typed = rows[[*COLUMNS, *features]].copy()
    typed["key"] = typed["key"].astype("str")
    for name in features:
        values = [None if value is None or value != value else value for value in typed[name]]
        if any(isinstance(value, str) for value in values):
            typed[name] = [None if v is None else v if isinstance(v, str) else str(float(v)) for v in values]
        else:
            typed[name] = [float("nan") if value is None else float(value) for value in values]
    return typed


def _read(path: str) -> Any:
    """The rows of a file, None if there is none."""
    import fsspec
    import pandas as pd
    import pyarrow as pa

    filesystem, place = fsspec.core.url_to_fs(path)
    if not filesystem.exists(place):
        return None
    try:
        return pd.read_parquet(io.BytesIO(filesystem.cat_file(place)))
    except pa.ArrowInvalid as error:
        raise OntimeError(f"{path}: not a readable parquet file: {str(error).splitlines()[0]}") from None


def _write(path: str, rows: Any) -> None:
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd", version="2.6", store_schema=False)
    filesystem, place = fsspec.core.url_to_fs(path)
    if "file" in filesystem.protocol:
        with replacing(Path(place)) as temporary:
            temporary.write_bytes(stream.getvalue())
    else:
        filesystem.pipe_file(place, stream.getvalue())
