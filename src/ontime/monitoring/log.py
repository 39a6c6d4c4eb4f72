"""Turn the service's log into tables: the predictions of each model version and day as one parquet file.

In: JSON lines of the service as standard output or a container's log file has them, plain or compressed by gzip. Out:
`OUTPUT/model_version=VERSION/day=DATE/predictions.parquet`, in a folder or an object store. A line that is there
already is not added again, so the same lines may be read as often as they come. Its day is that of its own time,
whatever the clock says here, so that the bytes follow from the lines alone.

Each file is read by a task of its own, and then each partition is put together by one. A task returns bytes and writes
nothing: this process alone replaces files, each whole, so a task may run twice and a run may be killed.
"""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from ontime.common.params import load_section
from ontime.engine import Engine, backend_option, each_result, sent_files
from ontime.monitoring import prune
from ontime.monitoring.log_files import LogFile, log_files
from ontime.monitoring.log_lines import KINDS, Partition, parsed_file, unpacked
from ontime.monitoring.log_rows import merged_file
from ontime.monitoring.store import Store

PIECE_BYTES = 2**26
"""Of the lines that come by a pipe, how many are one file for a task."""


@click.group(name="log")
def command() -> None:
    """Use the service's log as data."""


command.add_command(prune.command)


@command.command()
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True)
@click.argument("target", metavar="OUTPUT")
@backend_option
def compact(sources: tuple[str, ...], target: str, backend: str | None) -> None:
    """Add the predictions in INPUT, files or `-` for standard input, to the parquet files in OUTPUT.

    INPUT and OUTPUT may be addresses such as s3://BUCKET/PREFIX; OUTPUT is a folder otherwise. What is printed is JSON:
    how many lines were read, of which kind, how many the service says that it lost, and how many rows are missing from
    requests of which others are there.
    """
    spread = backend or load_section("engine", Engine).backend
    with tempfile.TemporaryDirectory(prefix="ontime-log-") as folder:
        files = [file for number, one in enumerate(sources) for file in _files(one, Path(folder, str(number)))]
        click.echo(json.dumps(compacted_files(files, target, spread)))


def compacted(lines: Iterable[bytes], target: str) -> dict[str, int]:
    """Add lines to the files of a target, as `compacted_files` does."""
    with tempfile.TemporaryDirectory(prefix="ontime-log-") as folder:
        return compacted_files(list(_pieces(lines, Path(folder))), target, "sequential")


def compacted_files(files: Sequence[tuple[str, Path | str]], target: str, backend: str) -> dict[str, int]:
    """Add the lines of files to the files of a target.

    Args:
        files: as `parsed_file` takes them.
        backend: how the files, and then the partitions, are spread.

    Returns:
        Numbers of lines by kind: `predictions` (of models that answered, or of a shadow), `other` (requests and
        messages), `unreadable`, and of the predictions those `repeated` and those `ahead` of the clock here; `lost`
        lines that the service tells of; `partitions` that changed; `missing` rows of requests that are there in part.
    """
    counts: Counter[str] = Counter(dict.fromkeys([*KINDS, "partitions", "missing"], 0))
    store, now = Store(target), datetime.now(UTC).isoformat(timespec="milliseconds")
    with tempfile.TemporaryDirectory(prefix="ontime-log-") as folder:
        parts: dict[Partition, list[Path]] = {}
        for found, contents in each_result(parsed_file, [(*one, now) for one in files], backend, sent_files):
            counts.update(found)
            for partition, content in contents:
                places = parts.setdefault(partition, [])
                places.append(Path(folder, *partition, str(len(places))))
                places[-1].parent.mkdir(parents=True, exist_ok=True)
                places[-1].write_bytes(content)
        known = {(file.version, file.day) for file in log_files(target)} if parts else set()
        tasks = []
        for partition in sorted(parts):
            file = LogFile(store, *partition)
            tasks.append((file.where, file.place if partition in known else None, *parts[partition]))
        for partition, merged in zip(sorted(parts), each_result(merged_file, tasks, backend, sent_files), strict=True):
            counts["repeated"] += merged.repeated
            if merged.content is not None:
                store.write(LogFile(store, *partition).name, merged.content)
                counts.update(partitions=1, missing=merged.missing)
    return dict(counts)


def _files(source: str, folder: Path) -> Iterator[tuple[str, Path | str]]:
    """What `parsed_file` reads of an input; of one that can be read but once a copy in a folder."""
    if source == "-":
        yield from _pieces(sys.stdin.buffer, folder)
    elif "://" in source:
        yield source, source
    elif Path(source).is_file():
        yield source, Path(source).absolute()
    else:
        with Path(source).open("rb") as stream:
            yield from _pieces(unpacked(source, stream), folder)


def _pieces(lines: Iterable[bytes], folder: Path) -> Iterator[tuple[str, Path]]:
    """Files in a folder with the lines, each of about `PIECE_BYTES`."""
    waiting: list[bytes] = []
    size = count = 0

    def written() -> tuple[str, Path]:
        path = folder / f"{count}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(waiting))
        return "", path

    for line in lines:
        waiting.append(line if line.endswith(b"\n") else line + b"\n")
        size += len(line)
        if size >= PIECE_BYTES:
            yield written()
            waiting.clear()
            size, count = 0, count + 1
    if waiting:
        yield written()
