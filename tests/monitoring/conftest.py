"""The fork's champion, its rows as a service logs them, and what a command of the monitor prints."""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from click.testing import CliRunner

from ontime.common.files import read_json
from ontime.datasets.keys import key_text
from ontime.model_deployment.inference.champion import Champion, load_champion
from ontime.monitoring.log import compacted
from ontime.monitoring.monitor import command
from tests.checkouts import TOP

VERSION, SHADOW_VERSION = "1.1.0", "1.2.0"
DAY, NEXT_DAY = "2024-03-01", "2024-03-02"

Line = dict[str, Any]


class Monitored(NamedTuple):
    """A folder with a champion in `model`, the graph's features in `data` and a log in `log`, and the log's lines."""

    folder: Path
    champion: Champion
    lines: list[Line]

    def write(self, lines: Iterable[Line], log: str = "log") -> None:
        """Add lines to a log."""
        compacted([json.dumps(line).encode() for line in lines], str(self.folder / log))

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit status and output of a check."""
        options = ["--model", "model", "--model-version", VERSION]
        done = CliRunner().invoke(command, [*arguments, *options])
        return done.exit_code, done.output + str(done.exception or "")

    def found(self, check: str, day: str = DAY) -> Any:
        """What a check wrote of a day."""
        return read_json(self.folder / "monitoring" / check / f"{day}.json")


@pytest.fixture(scope="session")
def graph_lines(fork: Path) -> list[Line]:
    """A sound service's lines for the fork's rows: the first half on one day, the rest on the next."""
    champion = load_champion(fork / "models" / "champion")
    layout = read_json(fork / "data" / "processed" / "feature_layout.json")
    folder = fork / "data" / "processed" / "features"
    frame = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))], ignore_index=True)
    features = champion.encoder.features
    records = frame[features].astype(object).where(frame[features].notna(), None).to_dict("records")
    matrix = champion.encoder.transform({name: frame[name].to_numpy() for name in features})
    probability = champion.probability(matrix)
    rows = zip(records, key_text(frame, layout["key"]), probability, champion.decide(probability), strict=True)
    return [
        {
            "time": f"{DAY if place < len(frame) // 2 else NEXT_DAY}T10:00:00.000+00:00",
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


@pytest.fixture
def monitored(tmp_path: Path, fork: Path, graph_lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> Monitored:
    """A folder of the test's own, without a log."""
    shutil.copytree(fork / "models" / "champion", tmp_path / "model")
    (tmp_path / "data").symlink_to(fork / "data")
    shutil.copyfile(TOP / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    lines = [json.loads(json.dumps(line)) for line in graph_lines]
    return Monitored(tmp_path, load_champion(tmp_path / "model"), lines)


@pytest.fixture
def set_parameter(tmp_path: Path) -> Callable[[str, Any], None]:
    """A function that sets a parameter of the section `monitor`."""

    def set_(name: str, value: Any) -> None:
        path = tmp_path / "params.yaml"
        lines = path.read_text().splitlines()
        (place,) = [place for place, line in enumerate(lines) if line.startswith(f"  {name}:")]
        lines[place] = f"  {name}: {value}"
        path.write_text("\n".join(lines) + "\n")

    return set_
