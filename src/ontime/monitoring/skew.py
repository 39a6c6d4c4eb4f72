"""Compare the features of logged rows with those that the graph has for the same keys.

In: the tables that `ontime log compact` writes, the model's folder, and the graph's features. Out:
`OUTPUT/skew/DAY.json`, for each feature the share of rows that differ; `OUTPUT/skew.prom`; and a summary in Markdown.
This finds what the inputs' own distribution hides: features that were late, stale, exchanged or in another unit.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import partitions, read_json, read_parquet, sha256, write_json, write_text
from ontime.common.params import load_section
from ontime.datasets.keys import key_text
from ontime.encoder import Encoder
from ontime.engine import Engine, run_tasks, sent_files
from ontime.model_deployment.export.rounding import rounded
from ontime.model_deployment.inference.champion import read_encoder
from ontime.model_deployment.inference.manifest import MANIFEST, read_manifest
from ontime.monitoring.days import Checked, Day, Finding, day_options, say
from ontime.monitoring.log_files import files_of_day, table_at
from ontime.monitoring.logged_rows import logged_matrix, missing_values, sampled_rows
from ontime.monitoring.settings import Monitor
from ontime.monitoring.text_file import check_gauges, gauge

MOST_ROWS = 10


@click.command(name="skew")
@day_options
@click.option(
    "--features", type=click.Path(path_type=Path), default=paths.FEATURES, show_default=True, help="The graph's."
)
@click.option("--layout", type=click.Path(path_type=Path), default=paths.FEATURE_LAYOUT, show_default=True)
def command(day: Day, features: Path, layout: Path) -> None:
    """Compare DAY's logged features with the graph's; exit status 3 if one differs in too many rows.

    Rows of all versions are compared if they have a key, in terms of the model in --model. Bring the graph up to the
    day first (`ontime refresh`, `dvc repro featurize`): keys that it does not have are counted.
    """
    say(check(day, features, layout))


@dataclass(frozen=True)
class Sampled:
    """A sample of a file's predictions that have a key, how many such rows there are, and the file's SHA-256."""

    rows: pd.DataFrame
    total: int
    sha256: str


@dataclass(frozen=True)
class Compared:
    """Rows of one file: values that were compared, and those that differ, by feature: (features,)."""

    compared: npt.NDArray[np.int64]
    differing: npt.NDArray[np.int64]


def check(where: Day, features: Path = paths.FEATURES, layout: Path = paths.FEATURE_LAYOUT) -> Checked:
    """Compare the day's sample with the graph, and write what was found.

    Args:
        features: folder of the graph's feature tables.
        layout: file that says which of their columns are the key.

    Raises:
        OntimeError: the log has no rows of the day, or none with a key, or the graph has not run.
    """
    files = files_of_day(where.log, where.day)
    encoder = read_encoder(where.model, read_manifest(where.model))
    settings = load_section("monitor", Monitor)
    tasks = [(file.where, file.place, settings.sample_rows) for file in files]
    samples = run_tasks(sample_of, tasks, load_section("engine", Engine).backend, sent_files)
    rows = sum(one.total for one in samples)
    if not rows:
        raise OntimeError(f"{where.log}: no row of {where.day} has a key; callers send it with each row")
    keys = pd.concat([one.rows["key"] for one in samples])
    known, partitions_read = graph_rows(features, keys_of(layout), set(keys), encoder)
    found = [compare(one.rows, known, encoder) for one in samples if len(one.rows)]
    compared, differing = (sum(getattr(one, name) for one in found) for name in ("compared", "differing"))
    shares = {
        name: rounded(count / total) if total else 0.0
        for name, count, total in zip(encoder.features, differing.tolist(), compared.tolist(), strict=True)
    }
    beyond = sorted((name for name in shares if shares[name] > settings.skew_share), key=lambda name: -shares[name])
    without = keys[~keys.isin(known.index)]
    content = {
        "day": where.day,
        "alarms": beyond,
        "rows_with_key": rows,
        "compared": len(keys) - len(without),
        "keys_not_in_graph": len(without),
        "examples_not_in_graph": sorted(set(without))[:MOST_ROWS],
        "limit": settings.skew_share,
        "inputs": {
            name: {"compared": total, "share": shares[name]}
            for name, total in zip(encoder.features, compared.tolist(), strict=True)
        },
        "source": {
            "sample_rows": settings.sample_rows,
            "model": sha256(where.model / MANIFEST),
            "features": {path.name: sha256(path) for path in partitions_read},
            "log": {file.version: one.sha256 for file, one in zip(files, samples, strict=True)},
        },
    }
    write_json(where.output / "skew" / f"{where.day}.json", content)
    write_text(where.output / "skew.prom", metrics_of(content))
    # a late feed changes dozens of features, which is one cause
    findings = [Finding("skew", shares[beyond[0]], settings.skew_share)] if beyond else []
    return Checked("skew", findings, summary(content))


def sample_of(where: str, place: Path | str, rows: int) -> Sampled:
    """Sample the file of the log at an address, which a task finds at its place."""
    table = table_at(where, place)
    return Sampled(*sampled_rows(table, "prediction", rows, with_key=True), table.sha256)


def keys_of(layout: Path) -> list[str]:
    """The key columns of the graph's feature tables.

    Raises:
        OntimeError: the graph has not run, or the file is not what `featurize` writes.
    """
    content = read_json(layout)
    key = content.get("key") if isinstance(content, dict) else None
    if not isinstance(key, list) or not key:
        raise OntimeError(f"{layout}: names no key columns; run `dvc repro featurize`")
    return key


def graph_rows(
    folder: Path, key_columns: list[str], keys: set[str], encoder: Encoder
) -> tuple[pd.DataFrame, list[Path]]:
    """The graph's features of some keys, encoded, by key (rows, features), and the files that were read for them.

    The newest partition comes first, as it has the rows of the last days; with all keys found, no other is read.
    """
    found: list[pd.DataFrame] = []
    files = []
    missing = set(keys)
    for name in reversed(partitions(folder)):
        if not missing:
            break
        path = folder / f"{name}.parquet"
        frame = read_parquet(path)
        absent = [column for column in [*key_columns, *encoder.features] if column not in frame]
        if absent:
            raise OntimeError(f"{path}: has no column {absent[0]}, which the model has; is it a model of this graph?")
        files.append(path)
        text = key_text(frame, key_columns)
        wanted = text.isin(missing) & ~text.duplicated()
        columns = {feature: frame.loc[wanted, feature].to_numpy() for feature in encoder.features}
        found.append(pd.DataFrame(encoder.transform(columns), index=text[wanted]))
        missing -= set(text[wanted])
    return pd.concat(found), files


def compare(sample: pd.DataFrame, known: pd.DataFrame, encoder: Encoder) -> Compared:
    """Compare logged rows with the graph's rows of the same keys.

    A feature that a line lacks is not compared. Numbers are equal as float32, categories and texts if the model sees
    the same.

    Args:
        sample: rows of one file that have a key.
        known: the graph's features by key.
    """
    rows = sample[sample["key"].isin(known.index)]
    logged, expected = logged_matrix(rows, encoder), known.loc[rows["key"]].to_numpy()
    same = (logged.matrix == expected) | (np.isnan(logged.matrix) & np.isnan(expected))
    # a text is the same if all its terms weigh the same
    equal = np.array([same[:, encoder.feature_of == place].all(axis=1) for place in range(len(encoder.features))]).T
    # a value that is missing in a line which lacks features may be one of those
    lacks_some = (rows["features"] < len(encoder.features)).to_numpy()[:, None]
    is_there = ~(lacks_some & missing_values(logged.matrix, encoder)) | logged.other_type
    is_there[:, [place for place, name in enumerate(encoder.features) if name in logged.absent]] = False
    differing = is_there & (~equal | logged.other_type)
    return Compared(is_there.sum(axis=0), differing.sum(axis=0))


def metrics_of(content: dict[str, Any]) -> str:
    """A day in Prometheus' text format."""
    lines = [
        *check_gauges("skew", content["day"], len(content["alarms"])),
        *gauge(
            "ontime_monitor_skew_compared_rows",
            "Logged rows that were compared with the graph's.",
            [({}, content["compared"])],
        ),
        *gauge(
            "ontime_monitor_skew_differing_share",
            "Share of the compared rows in which an input differs from the graph's.",
            [({"input": name}, one["share"]) for name, one in content["inputs"].items()],
        ),
    ]
    return "\n".join([*lines, ""])


def summary(content: dict[str, Any]) -> str:
    """A day in Markdown."""
    alarms = content["alarms"]
    verdict = f"{len(alarms)} of {len(content['inputs'])} inputs differ" if alarms else "no input differs"
    lines = [
        f"## Skew on {content['day']}: {verdict}",
        "",
        f"{content['compared']:,} of {content['rows_with_key']:,} rows with a key compared with the graph's; "
        f"{content['keys_not_in_graph']:,} keys are not in the graph.",
    ]
    unseen = [name for name, one in content["inputs"].items() if not one["compared"]]
    if unseen:
        lines.append(f"Not compared, as the log has no values: {', '.join(unseen)}.")
    if alarms:
        lines += ["", "| input | share that differs | limit |", "|---|---:|---:|"]
        lines += [
            f"| {name} | {content['inputs'][name]['share']:.3g} | {content['limit']:.3g} |"
            for name in alarms[:MOST_ROWS]
        ]
    return "\n".join(lines)
