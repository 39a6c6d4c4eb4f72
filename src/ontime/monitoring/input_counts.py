"""Count the predictions of a day by the bins of a model's reference, wherever the day's files are read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ontime.encoder import Encoder
from ontime.model_deployment.export.profile import Bins, Counts
from ontime.monitoring.log_files import FEATURE, LogTable, table_at
from ontime.monitoring.logged_rows import logged_matrix
from ontime.monitoring.segments import Segments
from ontime.tasks.answers import one_number
from ontime.tasks.names import PREDICTION, PROBABILITY
from ontime.tasks.task import from_column


@dataclass(frozen=True)
class Counted:
    """A day's predictions by bin (bins,), by version, by segment, and by feature those of another schema."""

    counts: Counts
    versions: dict[str, int]
    segments: dict[str, dict[str, Any]]
    other_schema: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Counting:
    """What a day's counts depend on beside its rows."""

    encoder: Encoder
    bins: Bins
    model_version: str
    slices: Sequence[str]


def count_day(
    how: Counting, known: Mapping[str, str] | None, addresses: Mapping[str, str], *places: Path | str
) -> tuple[dict[str, str], Counted | None]:
    """Count a day's files, unless there are none or it is known what is in them.

    Args:
        known: SHA-256 by version of the files whose counts are known.
        addresses: of the day's files, by version; places: where they are, in the same order.

    Returns:
        SHA-256 of the files by version, and the counts, None if nothing was counted.
    """
    tables = {
        version: table_at(where, place) for (version, where), place in zip(addresses.items(), places, strict=True)
    }
    hashes = {version: table.sha256 for version, table in tables.items()}
    return hashes, count_rows(tables, how) if tables and hashes != known else None


def count_rows(tables: Mapping[str, LogTable], how: Counting) -> Counted:
    """Count a day's files, by version. A feature that a file lacks is missing in all its rows."""
    encoder, bins = how.encoder, how.bins
    counts = np.zeros(bins.total, dtype=np.int64)
    versions: Counter[str] = Counter()
    segments = Segments(encoder, list(how.slices))
    other_schema: dict[str, Counter[str]] = {"absent": Counter(), "foreign": Counter(), "other_type": Counter()}
    for version, table in tables.items():
        said = PREDICTION if PREDICTION in table.columns else PROBABILITY
        wanted = [name for name in table.columns if name in ("event", said) or name.startswith(FEATURE)]
        for batch in table.batches(wanted, categorical=[FEATURE + name for name in encoder.categories]):
            rows = batch[batch["event"] == "prediction"]
            if not len(rows):
                continue
            logged = logged_matrix(rows, encoder)
            own = version == how.model_version
            answered = one_number(from_column(rows[said])) if own else np.full(len(rows), np.nan)
            counts += bins.count(logged.matrix, answered, np.zeros(len(rows), dtype=np.int64), 1)[0]
            versions[version] += len(rows)
            segments.count(logged.matrix)
            other_schema["absent"].update(dict.fromkeys(logged.absent, len(rows)))
            other_schema["foreign"].update(dict.fromkeys(logged.foreign, len(rows)))
            of_type = zip(encoder.features, logged.other_type.sum(axis=0).tolist(), strict=True)
            other_schema["other_type"].update({name: count for name, count in of_type if count})
    in_order = {kind: dict(sorted(found.items())) for kind, found in other_schema.items()}
    return Counted(counts, dict(versions), segments.as_json(), in_order)
