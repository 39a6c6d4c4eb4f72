"""What watches the service of a rehearsal day by day: its log, the labels, the checks, the incidents, the retraining.

Each step is a workflow's or a scheduled job's own. A replayed day takes seconds. Its labels are known in the night
after it, and the job of the next morning looks at both.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pandas as pd

from ontime.common.files import read_json, replacing
from tests.checkouts import git, run
from tests.forge import REPOSITORY, Hub
from tests.moved_lines import moved
from tests.rehearsal import deliveries
from tests.rehearsal.deliveries import KEY, NAME, TARGET, Town, records_of, served_day
from tests.rehearsal.replay import Answers, ask, keys_of
from tests.rehearsal.story import Story
from tests.servers import http_server

TABLE = "deliveries.csv"
LOG_SECONDS = 30
BOT = "ontime-release[bot]"


class Files(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing."""

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@contextlib.contextmanager
def files_served(folder: Path) -> Iterator[str]:
    """Address of a server of a folder's files."""
    with http_server(partial(Files, directory=str(folder))) as host:
        yield f"http://{host}"


@dataclass
class Checked:
    """A day as `ontime monitor day` left it, and when: seconds since 1970."""

    record: dict[str, Any]
    asked: float
    """When its first request was sent."""
    checked: float
    incidents: list[str]
    """What was done at the forge."""

    @property
    def alarms(self) -> dict[str, list[str]]:
        """Causes of an alarm by check."""
        found = {check: [one["cause"] for one in alarms] for check, alarms in self.record["checks"].items()}
        return {check: causes for check, causes in found.items() if causes}


@dataclass
class Watch:
    """The service of a stage, the team's table, and the forge."""

    story: Story
    folder: Path
    hub: Hub
    town: Town
    version: str = "1.0.0"
    """The one that is watched."""
    days: dict[date, Checked] = field(default_factory=dict)
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    stage: str = "staging"

    @property
    def log(self) -> Path:
        """The compacted log."""
        return self.folder / "log"

    @property
    def output(self) -> Path:
        """What the checks keep."""
        return self.folder / "monitoring"

    @property
    def labels(self) -> Path:
        """Labels that are known."""
        return self.folder / "labels.csv"

    def fill_table(self, before: date) -> None:
        """Let the team's table have the rows of all days before one."""
        with replacing(self.folder / "table" / TABLE) as temporary:
            self.town.until(before).to_csv(temporary, index=False)

    def live(self, number: int, frozen_since: int | None = None) -> Checked:
        """A day: its requests, and when it is over what the scheduled job does."""
        day = served_day(number)
        begun = time.time()
        self.answer(day, frozen_since)
        return self.conclude(day, begun)

    def conclude(self, day: date, begun: float = 0.0) -> Checked:
        """What the scheduled job does when a day is over: its labels, all checks, the incidents."""
        self.add_labels(day)
        self.days[day] = self.check(day, begun)
        return self.days[day]

    def answer(self, day: date, frozen_since: int | None = None) -> None:
        """Ask about each row of a day, and compact what the pods' logs say of it; not a line may be lost."""
        rows = self.town.day(day)
        asked = rows
        if frozen_since is not None:
            asked = deliveries.frozen(rows, served_day(frozen_since), self.town.levels)
        begun = datetime.now(UTC)
        answers = ask(self.story.address(self.stage), NAME, day, list(rows[KEY]), records_of(asked))
        self.note(answers)
        keys = sorted(rows[KEY])
        lines = self.story.wait(f"the log of {day}", lambda: self.logged(day, begun, keys), LOG_SECONDS)
        with replacing(self.folder / "day.log") as temporary:
            temporary.write_bytes(b"".join(lines))
        self.story.ontime("log", "compact", str(self.folder / "day.log"), str(self.log))

    def note(self, answers: Answers) -> None:
        """Count requests, and keep why some failed."""
        self.requests += answers.requests
        self.failures += answers.failures

    def logged(self, day: date, since: datetime, keys: list[str]) -> list[bytes]:
        """The lines of a day that the pods have written, none before all its keys are there."""
        options = ["--tail=-1", "--max-log-requests=20", f"--since-time={since:%Y-%m-%dT%H:%M:%SZ}"]
        selector = "--selector=app.kubernetes.io/component=service"
        told = self.story.rig.kubectl("logs", selector, *options, f"--namespace=ontime-{self.stage}")
        lines = [*moved((f"{line}\n".encode() for line in told.splitlines()), day)]
        return lines if sorted(keys_of(lines)) == keys else []

    def add_labels(self, day: date) -> None:
        """Add the labels of a day's rows, which are known in the night after it."""
        rows = self.town.day(day)
        known = f"{day + timedelta(days=1)}T01:00:00Z"
        new = pd.DataFrame({"key": rows[KEY], "target": rows[TARGET], "known_at": known})
        old = [pd.read_csv(self.labels)] if self.labels.exists() else []
        with replacing(self.labels) as temporary:
            pd.concat([*old, new]).to_csv(temporary, index=False)

    def check(self, day: date, begun: float) -> Checked:
        """Do what the scheduled job does for a day: all checks, then the incidents."""
        options = [f"--log={self.log}", f"--model-version={self.version}", f"--output={self.output}"]
        done = self.story.run("ontime", "monitor", "day", str(day), *options, f"--labels={self.labels}", check=False)
        assert done.returncode in (0, 3), done.stderr
        said = self.at_the_forge("ontime", "monitor", "incidents", str(self.output))
        record = read_json(self.output / "day" / f"{day}.json")
        return Checked(record, begun, time.time(), said.splitlines())

    def at_the_forge(self, *command: str, cwd: Path | None = None, text: str = "", **variables: str) -> str:
        """What a command prints that has the forge's address and a token, as in a workflow's job."""
        told = {
            "GITHUB_API_URL": self.hub.url,
            "GITHUB_SERVER_URL": self.hub.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": "app-token",
            "GIT_AUTHOR_NAME": BOT,
            "GIT_AUTHOR_EMAIL": "bot@example.invalid",
            "GIT_COMMITTER_NAME": BOT,
            "GIT_COMMITTER_EMAIL": "bot@example.invalid",
            **variables,
        }
        return run(*command, cwd=cwd or self.story.checkout, check=True, text=text, **told).stdout

    def clone(self, name: str) -> Path:
        """A clone of main as a job has it, with the address of the remote; without the keys of who works there."""
        shutil.rmtree(self.story.folder / "clones" / name, ignore_errors=True)
        made = self.story.clone(name)
        git(made, "config", "commit.gpgSign", "false")
        shutil.copyfile(self.story.checkout / ".dvc" / "config.local", made / ".dvc" / "config.local")
        return made

    def open_issues(self) -> list[dict[str, Any]]:
        """Of the forge."""
        return [one for one in self.hub.issues if one["state"] == "open"]
