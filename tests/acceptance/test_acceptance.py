"""`ontime acceptance` against real services: the right one passes, and each kind of wrong one is told by its check."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ontime.acceptance.checks import Target
from ontime.acceptance.client import Client
from ontime.acceptance.latency import check_latency
from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from tests.checkouts import run
from tests.servers import JsonHandler, http_server
from tests.services import Running, make_second, serving, start

NAMES = (
    "health",
    "metadata",
    "golden-v1",
    "golden-v2",
    "golden-v2-binary",
    "errors",
    "metrics",
    "latency",
    "quality",
)


@pytest.fixture(scope="module")
def running(signed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(signed, tmp_path_factory.mktemp("log") / "service.log") as found:
        yield found


@pytest.fixture
def checked(fork: Path, signed: Path, tmp_path: Path) -> Any:
    """A function that checks an address in the fork's checkout: how it ended, and the verdicts by check."""

    def check(url: str, *options: str) -> tuple["subprocess.CompletedProcess[str]", dict[str, str]]:
        # a busy machine must not fail a check of something else
        limits = ("--seconds", "1", "--p50", "2000", "--p99", "5000", "--wait", "2")
        output = ("--output", str(tmp_path / "acceptance"), "--model", str(signed / "model"))
        done = run("ontime", "acceptance", url, *limits, *output, *options, cwd=fork, check=False)
        assert "Traceback" not in done.stderr
        content = read_json(tmp_path / "acceptance" / "acceptance.json")
        return done, {one["name"]: one["verdict"] for one in content["results"]}

    return check


def failed(verdicts: dict[str, str]) -> set[str]:
    """Checks that failed."""
    return {name for name, verdict in verdicts.items() if verdict == "failed"}


@pytest.mark.integration
def test_the_released_model_is_accepted_with_a_report(running: Running, checked: Any, tmp_path: Path) -> None:
    metrics = f"http://127.0.0.1:{running.metrics_port}"
    done, verdicts = checked(running.url, "--version", "v1.2.3", "--metrics", metrics, "--rate", "50")
    assert done.returncode == 0, done.stderr
    assert verdicts == dict.fromkeys(NAMES, "passed")
    content = read_json(tmp_path / "acceptance" / "acceptance.json")
    assert (content["accepted"], content["version"], content["url"]) == (True, "1.2.3", running.url)
    assert content["figures"]["requests"] == 50 and content["figures"]["failed_requests"] == 0
    assert 0 < content["figures"]["p50_milliseconds"] <= content["figures"]["p99_milliseconds"]
    text = (tmp_path / "acceptance" / "acceptance.md").read_text()
    assert text.startswith(f"# Acceptance of {content['model']} 1.2.3: accepted\n")
    assert all(f"| {name} | passed | " in text for name in NAMES)


@pytest.mark.integration
def test_the_quality_is_that_of_the_champion_on_its_test_rows(
    running: Running, checked: Any, fork: Path, signed: Path, tmp_path: Path
) -> None:
    checked(running.url)
    figures = read_json(tmp_path / "acceptance" / "acceptance.json")["figures"]
    expected = read_json(signed / "model" / "manifest.json")["metrics"]["test"]
    assert figures["rows"] == expected["rows"]
    for name in ("roc_auc", "log_loss", "cost_per_1000"):
        assert figures[name] == pytest.approx(expected[name], abs=1e-5)
    rows = pd.read_parquet(fork / "data" / "processed" / "test.parquet")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    assert failed(checked(running.url, "--labelled", str(tmp_path / "rows.csv"))[1]) == set()
    wrong = rows.assign(target=1 - rows["target"])
    wrong.to_parquet(tmp_path / "wrong.parquet")
    done, verdicts = checked(running.url, "--labelled", str(tmp_path / "wrong.parquet"))
    assert failed(verdicts) == {"quality"}
    assert done.returncode == 1 and "not accepted: quality; see " in done.stderr


@pytest.mark.integration
def test_another_version_fails_the_metadata_alone(running: Running, checked: Any) -> None:
    done, verdicts = checked(running.url, "--version", "9.9.9")
    assert failed(verdicts) == {"metadata"} and verdicts["metrics"] == "not run"
    assert done.returncode == 1
    assert "metadata: version 1.2.3 is served; expected 9.9.9\n" in done.stdout
    assert done.stderr.startswith(f"error: {running.url}: not accepted: metadata; see ")


@pytest.mark.integration
def test_another_model_of_that_name_fails_the_golden_records(signed: Path, checked: Any, tmp_path: Path) -> None:
    second = make_second(signed, tmp_path / "second")
    variables = {"MODEL": str(second), "SIGNATURE": str(second.with_name("second.sig"))}
    other = start(signed, tmp_path / "service.log", **variables)
    try:
        done, verdicts = checked(other.url, "--version", "1.2.3")
    finally:
        other.process.terminate()
        other.process.wait(timeout=20)
    assert failed(verdicts) >= {"golden-v1", "golden-v2", "golden-v2-binary"}
    assert verdicts["metadata"] == verdicts["errors"] == "passed"
    assert "golden records differ by up to " in done.stdout


@pytest.mark.integration
def test_a_service_that_stops_for_a_while_is_slow(running: Running, signed: Path) -> None:
    target = Target.of(Client.of(running.url), signed / "model", None)
    assert check_latency(target, 40, 1, 2000, 5000).endswith("at 40 requests per second, 40 requests")

    def pause() -> None:
        time.sleep(0.5)
        os.kill(running.process.pid, signal.SIGSTOP)
        time.sleep(1)
        os.kill(running.process.pid, signal.SIGCONT)

    pausing = threading.Thread(target=pause)
    pausing.start()
    try:
        with pytest.raises(OntimeError, match=r"p99 [\d.]+ ms at 40 .*; the limits are 2000 and 500 ms$"):
            check_latency(target, 40, 2, 2000, 500)
    finally:
        pausing.join()
    assert int(target.figures["p99_milliseconds"]) > 500


def test_where_nobody_answers_no_other_check_is_run(checked: Any, tmp_path: Path) -> None:
    done, verdicts = checked("http://127.0.0.1:9", "--wait", "0")
    assert failed(verdicts) == {"health"} and set(verdicts.values()) == {"failed", "not run"}
    assert done.returncode == 1 and "not accepted: health; see " in done.stderr
    assert "| health | failed | no response: " in (tmp_path / "acceptance" / "acceptance.md").read_text()


class Agreeable(JsonHandler):
    """Another kind of server, which finds everything ready and knows nothing."""

    def respond(self, content: Any) -> tuple[int, Any]:
        """The same to all."""
        del content
        return 200, {"live": True, "ready": True}


def test_a_server_of_another_kind_fails_every_check_but_the_first(checked: Any) -> None:
    with http_server(Agreeable) as address:
        done, verdicts = checked(f"http://{address}", "--metrics", f"http://{address}")
    assert verdicts.pop("health") == "passed"
    assert set(verdicts.values()) == {"failed"} and done.returncode == 1


def test_a_labelled_file_that_does_not_fit_is_one_line(checked: Any, fork: Path, tmp_path: Path) -> None:
    rows = pd.read_parquet(fork / "data" / "processed" / "test.parquet")
    checked("http://127.0.0.1:9", "--wait", "0")
    for name, changed, reason in (
        ("unlabelled", rows.drop(columns="target"), "no column target; expected every feature of the model"),
        ("one", rows.assign(target=1), "target: expected 0 and 1, and both of them"),
    ):
        changed.to_parquet(tmp_path / f"{name}.parquet")
        done, _ = checked("http://127.0.0.1:9", "--labelled", str(tmp_path / f"{name}.parquet"))
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith(f"error: {tmp_path}/{name}.parquet: {reason}")
    done, _ = checked("http://127.0.0.1:9", "--labelled", "absent.csv")
    assert done.returncode == 1 and done.stderr.startswith("error: absent.csv: ")


@pytest.mark.parametrize("address", ["ontime", "ftp://ontime", "http://", "http://ontime:port", "http://ontime/?a=1"])
def test_an_address_that_is_none_is_wrong_usage(address: str, fork: Path) -> None:
    done = run("ontime", "acceptance", address, cwd=fork, check=False)
    assert done.returncode == 2 and "expected http://HOST[:PORT]" in done.stderr
