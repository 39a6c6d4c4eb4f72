"""What a day pushes is what a Pushgateway then shows, in place of what was pushed before."""

import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ontime.common.errors import OntimeError
from ontime.monitoring.checks import LabelSource
from ontime.monitoring.day import check_day
from ontime.monitoring.days import Day
from ontime.monitoring.prometheus import push
from tests.pushgateway import pushgateway
from tests.servers import free_port
from tests.watched import LIVE_DAYS, watched_model

pytestmark = pytest.mark.integration


def samples(text: str) -> dict[tuple[str, str], float]:
    """Values of the project's metrics by name and input or check."""
    return {
        (sample.name, sample.labels.get("input") or sample.labels.get("check", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("ontime_monitor_")
    }


def test_a_gateway_shows_the_last_day_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(watched_model(tmp_path, LIVE_DAYS, [LIVE_DAYS[3]]))
    with pushgateway() as url:
        for day in LIVE_DAYS[3:]:
            _, text = check_day(Day(day, "log", Path("model"), "1.1.0", Path("monitoring")), LabelSource())
            push(url, text)
            with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 - loopback
                shown = samples(answer.read().decode())
            assert shown == samples(text)
        push(url, 'ontime_monitor_only{input="x"} 1\n')
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 - loopback
            assert samples(answer.read().decode()) == {("ontime_monitor_only", "x"): 1.0}
        with pytest.raises(OntimeError, match="400"):
            push(url, "no metric\n")


def test_a_gateway_that_is_not_there_is_one_line() -> None:
    with pytest.raises(
        OntimeError, match=r"^PUT http://127\.0\.0\.1:\d+/metrics/job/ontime_monitor: Connection refused; "
    ):
        push(f"http://127.0.0.1:{free_port()}", "")
