"""What is kept of a day's served rows and their labels: `OUTPUT/labels/days/DAY.json`, sums that can be added up.

Beside it `DAY.parquet` has the keys of the served rows with the labels that were used. A day that nothing was added to
is not read again, and one that the log has no longer stays what it was.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ontime.common.files import read_json, write_json
from ontime.common.layout import KNOWN_AT, TARGET
from ontime.model_deployment.export.label_series import GroupRate
from ontime.model_deployment.export.label_sums import Sums, sums_from_json
from ontime.model_deployment.export.rounding import rounded
from ontime.monitoring.label_join import CONTRADICTED, LATE, read_used, used_labels, watermark, write_used
from ontime.monitoring.label_kinds import Labels
from ontime.monitoring.label_table import KEY
from ontime.monitoring.log_files import FEATURE, LogFile, LogTable
from ontime.tasks.task import target_of

FOLDER = Path("labels", "days")


@dataclass(frozen=True)
class Rules:
    """What a day's sums depend on beside its rows and labels; of a version, `kind` is always the same."""

    kind: Labels
    model_version: str
    watermark_hours: float
    slices: list[str]
    group_rate: GroupRate | None

    def source(self, log: str) -> dict[str, Any]:
        """What says whether a day was made of the same; `log` is the SHA-256 of the log's file."""
        group = self.group_rate.model_dump() if self.group_rate else None
        return {
            "log": log,
            "model_version": self.model_version,
            "watermark_hours": self.watermark_hours,
            "slices": self.slices,
            "group_rate": group and {name: group[name] for name in ("columns", "threshold", "base")},
        }


@dataclass(frozen=True)
class LabelledDay:
    """One day: `counts` of its rows and labels, its decisions by outcome, and sums over the labelled rows."""

    day: str
    counts: dict[str, Any]
    warnings: dict[str, Any]
    sums: Sums


def refreshed(output: Path, day: str, file: LogFile | None, labels: pd.DataFrame, rules: Rules) -> LabelledDay | None:
    """What is known of a day by now, written if it is not what an earlier run wrote.

    Args:
        file: the model version's file of the log, None if the log has none.

    Returns:
        None if the day's rows were made by another version, or were never there.
    """
    path, used_path = output / FOLDER / f"{day}.json", output / FOLDER / f"{day}.parquet"
    known = read_json(path) if path.is_file() else {}
    earlier = read_used(used_path, rules.kind.dtype)
    table = file.read() if file else None
    until = watermark(day, rules.watermark_hours)
    if table is None:
        same_version = known.get("source", {}).get("model_version") == rules.model_version
        return _from_json(known) if same_version else None
    source = rules.source(table.sha256)
    if known.get("source") == source and earlier is not None:
        again = used_labels(earlier[KEY], labels, until, earlier)
        if again.equals(earlier):
            return _from_json(known)
    rows, counts = served_rows(table, rules)
    used = used_labels(rows[KEY], labels, until, earlier)
    content = _content(day, source, rows.merge(used, on=KEY, how="left"), counts, rules, table.where)
    if earlier is None or not used.equals(earlier):
        write_used(used_path, used)
    if content != known:
        write_json(path, content)
    return _from_json(content)


def served_rows(table: LogTable, rules: Rules) -> tuple[pd.DataFrame, dict[str, int]]:
    """A file's rows with a key, of several with the same key the last, and the numbers of all its rows.

    Returns:
        Rows with `time`, `key`, what the model answered and the features that rows are divided by; counts.
    """
    features = [*rules.slices, *(rules.group_rate.columns if rules.group_rate else [])]
    wanted = dict.fromkeys(["time", "event", KEY, *rules.kind.answer.types, *(FEATURE + name for name in features)])
    batches = [batch[batch["event"] == "prediction"] for batch in table.batches(list(wanted))]
    rows = pd.concat([pd.DataFrame(columns=list(wanted)), *batches], ignore_index=True) if batches else pd.DataFrame()
    rows = rows.reindex(columns=list(wanted))
    named = rows[rows[KEY].notna()]
    # the log's rows are sorted by time
    last = named.drop_duplicates(KEY, keep="last").reset_index(drop=True)
    counts = {"rows": len(rows), "without_key": len(rows) - len(named), "repeated": len(named) - len(last)}
    return last, counts


def _content(
    day: str, source: dict[str, Any], rows: pd.DataFrame, counts: dict[str, int], rules: Rules, where: str
) -> dict[str, Any]:
    """What is kept of a day; `where` the rows are begins errors."""
    labelled, kind = rows[rows[TARGET].notna()], rules.kind
    slices = [name for name in rules.slices if labelled[FEATURE + name].notna().any()]
    target, outputs = target_of(labelled), kind.outputs(labelled[kind.answer.output], where)
    divided = labelled[[FEATURE + name for name in slices]].set_axis(slices, axis=1)
    lag = (labelled[KNOWN_AT] - pd.to_datetime(labelled["time"], utc=True)).dt.total_seconds().dropna()
    return {
        "day": day,
        "counts": {
            **counts,
            "labelled": len(labelled),
            "late": int(rows[LATE].sum()),
            "missing": int((rows[TARGET].isna() & ~rows[LATE]).sum()),
            "contradicted": int(rows[CONTRADICTED].sum()),
            "lag_seconds": rounded(lag.mean()) if len(lag) else None,
        },
        "warnings": kind.outcomes(labelled, target, outputs, rules.group_rate),
        "sums": kind.measures.sums_of(target, outputs, divided).as_json(),
        "source": source,
    }


def _from_json(content: dict[str, Any]) -> LabelledDay:
    return LabelledDay(content["day"], content["counts"], content["warnings"], sums_from_json(content["sums"]))
