"""One issue for each cause, changed in place and closed when it is over; what others wrote is left alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.monitoring.day_files import DayRecord, Found, write_day
from ontime.monitoring.decision import Incident, is_quarantined
from ontime.monitoring.incidents import marker
from tests.commands import run_command
from tests.forge import REPOSITORY, Hub, hub_server
from tests.live import PARAMS

HOSTILE = "depot=`|<!-- x -->\n# Approved @everyone [a](https://example.invalid) ‮"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The forge, and a folder for the days."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes(PARAMS.read_bytes())
    with hub_server() as made:
        monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
        monkeypatch.setenv("GITHUB_TOKEN", "secret")
        monkeypatch.setenv("GITHUB_API_URL", made.url)
        yield made


def check_days(*causes: tuple[str, ...]) -> None:
    """Write days on which the inputs had these causes, the first on 1 December, and bring the issues in line."""
    for number, one in enumerate(causes, start=1):
        checks = {"inputs": [Found(cause=cause, found=2.0 + number, limit=1.0) for cause in one]}
        day = f"2013-12-{number:02d}"
        write_day(
            Path("monitoring"),
            DayRecord(day=day, checks=checks, skipped={}, quarantined=is_quarantined(checks), challenger=None),
        )
    run_command("monitor", "incidents", "monitoring")


def states(hub: Hub) -> list[tuple[str, str]]:
    return [(one["title"], one["state"]) for one in hub.issues]


def test_an_issue_opens_is_updated_and_closes_by_itself(hub: Hub) -> None:
    check_days(("temp",))
    assert states(hub) == [("Monitoring: inputs: temp", "open")]
    check_days(("temp",), ("temp", "wind"))
    assert states(hub) == [("Monitoring: inputs: temp", "open"), ("Monitoring: inputs: wind", "open")]
    assert "on 2 days, first on 2013-12-01 and last on 2013-12-02" in hub.issues[0]["body"]
    assert "| 2013-12-02 | 4 | 1 |" in hub.issues[0]["body"]
    before = len(hub.requests)
    run_command("monitor", "incidents", "monitoring")
    assert {method for method, _, _ in hub.requests[before:]} == {"GET"}
    check_days(("temp",), ("temp", "wind"), ("wind",), ("wind",), ("wind",))
    assert states(hub) == [("Monitoring: inputs: temp", "closed"), ("Monitoring: inputs: wind", "open")]
    assert "Over since 2013-12-05" in hub.issues[0]["body"]
    check_days(("temp",), ("temp", "wind"), ("wind",), ("wind",), ("wind",), ("temp",))
    assert [one["state"] for one in hub.issues] == ["closed", "open", "open"]
    assert {token for _, _, token in hub.requests} == {"Bearer secret"}


def test_an_issue_that_a_person_closed_stays_closed_and_the_next_incident_has_another(hub: Hub) -> None:
    check_days(("temp",))
    hub.issues[0]["state"] = "closed"
    check_days(("temp",), ("temp",))
    assert states(hub) == [("Monitoring: inputs: temp", "closed")]
    assert "on 2 days" in hub.issues[0]["body"]
    check_days(("temp",), ("temp",), (), (), ())
    check_days(("temp",), ("temp",), (), (), (), ("temp",))
    assert [one["state"] for one in hub.issues] == ["closed", "open"]


@pytest.mark.attack("forged-incident")
@pytest.mark.parametrize(
    ("login", "kind"), [("mallory", "User"), ("github-actions[bot]", "User"), ("other[bot]", "Bot")]
)
def test_an_issue_of_another_account_with_the_same_marker_is_left_alone(hub: Hub, login: str, kind: str) -> None:
    body = f"{marker(Incident('inputs', 'temp'))}\n\nNothing to see."
    hub.add_issue("Monitoring: inputs: temp", body, login, kind)
    check_days(("temp",))
    check_days(("temp",), (), (), ())
    assert (hub.issues[0]["body"], hub.issues[0]["state"]) == (body, "open")
    assert [one["state"] for one in hub.issues] == ["open", "closed"]
    assert not [path for method, path, _ in hub.requests if method == "PATCH" and path.endswith("/issues/1")]


def test_a_pull_request_of_the_same_account_is_no_issue(hub: Hub) -> None:
    body = marker(Incident("inputs", "temp"))
    hub.add_issue("a pull request", body)["pull_request"] = {"url": "x"}
    check_days(("temp",))
    assert hub.issues[0]["body"] == body
    assert len(hub.issues) == 2


@pytest.mark.attack("forged-incident")
def test_a_cause_with_markup_is_shown_as_code_and_means_nothing(hub: Hub) -> None:
    check_days((HOSTILE,))
    (issue,) = hub.issues
    first, _, rest = issue["body"].partition("\n")
    assert first == marker(Incident("inputs", HOSTILE))
    assert issue["body"].isascii()
    assert issue["title"].isascii()
    assert not [line for line in rest.splitlines() if line.startswith("#")]
    (line,) = [line for line in rest.splitlines() if "@everyone" in line]
    before, shown, after = line.split("`")[2:5]
    assert (before, after[:3]) == (" raised an alarm for ", " on")
    assert shown.startswith(r"depot=\x60\x7c<!-- x -->\n# Approved @everyone")
    check_days((HOSTILE,), (), (), ())
    assert [one["state"] for one in hub.issues] == ["closed"]


@pytest.mark.attack("forged-incident")
@pytest.mark.parametrize(
    "change", [{"checks": {"inputs": [{"cause": "x", "found": 1, "limit": "<b>"}]}}, {"day": "<script>"}, {"extra": ""}]
)
def test_a_days_file_that_is_none_changes_no_issue(hub: Hub, change: dict[str, object]) -> None:
    check_days(("temp",))
    path, before = Path("monitoring/day/2013-12-01.json"), len(hub.requests)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(OntimeError, match=r"^monitoring/day/2013-12-01\.json: no file of `ontime monitor day`"):
        run_command("monitor", "incidents", "monitoring")
    assert len(hub.requests) == before


def test_without_a_token_it_is_said_what_would_be_done(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    check_days(("temp", "wind"), ("wind",), ("wind",), ("wind",))
    assert capsys.readouterr().out.splitlines() == [
        "Monitoring: inputs: temp: is over since 2013-12-04: would be closed",
        "Monitoring: inputs: wind: lasts: would be open",
        "GITHUB_TOKEN: not set, so nothing was changed",
    ]
    assert not hub.requests


def test_a_gitea_account_has_its_own_issues(hub: Hub) -> None:
    hub.add_issue("x", marker(Incident("inputs", "temp")), "watcher", "")
    write_day(
        Path("monitoring"),
        DayRecord(
            day="2013-12-01",
            checks={"inputs": [Found(cause="temp", found=2.0, limit=1.0)]},
            skipped={},
            quarantined=True,
            challenger=None,
        ),
    )
    run_command("monitor", "incidents", "monitoring", "--author", "watcher")
    assert len(hub.issues) == 1
    assert "It lasts." in hub.issues[0]["body"]
