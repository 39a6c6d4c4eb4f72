"""The second half of 2013 as if it were live: a model as of 1 July, and the log of what it was asked until December.

In: a workspace whose graph has run. Out: a folder in which the project's own commands have split, trained and exported
again, as of 1 July, with the champion's family and parameters; and the log that `ontime log compact` makes of the
lines that a service would have written. A row is asked `cutoff_minutes` before its scheduled departure.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ontime.common import paths

if TYPE_CHECKING:
    import pandas as pd

    from ontime.common.arrays import Matrix
    from ontime.model_deployment.inference.champion import Champion

VALIDATION_FROM, SERVED_FROM = "2013-05-31T04:00:00Z", "2013-07-01T04:00:00Z"
"""The last 31 days choose when to stop and the threshold; what follows is served."""
FIRST_DAY, LAST_DAY = "2013-07-01", "2013-12-31"
"""Days by the time of the request, in UTC; of 1 January there are only the first hours."""
VERSION = "1.0.0"
LABELS = "labels.parquet"


@dataclass(frozen=True)
class Replay:
    """Where the replayed workspace is: its `models/champion`, and `predictions`, the log."""

    workspace: Path

    @property
    def model(self) -> Path:
        """The champion's folder."""
        return self.workspace / paths.CHAMPION

    @property
    def log(self) -> Path:
        """The log's folder."""
        return self.workspace / "predictions"

    def day_file(self, day: str) -> Path:
        """The file of one day."""
        return self.log / f"model_version={VERSION}" / f"day={day}" / "predictions.parquet"


def make_model(checkout: Path, workspace: Path) -> None:
    """Split, train and export as of 1 July, by the project's commands."""
    from ruamel.yaml import YAML

    from ontime.common.files import read_json, write_json

    yaml = YAML()
    params = yaml.load(checkout / "params.yaml")
    params["split"].update(by="time", validation_from=VALIDATION_FROM, test_from=SERVED_FROM)
    (workspace / paths.PROCESSED).mkdir(parents=True)
    yaml.dump(params, workspace / "params.yaml")
    for path in (paths.RAW, paths.SCHEMA, paths.FEATURES, paths.FEATURE_LAYOUT, Path("data/features.yaml")):
        (workspace / path).symlink_to((checkout / path).resolve())
    champion = read_json(checkout / paths.SELECTION)["champion"]
    run_ontime(workspace, ["split"], ["train", champion], ["evaluate", champion], ["baselines"])
    metrics = read_json(workspace / paths.training_run(champion) / "metrics" / "validation.json")
    metric = params["select"]["metric"]
    selection = {"champion": champion, "metric": metric, "value": metrics[metric], "lead": 0.0}
    write_json(workspace / paths.SELECTION, {**selection, "candidates": {champion: metrics[metric]}, "baselines": {}})
    run_ontime(workspace, ["refit"], ["forward"], ["export"], ["labels", LABELS])


def run_ontime(folder: Path, *commands: list[str]) -> None:
    """Run commands of the project, one after another."""
    for command in commands:
        subprocess.run(["ontime", *command], cwd=folder, check=True)


def with_options(workspace: Path, folder: Path, **options: int) -> Path:
    """Another workspace with the same raw tables, and other `data.options`."""
    from ruamel.yaml import YAML

    yaml = YAML()
    params = yaml.load(workspace / "params.yaml")
    params["data"]["options"].update(options)
    (folder / "data").mkdir(parents=True)
    for path in (paths.RAW, paths.SCHEMA):
        (folder / path).symlink_to((workspace / path).resolve())
    yaml.dump(params, folder / "params.yaml")
    return folder


def asked_rows(workspace: Path) -> "pd.DataFrame":
    """All feature rows with `key`, `time` of the request (UTC) and its `day`, oldest request first."""
    import pandas as pd

    from ontime.common.files import partitions, read_json, read_parquet
    from ontime.common.layout import Layout
    from ontime.common.params import load_section
    from ontime.datasets.keys import key_text
    from ontime.datasets.source import Data

    layout = Layout(**read_json(workspace / paths.FEATURE_LAYOUT))
    folder = workspace / paths.FEATURES
    rows = pd.concat([read_parquet(folder / f"{name}.parquet") for name in partitions(folder)], ignore_index=True)
    cutoff_minutes = load_section("data", Data, workspace / "params.yaml").options["cutoff_minutes"]
    minutes = rows["sched_dep_minute"].astype("int64") % 60 - cutoff_minutes
    rows["time"] = rows["time_hour"] + pd.to_timedelta(minutes, unit="min")
    rows["day"] = rows["time"].dt.strftime("%Y-%m-%d")
    rows["key"] = key_text(rows, layout.key)
    return rows.sort_values(["time", "key"], ignore_index=True)


def served_rows(workspace: Path) -> "pd.DataFrame":
    """The rows that the model is asked about in the replay."""
    rows = asked_rows(workspace)
    return rows[(rows["day"] >= FIRST_DAY) & (rows["day"] <= LAST_DAY)].reset_index(drop=True)


def encoded(rows: "pd.DataFrame", champion: "Champion") -> "Matrix":
    """The rows as the model's matrix."""
    return champion.encoder.transform({name: rows[name].to_numpy() for name in champion.encoder.features})


def answer(rows: "pd.DataFrame", champion: "Champion") -> "pd.DataFrame":
    """The rows with what the model says of them: `probability` and `decision`."""
    probability = champion.predict(encoded(rows, champion))
    return rows.assign(
        probability=probability.astype("float64"), decision=champion.answer.values("decision", probability)
    )


def lines_of(rows: "pd.DataFrame", champion: "Champion") -> Iterator[bytes]:
    """What the service logs of answered rows, each in a request of its own."""
    import msgspec

    from ontime.model_deployment.inference.prediction_log import PredictionLine

    features = champion.encoder.features
    columns = [rows[name].astype(object).where(rows[name].notna(), None) for name in features]
    times = rows["time"].dt.strftime("%Y-%m-%dT%H:%M:%S.000+00:00")
    for time, key, probability, decision, *values in zip(
        times, rows["key"], rows["probability"].tolist(), rows["decision"].tolist(), *columns, strict=True
    ):
        line = PredictionLine(
            time=time,
            event="prediction",
            request_id=key,
            row=0,
            model=champion.name,
            model_version=champion.version,
            probability=probability,
            decision=decision,
            features=dict(zip(features, values, strict=True)),
            key=key,
        )
        yield msgspec.json.encode(line)


def make_replay(checkout: Path, workspace: Path) -> "pd.DataFrame":
    """Make the model and the log; the answered rows."""
    from ontime.model_deployment.inference.champion import load_champion
    from ontime.monitoring.log import compacted

    make_model(checkout, workspace)
    replay = Replay(workspace)
    champion = load_champion(replay.model, VERSION)
    rows = answer(served_rows(workspace), champion)
    compacted(lines_of(rows, champion), str(replay.log))
    return rows


@contextmanager
def changed_day(replay: Replay, day: str, rows: "pd.DataFrame", champion: "Champion") -> Iterator[None]:
    """The log with other rows on one day, until the block ends."""
    from ontime.monitoring.log import compacted

    path = replay.day_file(day)
    sound = path.with_suffix(".sound")
    path.rename(sound)
    try:
        compacted(lines_of(rows, champion), str(replay.log))
        yield
    finally:
        sound.replace(path)
