"""The proof of a change: `dvc.lock` is what its code makes of its data, and every output is in the remote.

In: the checkout and a base revision. Out: one line for each stage or output that is wrong, and exit status 1.

Nothing runs for a change to no pipeline file. Otherwise no stage may be left to run and no output unpushed, which is
seen without any data; then the stages whose entries in `dvc.lock` differ from the base's run again, without cache, on
inputs from the remote, and must come out with the hashes that `dvc.lock` has. Where there are no credentials for the
remote (a fork's pull request), the base's own graph makes the inputs.
"""

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.repository.dvc import answer, dvc, how_to_push, show
from ontime.repository.git import clone, commit_of, git, tried
from ontime.repository.lock_file import LOCK, Stages, committed_lock, outputs, read_lock, tracked

GRAPH_FILES = ("dvc.yaml", "dvc.lock", "params.yaml", "requirements.txt", ".dvc/config")
COMPARED_STAGES = ("evaluate", "baselines", "select")
"""Whose outputs `ontime report` compares with the base's, row by row by the key in `paths.FEATURE_LAYOUT`."""
NOT_HERE = ("deleted", "not in cache")


@click.command(name="proof")
@click.option("--base", metavar="REV", help="The revision to compare with; without it, nothing is run again.")
@click.option("--no-remote", is_flag=True, help="Without the remote: the base's graph makes the inputs.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder for a report.md with what is wrong.")
def command(base: str | None, no_remote: bool, output: Path | None) -> None:
    """Prove that dvc.lock is what the code makes and that its outputs are in the remote."""
    since = merge_base(base) if base else None
    locked = read_lock(LOCK)
    if since:
        changed = pipeline_changes(since, locked)
        if not changed:
            click.echo(f"no pipeline file differs from {base}: nothing to prove")
            return
        click.echo(f"pipeline files that differ from {base}: {_few(changed)}")
    made = locked_hashes(locked)
    told = [*stale_stages(locked, made), *([] if no_remote else unpushed_outputs(made))]
    if since and not told:
        told = prove(since, locked, made, remote=not no_remote)
    if told:
        if output:
            write_failure(output, told)
        for line in told[:-1]:
            click.echo(f"error: {line}", err=True)
        raise OntimeError(told[-1])
    click.echo(f"{LOCK}: proven")


def merge_base(base: str) -> str:
    """The commit where this checkout's history left the base's; the base itself where a shallow clone ends before."""
    commit = commit_of(base)
    if commit is None:
        raise OntimeError(f"--base {base}: no such revision")
    return tried("merge-base", commit, "HEAD") or commit


def pipeline_changes(since: str, locked: Stages) -> list[str]:
    """Files that the graph depends on and that differ from a commit, or are not in git yet."""
    inputs = {dep["path"] for stage in locked.values() for dep in stage["deps"]} - outputs(locked).keys()
    listed = git("diff", "--name-only", "--no-renames", "-z", since)
    listed += git("ls-files", "-z", "--others", "--exclude-standard")
    return sorted(name for name in set(listed.split("\0")) if name and is_pipeline_file(name, inputs))


def is_pipeline_file(name: str, inputs: set[str]) -> bool:
    """Whether a change of the file can change the graph's outputs: it is, or lies in, an input of a stage."""
    return name in GRAPH_FILES or name.endswith(".dvc") or any(name == i or name.startswith(f"{i}/") for i in inputs)


def locked_hashes(locked: Stages) -> dict[str, str]:
    """Hash of each path that a stage makes, by dvc.lock, or that DVC tracks by a `.dvc` file of its own."""
    made = outputs(locked)
    for name in filter(None, git("ls-files", "-z", "--", "*.dvc").split("\0")):
        made |= tracked(Path(name))
    return made


def stale_stages(locked: Stages, made: Mapping[str, str]) -> list[str]:
    """A line for each stage that `dvc repro` would run, with the reason; data that is not here counts as locked."""
    reasons = {name: [*stale_reasons(entries, made)] for name, entries in answer("status").items()}
    for name, stage in locked.items():
        for dep in stage["deps"]:
            if dep["path"] in made and dep.get("md5") != made[dep["path"]]:
                reasons.setdefault(name, []).append(dep["path"])
    return [
        f"stage {name}: stale, changed: {_few([*dict.fromkeys(found)])}; run `dvc repro` and `dvc push`, commit {LOCK}"
        for name, found in reasons.items()
        if found
    ]


def stale_reasons(entries: list[Any], made: Mapping[str, str]) -> Iterator[str]:
    """What `dvc status --json` says of one stage, less what is locked and only not here."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry.removeprefix("changed ")
            continue
        for path, state in itertools.chain.from_iterable(states.items() for states in entry.values()):
            if isinstance(state, dict):
                yield from (f"{path} {parameter}" for parameter in state)
            elif state not in NOT_HERE or path not in made:
                yield path


def unpushed_outputs(made: Mapping[str, str]) -> list[str]:
    """A line for each output of which the default remote lacks a file."""
    found = set(answer("data", "status", "--not-in-remote", "--granular").get("not_in_remote", ()))
    lacking = {next((out for out in made if path == out or path.startswith(f"{out}/")), path) for path in found}
    return [f"output {path}: not in the remote; run {how_to_push(path, found)}" for path in sorted(lacking)]


def prove(since: str, locked: Stages, made: Mapping[str, str], remote: bool) -> list[str]:
    """Run the stages again whose entries differ from the base's, and fetch what a report compares.

    Returns:
        A line for each output whose hash is not the locked one.
    """
    if not remote:
        run_base(since)
    changed = changed_stages(since, locked)
    made_again = {out["path"] for name in changed for out in locked[name]["outs"]}
    bring({dep["path"] for name in changed for dep in locked[name]["deps"]} & made.keys() - made_again, remote)
    text = LOCK.read_bytes()
    for name in changed:
        show("repro", "--force", "--no-run-cache", "--single-item", name)
    click.echo(f"{len(changed)} of {len(locked)} stages run again: {', '.join(changed) or 'none'}")
    again = locked_hashes(read_lock(LOCK))
    told = [
        f"stage {name}: {out['path']} is not what {LOCK} says; run `dvc repro` and `dvc push`, commit {LOCK}"
        for name in changed
        for out in locked[name]["outs"]
        if out["md5"] != again.get(out["path"])
    ]
    if not told:
        # the same content, in the words of the commit
        with replacing(LOCK) as temporary:
            temporary.write_bytes(text)
        compared = [stage for name, stage in locked.items() if name.partition("@")[0] in COMPARED_STAGES]
        wanted = {str(paths.FEATURE_LAYOUT), *(out["path"] for stage in compared for out in stage["outs"])}
        bring(wanted & made.keys(), remote)
    return told


def bring(wanted: set[str], remote: bool) -> None:
    """Pull, or without the remote check out, those of the paths that are not here."""
    # all at once, then one by one: among several targets DVC can leave out a folder that its cache does not have
    for targets in (sorted(wanted), *([path] for path in sorted(wanted))):
        missing = [path for path in targets if not Path(path).exists()]
        if missing:
            show("pull" if remote else "checkout", *missing)


def changed_stages(since: str, locked: Stages) -> list[str]:
    """Stages, in the order in which they can run, whose locked entries are not the base's."""
    before = committed_lock(since)
    return [name for name, stage in locked.items() if stage != before.get(name)]


def run_base(since: str) -> None:
    """Run the base's graph with the base's code, in a copy that fills this checkout's cache."""
    cache = dvc("cache", "dir")
    with tempfile.TemporaryDirectory(prefix="ontime-base-") as top:
        copy = Path(top) / "checkout"
        clone(copy, since)
        dvc("cache", "dir", "--local", cache, folder=copy)
        show("repro", "--quiet", folder=copy)


def write_failure(output: Path, told: list[str]) -> None:
    """Write what is wrong as a report that takes the place of the pull request's comment."""
    from ontime.pull_request.report import MARKER

    with replacing(output) as folder:
        folder.mkdir()
        lines = [MARKER, "", f"## {LOCK} is not proven", "", *(f"- {line}" for line in told), ""]
        (folder / "report.md").write_text("\n".join(lines), encoding="utf-8")


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
