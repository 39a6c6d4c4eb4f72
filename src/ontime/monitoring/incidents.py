"""Keep one open issue at the forge for each cause of an alarm that lasts, and close it when the cause is gone.

In: `OUTPUT/day/*.json`; the forge as a workflow's variables name it, with a token that may write issues. Out: issues,
each with its cause in a hidden first line by which it is found again. An issue is changed only if the token's account
wrote it, whatever its text says. One that a person closed while its cause lasts stays closed.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click

from ontime.common.params import load_section
from ontime.monitoring.day_files import read_days
from ontime.monitoring.day_report import code, plain
from ontime.monitoring.decision import Incident, incidents_of
from ontime.monitoring.settings import Monitor
from ontime.repository.forge import BOT, Forge, is_own

MOST_DAYS = 30
"""Of an incident in its issue; and as long after its end an issue that a person closed is looked for."""
MOST_TITLE = 80


@click.command(name="incidents")
@click.argument("output", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--author", default=BOT, show_default=True, help="The account of GITHUB_TOKEN, whose issues are changed.")
def command(output: Path, author: str) -> None:
    """Open, update and close issues for the alarms in OUTPUT; without GITHUB_TOKEN, say what would be done."""
    sound_days = load_section("monitor", Monitor).sound_days
    days = read_days(output)
    latest = {(one.check, one.cause): one for one in incidents_of(days, sound_days)}
    if not os.environ.get("GITHUB_TOKEN"):
        for one in latest.values():
            done = f"is over since {one.over}: would be closed" if one.over else "lasts: would be open"
            click.echo(f"{title(one)}: {done}")
        click.echo("GITHUB_TOKEN: not set, so nothing was changed")
        return
    for line in keep_issues(Forge(), [*latest.values()], author, sound_days, days[-1].day if days else ""):
        click.echo(line)


def keep_issues(forge: Forge, latest: Sequence[Incident], author: str, sound_days: int, last_day: str) -> Iterable[str]:
    """Bring the issues in line with the latest incident of each cause; a line for each that was changed."""
    known = _own_issues(forge, latest, author, last_day)
    for one in latest:
        issue = known.get(marker(one))
        body = text(one, sound_days)
        if issue is None:
            if one.over is None:
                made = forge.call("POST", "issues", {"title": title(one), "body": body})
                yield f"opened: {title(one)}: {made['html_url']}"
        elif str(issue["body"]).split() != body.split():
            closed = {"state": "closed"} if one.over and issue["state"] == "open" else {}
            forge.call("PATCH", f"issues/{int(issue['number'])}", {"body": body, **closed})
            yield f"{'closed' if closed else 'updated'}: {title(one)}: {issue['html_url']}"


def _own_issues(forge: Forge, latest: Sequence[Incident], author: str, last_day: str) -> dict[str, dict[str, Any]]:
    """The newest issue of each incident that lasts in its text, by its marker."""
    markers = {marker(one) for one in latest}
    if not markers:
        return {}
    found = [*forge.pages("issues?state=open&per_page=100&limit=50")]
    recent = (date.fromisoformat(last_day) - timedelta(days=MOST_DAYS)).isoformat()
    begins = [one.days[0][0] for one in latest if one.over is None or one.over >= recent]
    if begins:
        found += forge.pages(f"issues?state=closed&since={min(begins)}T00:00:00Z&per_page=100&limit=50")
    own: dict[str, dict[str, Any]] = {}
    for issue in found:
        first = str(issue.get("body") or "").splitlines()[:1]
        if "pull_request" in issue and issue["pull_request"] is not None:
            continue
        if first and first[0] in markers and is_own(issue, first[0], author):
            before = own.get(first[0])
            if before is None or int(before["number"]) < int(issue["number"]):
                own[first[0]] = issue
    return own


def marker(one: Incident, state: str = "lasts") -> str:
    """The hidden line by which an incident's issue is found while it lasts; a cause can have any character."""
    digest = hashlib.sha256(f"{one.check}\n{one.cause}".encode()).hexdigest()[:32]
    return f"<!-- ontime incident {digest} {state} -->"


def title(one: Incident) -> str:
    """The title of the incident's issue."""
    return f"Monitoring: {one.check}: {plain(one.cause, MOST_TITLE)}"


def text(one: Incident, sound_days: int) -> str:
    """The text of the incident's issue; the cause is text of others."""
    first, last, count = one.days[0][0], one.days[-1][0], len(one.days)
    when = f"on {first}" if count == 1 else f"on {count} days, first on {first} and last on {last}"
    rows = [f"| {day} | {found.found:.4g} | {found.limit:.4g} |" for day, found in one.days[-MOST_DAYS:]]
    state = (
        f"Over since {one.over}: the check ran on {sound_days} days in a row without this alarm."
        if one.over
        else f"It lasts. This issue is closed by itself after {sound_days} days in a row without this alarm."
    )
    return "\n".join(
        [
            marker(one, "over" if one.over else "lasts"),
            "",
            f"The check `{one.check}` raised an alarm for {code(one.cause)} {when}.",
            "",
            state,
            "",
            "| day | found | limit |",
            "|---|---:|---:|",
            *rows,
            "",
            "Such an alarm says that data are wrong, so no model is trained for it, and the next model is trained "
            "without the rows of these days. `docs/monitoring.md` says what to look at.",
            "",
        ]
    )
