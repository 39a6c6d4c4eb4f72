"""Turn the service's log into tables: the predictions of each model version and day as one parquet file.

In: JSON lines of the service as standard output or a container's log file has them, plain or compressed by gzip. Out:
`OUTPUT/model_version=VERSION/day=DATE/predictions.parquet`, in a folder or an object store. A line that is there
already is not added again, so the same lines may be read as often as they come. Its day is that of its own time,
whatever the clock says here, so that the bytes follow from the lines alone.
"""

import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.prediction_log import LINES_LOST, PredictionLine
from ontime.monitoring import prune
from ontime.monitoring.log_files import FEATURE, IDENTITY, VERSION, LogTable, file_name, parquet_of
from ontime.monitoring.store import Store

ROWS_AT_ONCE = 200_000
ANSWERS = ["probability", "decision", "prediction"]
"""Columns of which a file has those that its model answers."""
COLUMNS = ["time", "request_id", "row", "event", "key", "model", *ANSWERS, "features"]
"""Columns before the features, whose names begin with `FEATURE`; `features` is how many of them the line had."""
KNOWN_VERSION = re.compile(VERSION)
TIME = re.compile(r"(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d\.\d{3}\+00:00")
CONTAINER = re.compile(rb"\S+ (?:stdout|stderr) [FP] ")
"""What a container runtime writes before each line (CRI)."""


class _Kind(msgspec.Struct):
    event: str
    lines: Any = 0

    @property
    def lost(self) -> int:
        """Lines that the service tells of as lost."""
        return self.lines if self.event == LINES_LOST and isinstance(self.lines, int) and self.lines > 0 else 0


@click.group(name="log")
def command() -> None:
    """Use the service's log as data."""


command.add_command(prune.command)


@command.command()
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True)
@click.argument("target", metavar="OUTPUT")
def compact(sources: tuple[str, ...], target: str) -> None:
    """Add the predictions in INPUT, files or `-` for standard input, to the parquet files in OUTPUT.

    OUTPUT is a folder or an address such as s3://BUCKET/PREFIX. What is printed is JSON: how many lines were read, of
    which kind, how many the service says that it lost, and how many rows are missing from requests of which others are
    there.
    """
    click.echo(json.dumps(compacted((line for source in sources for line in _lines(source)), target)))


def compacted(lines: Iterable[bytes], target: str) -> dict[str, int]:
    """Add lines to the files of a target.

    Returns:
        Numbers of lines by kind: `predictions` (of models that answered, or of a shadow), `other` (requests and
        messages), `unreadable`, and of the predictions those `repeated` and those `ahead` of the clock here; `lost`
        lines that the service tells of; `partitions` that changed; `missing` rows of requests that are there in part.
    """
    kinds = ("lines", "predictions", "other", "unreadable", "repeated", "ahead", "lost")
    counts: Counter[str] = Counter(dict.fromkeys(kinds, 0))
    waiting: dict[tuple[str, str], list[dict[str, Any]]] = {}
    changed: dict[tuple[str, str], int] = {}
    store, now = Store(target), datetime.now(UTC).isoformat(timespec="milliseconds")
    for line in lines:
        counts["lines"] += 1
        found = _parsed(line)
        if isinstance(found, _Kind):
            counts["other"] += 1
            counts["lost"] += found.lost
            continue
        if found is None:
            counts["unreadable"] += 1
            continue
        counts["predictions"] += 1
        counts["ahead"] += found[1]["time"] > now
        waiting.setdefault(found[0], []).append(found[1])
        if counts["predictions"] % ROWS_AT_ONCE == 0:
            _merge_all(waiting, store, counts, changed)
    _merge_all(waiting, store, counts, changed)
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


def _parsed(line: bytes) -> tuple[tuple[str, str], dict[str, Any]] | _Kind | None:
    """Partition (version, day) and row of a prediction, or what else the line is; None if it cannot be read."""
    prefix = CONTAINER.match(line)
    content = line[prefix.end() :] if prefix else line
    try:
        kind = msgspec.json.decode(content, type=_Kind)
        if kind.event not in ("prediction", "shadow"):
            return kind
        found = msgspec.json.decode(content, type=PredictionLine)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    time = TIME.fullmatch(found.time)
    features = {} if found.features is msgspec.UNSET else found.features
    if time is None or KNOWN_VERSION.fullmatch(found.model_version) is None or not _is_flat(features):
        return None
    row = {name: value for name in COLUMNS if (value := getattr(found, name)) is not msgspec.UNSET}
    row |= {"key": None if found.key is msgspec.UNSET else found.key, "features": len(features)}
    if not any(name in row for name in ANSWERS):
        return None
    return (found.model_version, time[1]), row | {f"{FEATURE}{name}": value for name, value in features.items()}


def _is_flat(features: Any) -> bool:
    return isinstance(features, dict) and all(
        value is None or isinstance(value, str | int | float) for value in features.values()
    )


def _merge_all(
    waiting: dict[tuple[str, str], list[dict[str, Any]]],
    store: Store,
    counts: "Counter[str]",
    changed: dict[tuple[str, str], int],
) -> None:
    for partition, rows in sorted(waiting.items()):
        repeated, missing = _merge(store, file_name(*partition), rows)
        counts["repeated"] += repeated
        if repeated < len(rows):
            changed[partition] = missing
    waiting.clear()


def _merge(store: Store, name: str, rows: list[dict[str, Any]]) -> tuple[int, int]:
    """Add rows to a file; the number that it had already, and of rows missing from its requests."""
    import pandas as pd
    import pyarrow as pa

    old = store.open(name)
    known = [] if old is None else list(LogTable(f"{store.address}/{name}", old).batches())
    both = pd.concat([*known, pd.DataFrame(rows)], ignore_index=True)
    merged = both.drop_duplicates(IDENTITY).sort_values(IDENTITY, ignore_index=True)
    repeated = len(both) - len(merged)
    if repeated == len(rows):
        return repeated, 0
    store.write(name, parquet_of(pa.Table.from_pandas(_typed(merged), preserve_index=False)))
    by_request = merged.groupby(["time", "request_id", "event"], sort=False)["row"]
    return repeated, int((by_request.max() + 1 - by_request.size()).sum())


def _typed(rows: Any) -> Any:
    """Features in the order of their names; a number everywhere is a number, else all its values are text."""
    features = sorted(name for name in rows.columns if name.startswith(FEATURE))
    # a file of an earlier version may lack a column
    columns = [name for name in COLUMNS if name not in ANSWERS or name in rows]
    typed = rows.reindex(columns=[*columns, *features])
    typed["key"] = typed["key"].astype("str")
    typed["features"] = typed["features"].astype("Int64")
    for name in features:
        values = [None if value is None or value != value else value for value in typed[name]]
        if any(isinstance(value, str) for value in values):
            typed[name] = [None if v is None else v if isinstance(v, str) else str(float(v)) for v in values]
        else:
            typed[name] = [float("nan") if value is None else float(value) for value in values]
    return typed
