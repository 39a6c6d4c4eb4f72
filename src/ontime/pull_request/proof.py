"""Prove a change: its code and data reproduce `dvc.lock`, and every output is in the remote.

In: the checkout and a base revision. Out: one line for each stage or output that fails, and exit status 1.

If no pipeline file changed, nothing runs. Otherwise, no stage may be stale and no output unpushed, which is checked
without data. Then the stages whose entries in `dvc.lock` differ from the base's are rerun without cache, on inputs from
the remote, and must reproduce the hashes in `dvc.lock`. Without credentials for the remote (a fork's pull request), the
base's graph is run to make the inputs.
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
from ontime.repository.lock_file import LOCK, Stages, committed_lock, outputs, read_lock
from ontime.repository.objects import output_md5
from ontime.repository.pull import all_outputs, fetch_listings, pull
from ontime.repository.remote import check_remote

GRAPH_FILES = ("dvc.yaml", "dvc.lock", "params.yaml", "requirements.txt", ".dvc/config")
COMPARED_STAGES = ("evaluate", "baselines", "select")
"""Whose outputs `ontime report` compares with the base's, row by row by the key in `paths.FEATURE_LAYOUT`."""
NOT_HERE = ("deleted", "not in cache")


@click.command(name="proof")
@click.option("--base", metavar="REV", help="The revision to compare with; without it, no stage is rerun.")
@click.option("--no-remote", is_flag=True, help="Do not use the remote; run the base's graph to make the inputs.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder for a report.md with the failures.")
def command(base: str | None, no_remote: bool, output: Path | None) -> None:
    """Check that the code reproduces dvc.lock and that its outputs are in the remote."""
    since = merge_base(base) if base else None
    locked = read_lock(LOCK)
    if since:
        changed = pipeline_changes(since, locked)
        if not changed:
            click.echo(f"no pipeline file differs from {base}: nothing to prove")
            return
        click.echo(f"pipeline files that differ from {base}: {_few(changed)}")
    made = locked_hashes(locked)
    if not no_remote:
        fetch_listings(made)
    failures = [*(stale_stages(locked, made) or changed_outputs(made)), *([] if no_remote else unpushed_outputs(made))]
    if since and not failures:
        failures = prove(since, locked, made, remote=not no_remote)
    if failures:
        if output:
            write_failure(output, failures)
        for line in failures[:-1]:
            click.echo(f"error: {line}", err=True)
        raise OntimeError(failures[-1])
    click.echo(f"{LOCK}: proven")


def merge_base(base: str) -> str:
    """The merge base of HEAD and the base; the base itself if a shallow clone does not contain it."""
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
    """Hash of each output in dvc.lock, and of each path that a `.dvc` file tracks."""
    return all_outputs(locked)


def stale_stages(locked: Stages, made: Mapping[str, str]) -> list[str]:
    """A line for each stage that `dvc repro` would run, with the reason; missing data counts as unchanged."""
    reasons = {name: [*stale_reasons(entries, made)] for name, entries in answer("status").items()}
    for name, stage in locked.items():
        for dep in stage["deps"]:
            if dep["path"] in made and dep.get("md5") != made[dep["path"]]:
                reasons.setdefault(name, []).append(dep["path"])
    return [
        f"stage {name}: stale, changed: {_few([*dict.fromkeys(names)])}; run `dvc repro` and `dvc push`, commit {LOCK}"
        for name, names in reasons.items()
        if names
    ]


def stale_reasons(entries: list[Any], made: Mapping[str, str]) -> Iterator[str]:
    """The changes of one stage in `dvc status --json`, without locked data that is only missing in the checkout."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry.removeprefix("changed ")
            continue
        for path, state in itertools.chain.from_iterable(states.items() for states in entry.values()):
            if isinstance(state, dict):
                yield from (f"{path} {parameter}" for parameter in state)
            elif state not in NOT_HERE or path not in made:
                yield path


def changed_outputs(made: Mapping[str, str]) -> list[str]:
    """A line for each output in the checkout whose bytes, all of them read, are not those of the lock."""
    return [
        f"output {path}: not the bytes that {LOCK} says; run `ontime cache`, then `ontime pull {path}`"
        for path, md5 in made.items()
        if Path(path).exists() and output_md5(Path(path)) != md5
    ]


def unpushed_outputs(made: Mapping[str, str]) -> list[str]:
    """A line for each output with a file that is missing in the default remote."""
    check_remote()
    missing = set(answer("data", "status", "--not-in-remote", "--granular").get("not_in_remote", ()))
    incomplete = {next((out for out in made if path == out or path.startswith(f"{out}/")), path) for path in missing}
    return [f"output {path}: not in the remote; run {how_to_push(path, missing)}" for path in sorted(incomplete)]


def prove(since: str, locked: Stages, made: Mapping[str, str], remote: bool) -> list[str]:
    """Rerun the stages whose entries differ from the base's, and fetch the outputs that the report compares.

    Returns:
        A line for each output whose hash differs from the locked one.
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
    failures = [
        f"stage {name}: {out['path']} is not what {LOCK} says; run `dvc repro` and `dvc push`, commit {LOCK}"
        for name in changed
        for out in locked[name]["outs"]
        if out["md5"] != again.get(out["path"])
    ]
    if not failures:
        # the same content, byte for byte as committed
        with replacing(LOCK) as temporary:
            temporary.write_bytes(text)
        compared = [stage for name, stage in locked.items() if name.partition("@")[0] in COMPARED_STAGES]
        needed = {str(paths.FEATURE_LAYOUT), *(out["path"] for stage in compared for out in stage["outs"])}
        bring(needed & made.keys(), remote)
    return failures


def bring(needed: set[str], remote: bool) -> None:
    """Pull, or without the remote check out, the paths that are missing in the checkout."""
    # all at once, then one by one: with several targets DVC can skip a folder that its cache does not have
    for targets in (sorted(needed), *([path] for path in sorted(needed))):
        missing = [path for path in targets if not Path(path).exists()]
        if missing:
            if remote:
                pull(missing)
            else:
                show("checkout", *missing)


def changed_stages(since: str, locked: Stages) -> list[str]:
    """Stages, in the order in which they can run, whose locked entries are not the base's."""
    before = committed_lock(since)
    return [name for name, stage in locked.items() if stage != before.get(name)]


def run_base(since: str) -> None:
    """Run the base's graph with the base's code, in a clone that uses this checkout's cache."""
    cache = dvc("cache", "dir")
    with tempfile.TemporaryDirectory(prefix="ontime-base-") as top:
        copy = Path(top) / "checkout"
        clone(copy, since)
        dvc("cache", "dir", "--local", cache, folder=copy)
        show("repro", "--quiet", folder=copy)


def write_failure(output: Path, failures: list[str]) -> None:
    """Write the failures as a report, which replaces the pull request's comment."""
    from ontime.pull_request.comment import MARKER

    with replacing(output) as folder:
        folder.mkdir()
        lines = [MARKER, "", f"## {LOCK} is not proven", "", *(f"- {line}" for line in failures), ""]
        (folder / "report.md").write_text("\n".join(lines), encoding="utf-8")


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
