"""What each stage is to run and runs, and what it ran before: from tags and from the history of release files."""

from typing import Any

from ontime.release.registry import Registry
from ontime.release.release_file import Written, history


def status(registry: Registry, branch: str) -> dict[str, Any]:
    """Versions, oldest first, and for each stage what it is to run and what its release file says."""
    stages = {}
    for stage in registry.stages:
        event, rows = registry.wanted(stage), releases(stage, registry, branch)
        wanted = {"version": registry.version_of(event), "tag": event.tag} if event else None
        stages[stage] = {"wanted": wanted, "released": rows[0] if rows else None}
    versions = [
        {"version": event.version, "commit": event.commit, "tag": event.tag} for event in registry.registrations()
    ]
    return {"name": registry.name, "versions": versions, "stages": stages}


def status_lines(found: dict[str, Any]) -> list[str]:
    """A status for people."""
    lines = []
    for stage, one in found["stages"].items():
        wanted, released = one["wanted"], one["released"]
        lines += [
            f"{stage}:",
            f"  to run    {' by '.join(wanted.values()) if wanted else '-'}",
            f"  released  {_said(released, 'digest') if released else '-'}",
        ]
    return [*lines, f"versions: {', '.join(one['version'] for one in found['versions']) or '-'}"]


def history_lines(rows: list[dict[str, str | None]]) -> list[str]:
    """A history for people."""
    return [f"{row['date']}  {row['stage']}  {_said(row, 'digest', 'commit', 'tag')}" for row in rows]


def all_releases(registry: Registry, branch: str) -> list[dict[str, str | None]]:
    """The releases of every stage, newest first."""
    rows = [row for stage in registry.stages for row in releases(stage, registry, branch)]
    return sorted(rows, key=lambda row: str(row["date"]), reverse=True)


def releases(stage: str, registry: Registry, branch: str) -> list[dict[str, str | None]]:
    """The releases of a stage, newest first; one edited by hand has no version."""
    found = [one for one in history(stage, branch) if one.release or one.edited]
    return [_row(one, stage, registry) for one in found]


def _row(written: Written, stage: str, registry: Registry) -> dict[str, str | None]:
    release = written.release
    tags = registry.deploying(release.version, stage) if release else []
    # the one that was newest then; a clock that is wrong leaves the first
    tags = [event for event in tags if event.time <= written.time] or tags[:1]
    return {
        "date": written.date,
        "stage": stage,
        "version": release.version if release else None,
        "image": release.image if release else None,
        "digest": release.digest if release else None,
        "model_sha256": release.model_sha256 if release else None,
        "git_commit": release.commit if release else None,
        "commit": written.commit,
        "tag": tags[-1].tag if tags else None,
    }


def _said(row: dict[str, str | None], *names: str) -> str:
    return "  ".join([row["version"] or "edited by hand", *(row[name] or "-" for name in names if row["version"])])
