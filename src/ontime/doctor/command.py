"""Say what this machine has of what the project needs, what each thing is for, and how to get what is absent.

Exit status 0 if `make repro` can run; what only other commands need may be absent.
"""

import json
import shutil
import sys
from dataclasses import asdict
from functools import partial

import click

from ontime.doctor import machine, reach
from ontime.doctor.finding import Check, Finding


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--offline", is_flag=True, help="Ask no server: leave out the remote, the registry and the cluster.")
@click.option(
    "--spare",
    type=click.FloatRange(min=0),
    default=machine.SPARE_BYTES / machine.GIB,
    help="GiB that must be free beside the outputs.",
)
def command(as_json: bool, offline: bool, spare: float) -> None:
    """Say what this machine lacks, and how to get it."""
    found = [check.run() for check in checks(int(spare * machine.GIB), offline)]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for line in table(found, shutil.get_terminal_size().columns if sys.stdout.isatty() else 0):
            click.echo(line)
    if any(finding.state == "missing" for finding in found):
        sys.exit(1)


def checks(spare: int, offline: bool) -> list[Check]:
    """What is looked at, in order."""
    install = "with your system's packages, such as `apt install"
    own = [
        Check("python", True, "everything", "install Python 3.11 with venv, then `make setup`", machine.python),
        Check("packages", True, "the graph, with the same bytes everywhere", "make setup", machine.packages),
        Check("git", True, "code, parameters and dvc.lock", f"{install} git`; `git clone`", machine.git_repository),
        Check("processor", True, "the same bytes on every machine", "use Linux on x86-64 with AVX2", machine.processor),
        Check("disk", True, "outputs and DVC's cache", "free space, or `dvc gc`", partial(machine.disk, spare)),
        Check("source", True, "the graph, which reads this table", "ontime pull", reach.source),
        Check(
            "identity",
            False,
            "commits, and `dvc exp run`, which makes one",
            "git config --global user.name NAME; git config --global user.email MAIL",
            machine.identity,
        ),
        Check("hooks", False, "data that follow `git checkout` and `git push`", "dvc install", machine.hooks),
        Check("podman", False, "the service's image: `make image`", f"{install} podman`", machine.podman),
        Check("go", False, "`make manifests`, whose tools it builds", "https://go.dev/doc/install", machine.go),
        Check("compiler", False, "`ontime verify` on other processors", f"{install} gcc`", machine.compiler),
        Check("java", False, "Spark: `make setup-spark`", f"{install} openjdk-17-jre-headless`", machine.java),
    ]
    if offline:
        return own
    return [
        *own,
        Check(
            "remote",
            False,
            "shared data and models: `ontime pull`, `make pull-request`",
            "`ontime init --remote ADDRESS`, and log in by the cloud's command line; to try it: `make s3`",
            reach.remote,
        ),
        Check("registry", False, "images", "`ontime init --registry HOST`; docker login HOST", reach.registry),
        Check(
            "cluster",
            False,
            "the deployed model: `ontime verify production`",
            "install kubectl, and choose the cluster by `kubectl config use-context NAME`",
            reach.cluster,
        ),
    ]


def table(found: list[Finding], width: int) -> list[str]:
    """A line for each finding: its name, its state, what was found, what it is for, and how to get it if it is absent.

    Args:
        width: columns of the terminal, at which a line is broken; 0 for none.
    """
    lines = []
    for one in found:
        start = f"{one.name:<10} {one.state:<8} "
        parts = [one.found, f"needed for {one.purpose}", *([f"to get it: {one.mend}"] if one.state != "ok" else [])]
        line = start + "; ".join(parts)
        if width and len(line) > width:
            lines += [start + parts[0], *(f"{'':<{len(start)}}{part}" for part in parts[1:])]
        else:
            lines.append(line)
    absent = [one.name for one in found if one.state == "missing"]
    return [*lines, f"`make repro` cannot run: {', '.join(absent)}" if absent else "`make repro` can run"]
