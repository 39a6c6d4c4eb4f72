"""Runs the project's own commands for a task: in a clone of the task's run, by the programs of its own `.venv`.

`ONTIME_ORIGIN` is what a run clones (default: `origin` of the checkout that these files are in), `ONTIME_RUNS` the
folder of the clones (default: `runs` in Airflow's home), `ONTIME_PROGRAMS` the folder of `ontime` and `dvc` (default:
`.venv/bin` of that checkout). They are read when a task runs, not when the scheduler reads the files.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowException

CHECKOUT = Path(__file__).resolve().parents[1]
SCRIPTS = ".github/scripts"
HIDDEN = re.compile(r"_?AIRFLOW|GITHUB_TOKEN$|PYTHONPATH$|VIRTUAL_ENV$")
"""Variables that a command does not get: it works on data from elsewhere, and Airflow's have keys and passwords."""


class Done(NamedTuple):
    """What a command printed, and the values that it left as a step of a workflow does."""

    text: str
    outputs: dict[str, str]


def origin() -> str:
    """The address of the repository."""
    found = os.environ.get("ONTIME_ORIGIN")
    return found or run("git", "remote", "get-url", "origin", folder=CHECKOUT).text.strip()


def forge() -> dict[str, str]:
    """What a command needs that calls the forge, by the names that a workflow has; asked for when it is needed."""
    known = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_API_URL": "https://api.github.com"}
    found = re.search(r"[^/:]+/[^/:]+?(?=(\.git)?/?$)", origin())
    if found:
        known["GITHUB_REPOSITORY"] = found[0]
    given = {name: value for name, value in os.environ.items() if name in (*known, "GITHUB_REPOSITORY")}
    return known | given | {"GITHUB_TOKEN": Connection.get("forge").password}


def run_folder(dag_run: Any) -> Path:
    """The folder of a run, which its tasks share."""
    runs = os.environ.get("ONTIME_RUNS") or Path(os.environ["AIRFLOW_HOME"]) / "runs"
    return Path(runs) / f"{dag_run.dag_id}-{re.sub(r'[^A-Za-z0-9.-]', '-', dag_run.run_id)}"


def checkout_of(context: Mapping[str, Any]) -> Path:
    """The clone of a task's run that its stages work in."""
    return run_folder(context["dag_run"]) / "checkout"


def remove(**context: Any) -> None:
    """Remove the run's clones; those of a failed run stay, so that its tasks can be cleared and run again."""
    shutil.rmtree(run_folder(context["dag_run"]))


def clone(folder: Path, commit: str = "origin/main") -> str:
    """Clone the repository anew into a folder, and return the commit that is checked out.

    Raises:
        AirflowException: git failed, or the programs are those of other locked packages.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run("git", "clone", "--quiet", "--no-checkout", origin(), str(folder), folder=folder.parent)
    run("git", "checkout", "--quiet", "--detach", commit, folder=folder)
    return run("git", "rev-parse", "HEAD", folder=folder).text.strip()


def check_programs(folder: Path) -> None:
    """Refuse a clone that needs other packages than the programs have.

    Raises:
        AirflowException: the lock files differ.
    """
    if (folder / "requirements.txt").read_bytes() != (CHECKOUT / "requirements.txt").read_bytes():
        raise AirflowException(
            f"{CHECKOUT}: its requirements.txt is not that of main; update this checkout and run `make setup`, "
            "or use the image of main"
        )


def run(
    *command: str, folder: Path, text: str = "", check: bool = True, variables: Mapping[str, str] | None = None
) -> Done:
    """Run a command with its output in the task's log; it ends when the task's process does.

    Args:
        folder: where it runs.
        text: its standard input.
        check: whether a status other than 0 is a failure.
        variables: of its environment, beside this process's own.

    Raises:
        AirflowException: it failed.
    """
    with tempfile.TemporaryDirectory() as made, (Path(made) / "input").open("w+", encoding="utf-8") as source:
        source.write(text)
        source.seek(0)
        outputs = Path(made) / "outputs"
        outputs.touch()
        kept = {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(Path(made) / "summary")}
        with subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            cwd=folder,
            env={**_environment(), **kept, **(variables or {})},
            stdin=source,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            lines = []
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line)
        if check and process.returncode:
            raise AirflowException(f"{' '.join(command)}: exit status {process.returncode}; see the log above")
        return Done("".join(lines), _values(outputs.read_text(encoding="utf-8")))


def _environment() -> dict[str, str]:
    programs = os.environ.get("ONTIME_PROGRAMS") or str(CHECKOUT / ".venv" / "bin")
    kept = {name: value for name, value in os.environ.items() if not HIDDEN.match(name)}
    return {**kept, "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])}


def _values(text: str) -> dict[str, str]:
    parts = (line.partition("=") for line in text.splitlines())
    return {name: value for name, sign, value in parts if sign}
