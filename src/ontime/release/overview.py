"""The version that each stage should run, the version it runs, and its past releases, from tags and release files."""

from typing import Any

from ontime.release.registry import Registry
from ontime.release.release_file import Written, history


def status(registry: Registry, branch: str) -> dict[str, Any]:
    """Versions, oldest first, and for each stage the version it should run and the one in its release file."""
    stages = {}
    for stage in registry.stages:
        event, rows = registry.wanted(stage), releases(stage, registry, branch)
        wanted = {"version": registry.version_of(event), "tag": event.tag} if event else None
        stages[stage] = {"wanted": wanted, "released": rows[0] if rows else None}
    versions = [
        {"version": event.version, "commit": event.commit, "tag": event.tag} for event in registry.registrations()
    ]
    return {"name": registry.name, "versions": versions, "stages": stages}


def status_lines(status: dict[str, Any]) -> list[str]:
    """The status as readable text."""
    lines = []
    for stage, versions in status["stages"].items():
        wanted, released = versions["wanted"], versions["released"]
        lines += [
            f"{stage}:",
            f"  to run    {' by '.join(wanted.values()) if wanted else '-'}",
            f"  released  {_summary(released, 'digest') if released else '-'}",
        ]
    return [*lines, f"versions: {', '.join(version['version'] for version in status['versions']) or '-'}"]


def history_lines(rows: list[dict[str, str | None]]) -> list[str]:
    """The history as readable text."""
    return [f"{row['date']}  {row['stage']}  {_summary(row, 'digest', 'commit', 'tag')}" for row in rows]


def all_releases(registry: Registry, branch: str) -> list[dict[str, str | None]]:
    """The releases of every stage, newest first."""
    rows = [row for stage in registry.stages for row in releases(stage, registry, branch)]
    return sorted(rows, key=lambda row: str(row["date"]), reverse=True)


def releases(stage: str, registry: Registry, branch: str) -> list[dict[str, str | None]]:
    """The releases of a stage, newest first; one edited by hand has no version."""
    return [_row(written, stage, registry) for written in history(stage, branch) if written.release or written.edited]


def _row(written: Written, stage: str, registry: Registry) -> dict[str, str | None]:
    release = written.release
    tags = registry.deploying(release.version, stage) if release else []
    # the newest tag at that time; if a wrong clock dates all of them later, the first
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


def _summary(row: dict[str, str | None], *names: str) -> str:
    return "  ".join([row["version"] or "edited by hand", *(row[name] or "-" for name in names if row["version"])])
