"""Read a file of the service's log: its predictions as parts of tables, and how many lines are something else."""

import gzip
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.prediction_log import LINES_LOST, PredictionLine
from ontime.monitoring.log_files import FEATURE, VERSION
from ontime.monitoring.log_rows import ANSWERS, COLUMNS, part_of
from ontime.monitoring.store import open_place

KINDS = ("lines", "predictions", "other", "unreadable", "repeated", "ahead", "lost")
"""What is counted."""
ROWS_AT_ONCE = 200_000
BYTES_AT_ONCE = 2**20
KNOWN_VERSION = re.compile(VERSION)
TIME = re.compile(r"(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d\.\d{3}\+00:00")
CONTAINER = re.compile(rb"\S+ (?:stdout|stderr) [FP] ")
"""What a container runtime writes before each line (CRI)."""

Partition = tuple[str, str]
"""Model version and day of a file of the log."""


class _Kind(msgspec.Struct):
    event: str
    lines: Any = 0

    @property
    def lost(self) -> int:
        """Lines that the service tells of as lost."""
        return self.lines if self.event == LINES_LOST and isinstance(self.lines, int) and self.lines > 0 else 0


def parsed_file(name: str, place: Path | str, now: str) -> "tuple[Counter[str], list[tuple[Partition, bytes]]]":
    """Read the lines of a file.

    Args:
        name: how a person calls it; empty for lines that are not compressed whatever they begin with.
        place: as `open_place` takes it.
        now: a time as in the lines; later ones are ahead.

    Returns:
        Numbers of lines by kind; parts of the log's files, in the order of the lines, each with its partition.

    Raises:
        OntimeError: there is no such file, or it cannot be read to its end.
    """
    counts: Counter[str] = Counter()
    waiting: dict[Partition, list[dict[str, Any]]] = {}
    parts: list[tuple[Partition, bytes]] = []

    def keep() -> None:
        for partition in sorted(waiting):
            content, repeated = part_of(waiting[partition])
            counts["repeated"] += repeated
            parts.append((partition, content))
        waiting.clear()

    for line in _lines(name, place):
        counts["lines"] += 1
        found = _parsed(line)
        if isinstance(found, _Kind):
            counts["other"] += 1
            counts["lost"] += found.lost
        elif found is None:
            counts["unreadable"] += 1
        else:
            counts["predictions"] += 1
            counts["ahead"] += found[1]["time"] > now
            waiting.setdefault(found[0], []).append(found[1])
            if counts["predictions"] % ROWS_AT_ONCE == 0:
                keep()
    keep()
    return counts, parts


def unpacked(name: str, stream: io.BufferedReader) -> Iterator[bytes]:
    """The lines of an open file, which may be compressed by gzip.

    Raises:
        OntimeError: it cannot be read to its end.
    """
    compressed = stream.peek(2)[:2] == b"\x1f\x8b"
    try:
        yield from gzip.GzipFile(fileobj=stream) if compressed else stream
    except (OSError, EOFError) as error:
        raise OntimeError(f"{name}: not readable to its end: {error}") from None


def _lines(name: str, place: Path | str) -> Iterator[bytes]:
    opened = open_place(place)
    if opened is None:
        raise OntimeError(f"{name}: not found")
    with io.BufferedReader(opened, BYTES_AT_ONCE) as stream:
        yield from unpacked(name, stream) if name else stream


def _parsed(line: bytes) -> tuple[Partition, dict[str, Any]] | _Kind | None:
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
