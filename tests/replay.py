"""Replayed days: real services answer the test's flights, and the daily check looks at each day of their log."""

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil  # type: ignore[import-untyped]

from ontime.common import paths
from ontime.common.files import read_json
from ontime.common.params import load_section
from ontime.datasets.keys import key_text
from ontime.datasets.source import Data
from ontime.encoder import Encoder
from ontime.model_deployment.inference.manifest import VOCABULARY
from ontime.model_deployment.inference.signing import make_key, sign
from ontime.monitoring.checks import LabelSource
from ontime.monitoring.day import check_day
from ontime.monitoring.days import Day
from ontime.monitoring.label_table import label_table
from ontime.monitoring.log import compacted
from tests.live import live
from tests.moved_lines import moved
from tests.services import Running

MONTHS = ("2013-11", "2013-12")
VERSION = "1.0.0"
WINDOW_DAYS = 7
"""Days of labels that are looked at together."""
WRITE_SECONDS = 60
SAMPLE = re.compile(r"(?P<series>\w+(?:\{.*\})?) (?P<value>\S+)")


def signed_champion(folder: Path) -> Path:
    """A copy of the checkout's champion with a signature and its keys."""
    shutil.copytree(live(paths.CHAMPION), folder / "model")
    make_key(folder / "model.key")
    sign(folder / "model", folder / "model.sig", folder / "model.key")
    return folder


@dataclass(frozen=True)
class Span:
    """What of the two months is replayed: the last days, of so many flights one; and how far back panels look."""

    days: int
    one_of: int
    panel_days: int


def flights_by_day(span: Span) -> dict[str, pd.DataFrame]:
    """Features and target of a span's flights, the unlabelled ones too, by day."""
    folder = live(paths.FEATURES)
    rows = pd.concat([pd.read_parquet(folder / f"{month}.parquet") for month in MONTHS], ignore_index=True)
    # the files are those of the local months; a few hours of the next month are in the last one
    rows = rows[rows["time_hour"].dt.strftime("%Y-%m").isin(MONTHS)].iloc[:: span.one_of]
    days = {str(day.date()): part for day, part in rows.groupby(rows["time_hour"].dt.floor("D"))}
    return dict([*days.items()][-span.days :])


def keys_of(rows: pd.DataFrame) -> "pd.Series[str]":
    """The text of each flight's key."""
    return key_text(rows, read_json(live(paths.FEATURE_LAYOUT))["key"])


def request_body(rows: pd.DataFrame, features: Iterable[str]) -> bytes:
    """Rows as a request of columns, with their keys."""
    columns = {name: rows[name].astype(object).where(rows[name].notna(), None).tolist() for name in features}
    return json.dumps({"inputs": columns, "keys": keys_of(rows).tolist()}).encode()


def ask(service: Running, body: bytes, request_id: str) -> list[float]:
    """The probabilities that a service answers."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{service.url}/v1/models/flight-delay:predict",
        body,
        {"Content-Type": "application/json", "X-Request-ID": request_id},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        found: list[float] = json.load(answer)["outputs"]
    return found


def logged_predictions(service: Running) -> list[bytes]:
    """Lines of the predictions that a service has written, without the last one if it is not ended yet."""
    return [line for line in service.log.read_bytes().split(b"\n")[:-1] if b'"prediction"' in line]


def replay(service: Running, days: Mapping[str, pd.DataFrame], log: Path) -> None:
    """Ask a service for each day's flights in one request, and compact its log."""
    encoder = Encoder.from_vocabulary(read_json(live(paths.CHAMPION) / VOCABULARY))
    for day, rows in days.items():
        answered = ask(service, request_body(rows, encoder.features), f"{day}/1")
        assert len(answered) == len(rows)
    wanted = sum(map(len, days.values()))
    # the log is written by a thread of its own
    end = time.monotonic() + WRITE_SECONDS
    while len(lines := logged_predictions(service)) < wanted:
        assert time.monotonic() < end, (len(lines), wanted)
        time.sleep(0.2)
    assert compacted(moved(lines), str(log))["predictions"] == wanted


def labels_of(days: Mapping[str, pd.DataFrame], path: Path) -> Path:
    """A file of the days' labels, as `ontime labels` writes it of all flights."""
    labels = label_table(load_section("data", Data), live(paths.RAW), live(paths.SCHEMA))
    labels[labels["key"].isin(keys_of(pd.concat(days.values())))].to_parquet(path)
    return path


def texts_by_day(days: Mapping[str, pd.DataFrame], log: Path, output: Path) -> dict[str, str]:
    """The metrics of each day from the second week on, as all daily checks write them."""
    labels = LabelSource(str(labels_of(days, log.with_name("labels.parquet"))))
    found = {}
    for place, day in enumerate(days):
        record, text = check_day(Day(day, str(log), live(paths.CHAMPION), VERSION, output), labels)
        assert not record.skipped, record
        if place + 1 >= WINDOW_DAYS:
            found[day] = text
    return found


def backfill(texts: Mapping[str, str], now: float, folder: Path, promtool: str) -> None:
    """Blocks of Prometheus with one sample a day, six hours after its end; the last day is yesterday."""
    series: dict[str, list[str]] = {}
    midnight = now // 86400 * 86400
    for place, text in enumerate(reversed([*texts.values()])):
        taken = min(midnight + 6 * 3600, now - 60) - 86400 * place
        for sample in filter(None, map(SAMPLE.fullmatch, text.splitlines())):
            series.setdefault(sample["series"], []).insert(0, f"{sample['series']} {sample['value']} {taken:.0f}")
    names = sorted({name.partition("{")[0] for name in series})
    lines = [
        line
        for name in names
        for line in [
            f"# TYPE {name} gauge",
            *(s for key in series if key.partition("{")[0] == name for s in series[key]),
        ]
    ]
    source = folder / "backfill.txt"
    source.write_text("\n".join([*lines, "# EOF", ""]))
    arguments = ["tsdb", "create-blocks-from", "openmetrics", "--quiet", str(source), str(folder / "data")]
    subprocess.run([promtool, *arguments], check=True, capture_output=True)


def pod_metrics(services: Mapping[str, Running], labels: Mapping[str, Mapping[str, str]]) -> str:
    """What a kubelet counts of containers, read of the services' processes."""
    lines: list[str] = []
    for pod, service in services.items():
        process = psutil.Process(service.process.pid)
        cpu, memory = process.cpu_times(), process.memory_info().rss
        where = f'namespace="{labels[pod]["namespace"]}",pod="{pod}",container="ontime"'
        lines.append(f"container_cpu_usage_seconds_total{{{where}}} {cpu.user + cpu.system}")
        lines.append(f"container_memory_working_set_bytes{{{where}}} {memory}")
    return "\n".join([*sorted(lines), ""])


def expression(text: str, seconds: int, values: Mapping[str, Any]) -> str:
    """A panel's query with Grafana's variables as they are for a time range."""
    built_in = {"__rate_interval": "10s", "__range": f"{seconds}s", "__range_s": str(seconds)}
    return re.sub(r"\$(\w+)", lambda found: str({**built_in, **values}[found[1]]), text)
