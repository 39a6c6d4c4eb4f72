"""Logs from containers' files to OpenSearch: none is lost or there twice, whatever stops, and no secret gets there.

Real are the collector with the chart's configuration, the writer of the same pod and OpenSearch; the lines of the
service are written by its own log. Not there are the chart itself, TLS, and OpenSearch's plugins for security and
retention.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ontime.monitoring.log import compacted
from tests.rehearsal.logs.collector import WRITER, Collector, Writer, collecting
from tests.rehearsal.logs.lines import AIRFLOW, MONITOR, REFUSED, Feed, other_lines, planted_lines, service_lines
from tests.rehearsal.logs.opensearch import OpenSearch, opensearch

pytestmark = pytest.mark.rehearsal
LINES, SECRETS, REFUSALS = 100_000, 1_000, 20
KILLS = 30
INDEX = "ss4o_logs-*"
QUEUE_BYTES = 4 * 2**20
"""Small, so that it is full before all lines are written."""
MOST_MEMORY_MIB = 256
"""The container's limit."""
WAIT_SECONDS = 420
SETTLED_SECONDS = 6
FOLDER = WRITER.parent


@dataclass(frozen=True)
class Run:
    """What was written, what is stored, and how it went."""

    store: OpenSearch
    feed: Feed
    secrets: list[str]
    documents: list[dict[str, Any]]
    counts: Counter[str]
    collector: Collector
    figures: dict[str, Any]


def wait(condition: Callable[[], bool], what: str, collector: Collector) -> None:
    """Wait for a condition, and watch the collector's memory meanwhile."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        collector.watch()
        assert time.monotonic() < end, f"{what}: {collector.output()[-3000:]}"
        time.sleep(0.5)


def settled(value: Callable[[], int], collector: Collector) -> int:
    """A number, once it has not changed for a while."""
    last, since = -1, time.monotonic()

    def same() -> bool:
        nonlocal last, since
        found = value()
        if found != last:
            last, since = found, time.monotonic()
        return time.monotonic() - since > SETTLED_SECONDS

    wait(same, "not settled", collector)
    return last


def told(writer: Writer) -> "Counter[str]":
    """The sum of what the writer has printed; what it printed as it was killed may lack its end."""
    counts: Counter[str] = Counter()
    for line in writer.output.read_text().splitlines():
        if line.endswith("}"):
            found = json.loads(line)
            counts.update({"waiting": 1} if "waiting" in found else found)
    return counts


def make_feed(folder: Path) -> tuple[Feed, list[str]]:
    """The lines, and what of them is secret."""
    planted = planted_lines(SECRETS, seed=7)
    service = service_lines(requests=21_000, seed=1)
    quarter = (LINES - len(service) - SECRETS - REFUSALS) // 4
    service += [line for line, _ in planted[::2]] + other_lines([REFUSED], REFUSALS)
    airflow = other_lines(AIRFLOW, 3 * quarter) + [line for line, _ in planted[1::2]]
    monitor = other_lines(MONITOR, LINES - len(service) - len(airflow))
    return Feed(folder / "pods", service, monitor, airflow), [secret for _, secret in planted]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The lines, while the collector, the writer, OpenSearch and the files' rotation come in between."""
    folder = tmp_path_factory.mktemp("logs")
    feed, secrets = make_feed(folder)
    assert feed.left == LINES
    figures: dict[str, Any] = {"lines": LINES, "secrets": len(secrets)}
    with opensearch(folder / "store") as store:
        assert store.get(
            "/_index_template/ontime-logs", json.loads((FOLDER / "index_template.json").read_text()), "PUT"
        )
        with collecting(folder, store.address, QUEUE_BYTES) as (collector, writer):
            started = time.monotonic()
            feed.write(10_000)
            wait(lambda: store.count(INDEX) > 2_000, "no line arrives", collector)
            draw = random.Random(5)
            for _ in range(KILLS):
                feed.write(70)
                # it looks at the files five times a second
                time.sleep(draw.uniform(0, 0.4))
                collector.kill()
                feed.write(500)
                collector.start()
            collector.kill()
            feed.write(2_000)
            for container in feed.containers:
                container.rotate()
            feed.write(3_000)
            collector.start()
            feed.write(10_000)
            writer.kill()
            feed.write(5_000)
            writer.start()
            wait(lambda: store.count(INDEX) > 25_000, "nothing more arrives", collector)
            gone = time.monotonic()
            store.stop()
            feed.write(feed.left)
            queued = settled(collector.queue_bytes, collector)
            assert collector.process is not None
            memory = resident_mib(collector.process.pid)
            figures |= {"queue_mib_on_disk": round(queued / 2**20, 1), "memory_mib_store_away": memory}
            away = told(writer)["waiting"]
            collector.kill()
            collector.start()
            figures["seconds_store_away"] = round(time.monotonic() - gone, 1)
            store.start()
            figures["stored_when_back"] = store.count(INDEX)
            back = time.monotonic()
            wait(lambda: store.count(INDEX) >= LINES, "not every line arrives", collector)
            figures |= {
                "seconds_until_all": round(time.monotonic() - back, 1),
                "seconds": round(time.monotonic() - started, 1),
            }
            settled(lambda: store.count(INDEX), collector)
            collector.watch()
            counts = told(writer)
            counts["away"] = away
            documents = list(store.all(INDEX))
            figures |= {
                "stored": len(documents),
                "lost": len(feed.written - {one["@timestamp"] for one in documents}),
                "sent_again_and_there_already": counts["present"],
                "twice": len(documents) - len({one["@timestamp"] for one in documents}),
                "collector_killed": KILLS + 2,
                "writer_killed": 1,
                "store_stopped": 1,
                "most_memory_mib": round(collector.most_memory_mib, 1),
            }
            stored = json.dumps(documents)
            figures["secrets_through"] = sum(secret in stored for secret in secrets)
            print(json.dumps(figures))
            yield Run(store, feed, secrets, documents, counts, collector, figures)


def resident_mib(process: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)


def test_no_line_is_lost_and_none_is_there_twice(run: Run) -> None:
    times = Counter(one["@timestamp"] for one in run.documents)
    assert len(run.feed.written) == LINES
    assert times.keys() == run.feed.written
    assert max(times.values()) == 1
    # lines came again, and were known by their ids
    assert run.counts["present"] > 0


def test_lines_wait_on_disk_while_the_store_is_away(run: Run) -> None:
    assert run.counts["away"] > 0
    assert run.figures["stored_when_back"] < LINES / 2
    # the queue was full: lines were left in their files
    files = sum(path.stat().st_size for container in run.feed.containers for path in container.files)
    assert run.figures["queue_mib_on_disk"] * 2**20 < files / 2
    assert run.collector.most_memory_mib < MOST_MEMORY_MIB


def test_no_planted_secret_leaves_the_node(run: Run) -> None:
    assert len(set(run.secrets)) == SECRETS
    assert run.figures["secrets_through"] == 0
    # nor does the collector tell of it, or keep it in the queue
    kept = run.collector.output() + "".join(
        path.read_bytes().decode("latin-1") for path in run.collector.queue.glob("exporter_*") if path.is_file()
    )
    assert [secret for secret in run.secrets if secret in kept] == []
    masked = sum("redaction.body.masked.count" in one["attributes"] for one in run.documents)
    assert SECRETS <= masked < 1.01 * SECRETS


def test_severity_trace_and_request_are_fields(run: Run) -> None:
    found = Counter((one["attributes"].get("event"), one["severity"]["text"]) for one in run.documents)
    assert found["prediction", "INFO"] > 10_000 and found["lines_lost", "WARN"] == 1 and found["error", "ERROR"] == 1
    requests = [
        one for one in run.documents if one["attributes"].get("event") == "request" and "status" in one["attributes"]
    ]
    severities = {(one["attributes"]["status"], one["severity"]["text"]) for one in requests}
    assert severities == {(200, "INFO"), (400, "WARN"), (503, "ERROR")}
    assert all(one["traceId"] == one["attributes"]["trace_id"] for one in requests if "trace_id" in one["attributes"])
    assert sum("traceId" in one for one in requests) > 10_000
    assert all("features" not in one["attributes"] for one in run.documents)
    text = Counter(one["severity"]["text"] for one in run.documents if "event" not in one["attributes"])
    assert text["ERROR"] > 1_000 and text["WARN"] > 1_000
    names = {one["resource"]["k8s.container.name"] for one in run.documents}
    assert names == {"ontime", "monitor", "scheduler"}


def test_a_line_that_no_field_takes_is_kept_as_text(run: Run) -> None:
    refused = [one for one in run.documents if "refused" in one["attributes"]]
    assert len(refused) == REFUSALS
    # those that came again, too
    assert run.counts["refused"] >= REFUSALS
    assert {json.loads(one["body"])["attributes"]["request_id"] for one in refused} == {
        f"refused-{number}" for number in range(REFUSALS)
    }


def test_each_saved_search_and_panel_finds_lines(run: Run) -> None:
    shown = 0
    for line in (FOLDER / "dashboards.ndjson").read_text().splitlines():
        attributes = json.loads(line)["attributes"]
        source = json.loads(attributes.get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "{}"))
        if not source.get("query", {}).get("query"):
            continue
        query = {"query_string": {"query": source["query"]["query"]}}
        wanted: dict[str, Any] = {"size": 1, "query": query, "track_total_hits": True, "aggs": {}}
        for one in json.loads(attributes.get("visState", '{"aggs": []}'))["aggs"]:
            if one["type"] == "terms":
                wanted["aggs"][one["id"]] = {"terms": {"field": one["params"]["field"]}}
            elif one["type"] == "date_histogram":
                wanted["aggs"][one["id"]] = {
                    "date_histogram": {"field": one["params"]["field"], "fixed_interval": "1m"}
                }
        answer = run.store.get(f"/{INDEX}/_search", wanted)
        assert answer["hits"]["total"]["value"] > 0, attributes["title"]
        for name in wanted["aggs"]:
            assert answer["aggregations"][name]["buckets"], (attributes["title"], name)
        shown += 1
    assert shown == 10


def test_the_lines_of_a_request_are_found_by_its_id_and_by_its_trace(run: Run) -> None:
    asked = next(one for one in run.documents if one["attributes"].get("event") == "request" and "traceId" in one)
    name, trace = asked["attributes"]["request_id"], asked["traceId"]
    by_id = run.store.get(f"/{INDEX}/_count", {"query": {"term": {"attributes.request_id": name}}})["count"]
    by_trace = run.store.get(f"/{INDEX}/_count", {"query": {"term": {"traceId": trace}}})["count"]
    assert by_id == by_trace > 1


def test_the_predictions_still_reach_the_tables(run: Run, tmp_path: Path) -> None:
    files = [path for container in run.feed.containers for path in container.files]
    counts = compacted((line for path in files for line in path.read_bytes().splitlines(keepends=True)), str(tmp_path))
    stored = sum(one["attributes"].get("event") == "prediction" for one in run.documents)
    assert counts["predictions"] == stored > 10_000
    assert (counts["repeated"], counts["missing"], counts["lost"]) == (0, 0, 3)
