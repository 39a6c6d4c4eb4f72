"""The fork's champion, its rows as a service logs them, and what a check of the monitor says of them."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from click.testing import CliRunner

from ontime.common.errors import OntimeError
from ontime.common.files import read_json, sha256, write_json
from ontime.datasets.keys import key_text
from ontime.model_deployment.export.profile import Bins, quantile_edges
from ontime.model_deployment.export.reference import REFERENCE, make_reference
from ontime.model_deployment.inference.champion import Champion, load_champion
from ontime.model_deployment.inference.manifest import MANIFEST
from ontime.monitoring.log import compacted
from ontime.monitoring.monitor import command
from tests.live import PARAMS

VERSION, SHADOW_VERSION = "1.1.0", "1.2.0"
DAY, NEXT_DAY = "2024-03-01", "2024-03-02"
REFERENCE_DAYS = [f"2024-{month:02d}-{day:02d}" for month in (1, 2) for day in range(1, 26)]
ROWS = 300
"""Of each day."""

Line = dict[str, Any]


class Monitored(NamedTuple):
    """A folder with a champion in `model`, the graph's features in `data` and a log in `log`, and the log's lines."""

    folder: Path
    champion: Champion
    lines: list[Line]

    def write(self, lines: Iterable[Line], log: str = "log") -> None:
        """Add lines to a log."""
        compacted(encoded(lines), str(self.folder / log))

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit status and output of a check."""
        done = CliRunner().invoke(command, [*arguments, *OPTIONS])
        told = isinstance(done.exception, OntimeError)
        assert done.exception is None or told or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output + (str(done.exception) if told else "")

    def found(self, check: str, day: str = DAY) -> Any:
        """What a check wrote of a day."""
        return read_json(self.folder / "monitoring" / check / f"{day}.json")

    def written(self) -> dict[str, bytes]:
        """All that the checks wrote."""
        top = self.folder / "monitoring"
        return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}


OPTIONS = ["--model", "model", "--model-version", VERSION]


def encoded(lines: Iterable[Line]) -> list[bytes]:
    """Lines as the service writes them."""
    return [json.dumps(line).encode() + b"\n" for line in lines]


def sound_lines(fork: Path) -> list[Line]:
    """A sound service's lines for the fork's rows: the first half on one day, the rest on the next."""
    champion = load_champion(fork / "models" / "champion")
    layout = read_json(fork / "data" / "processed" / "feature_layout.json")
    folder = fork / "data" / "processed" / "features"
    frame = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))], ignore_index=True)
    features = champion.encoder.features
    records = frame[features].astype(object).where(frame[features].notna(), None).to_dict("records")
    probability = champion.predict(champion.encoder.transform({name: frame[name].to_numpy() for name in features}))
    rows = zip(
        records,
        key_text(frame, layout["key"]),
        probability,
        champion.answer.values("decision", probability),
        strict=True,
    )
    return [
        {
            "time": f"{DAY if place < ROWS else NEXT_DAY}T10:00:00.000+00:00",
            "event": "prediction",
            "request_id": f"request{place // 4}",
            "row": place % 4,
            "model": champion.name,
            "model_version": VERSION,
            "probability": float(value),
            "decision": bool(event),
            "features": record,
            "key": key,
        }
        for place, (record, key, value, event) in enumerate(rows)
    ]


def make_monitored(folder: Path, fork: Path, lines: list[Line]) -> Monitored:
    """A folder without a log, in which the champion has a reference of days before the log's."""
    shutil.copytree(fork / "models" / "champion", folder / "model")
    (folder / "data").symlink_to(fork / "data")
    shutil.copyfile(PARAMS, folder / "params.yaml")
    champion = load_champion(folder / "model")
    write_reference(folder / "model", champion, lines)
    return Monitored(folder, champion, json.loads(json.dumps(lines)))


def write_reference(model: Path, champion: Champion, lines: list[Line]) -> None:
    """Give a champion the reference of days whose rows are drawn from some lines."""
    encoder, random = champion.encoder, np.random.default_rng(3)
    records = [[line["features"][name] for name in encoder.features] for line in lines]
    matrix = encoder.transform_records(records)
    probability = champion.predict(matrix)
    bins = Bins(
        {name: quantile_edges(matrix[:, place]) for place, name in enumerate(encoder.numbers)},
        dict(zip(encoder.categories, encoder.category_sizes, strict=True)),
        quantile_edges(probability),
    )
    drawn = random.integers(0, len(lines), ROWS * len(REFERENCE_DAYS))
    group = np.repeat(np.arange(len(REFERENCE_DAYS)), ROWS)
    counts = bins.count(matrix[drawn], probability[drawn], group, len(REFERENCE_DAYS))
    path = model / REFERENCE
    path.write_text(make_reference(bins, REFERENCE_DAYS, counts).as_text())
    manifest = read_json(model / MANIFEST)
    manifest["files"][REFERENCE] = {"sha256": sha256(path), "size": path.stat().st_size}
    write_json(model / MANIFEST, manifest)
