"""A model with a reference, and a log of days that it answered, as all daily checks read them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ontime.encoder import Encoder
from ontime.model_deployment.export.label_series import limits_of, sums_by_day
from ontime.model_deployment.export.label_sums import measures_of
from ontime.model_deployment.export.profile import Bins, quantile_edges
from ontime.model_deployment.export.reference import REFERENCE, make_reference, read_reference
from ontime.monitoring.log import compacted
from tests.labelled import write_manifest
from tests.live import PARAMS

VOCABULARY = {"numbers": ["weight", "probability"], "categories": {"depot": ["north", "south"]}}
ENCODER = Encoder.from_vocabulary(VOCABULARY)
REFERENCE_DAYS = [f"2024-{month:02d}-{day:02d}" for month in (1, 2, 3) for day in range(1, 26)]
LIVE_DAYS = [f"2024-04-{day:02d}" for day in range(1, 6)]
ROWS = 200


def rows_of(random: np.random.Generator, depot: str | None = None) -> list[dict[str, Any]]:
    """A day's requests; one feature is called like a column of the log."""
    return [
        {
            "weight": None if random.random() < 0.1 else round(float(random.normal()), 3),
            "probability": float(random.integers(0, 9)),
            "depot": depot or str(random.choice(["north", "south"])),
        }
        for _ in range(ROWS)
    ]


def watched_model(top: Path, live_days: list[str], faulty_days: list[str]) -> Path:
    """Write a model's reference and a log of days to a folder; on faulty days all depots are unknown."""
    random = np.random.default_rng(11)
    days = [ENCODER.transform(_columns(rows_of(random))) for _ in REFERENCE_DAYS]
    matrix = np.concatenate(days)
    edges = {name: quantile_edges(matrix[:, place]) for place, name in enumerate(VOCABULARY["numbers"])}
    bins = Bins(edges, {"depot": 4}, [0.25, 0.5, 0.75])
    group = np.repeat(np.arange(len(days)), ROWS)
    counts = bins.count(matrix, random.random(len(matrix)), group, len(days))
    (top / "model").mkdir(parents=True)
    (top / "model" / REFERENCE).write_text(make_reference(bins, REFERENCE_DAYS, counts).as_text())
    (top / "model" / "vocabulary.json").write_text(json.dumps(VOCABULARY))
    lines = []
    for day in live_days:
        for row, features in enumerate(rows_of(random, "overseas" if day in faulty_days else None)):
            content = {
                "time": f"{day}T08:00:00.000+00:00",
                "event": "prediction",
                "request_id": f"{day}-{row}",
                "row": 0,
                "key": f"{day}/{row}",
                "model": "parcels",
                "model_version": "1.1.0" if row % 10 else "1.0.0",
                "probability": float(random.random()),
                "decision": False,
                "features": features,
            }
            lines.append(json.dumps(content).encode())
    compacted(lines, str(top / "log"))
    (top / "params.yaml").write_bytes(PARAMS.read_bytes())
    return top


def add_labels(top: Path, odds: float) -> Path:
    """Write labels of the log's rows, whose odds are so many times those that the model says, and usual labels' limits.

    Returns:
        The file with the labels.
    """
    random = np.random.default_rng(12)
    past = pd.DataFrame({"probability": random.random(120 * ROWS)})
    past["at"] = np.repeat(pd.date_range("2023-01-01", periods=120, tz="UTC"), ROWS)
    past["target"] = (random.random(len(past)) < past["probability"]).astype("int64")
    path = top / "model" / REFERENCE
    measures = measures_of("binary")
    limits = limits_of(list(sums_by_day(past, "at", [], measures).values()), measures)
    path.write_text(replace(read_reference(path), labels=limits).as_text())
    write_manifest(path.parent)
    rows = pd.concat([pd.read_parquet(one) for one in sorted((top / "log").rglob("*.parquet"))])
    chance = odds * rows["probability"] / (1 + (odds - 1) * rows["probability"])
    target = (random.random(len(rows)) < chance).astype("int64")
    pd.DataFrame({"key": rows["key"], "target": target}).to_parquet(top / "labels.parquet", index=False)
    return top / "labels.parquet"


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in ENCODER.features}
