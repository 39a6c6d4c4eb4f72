"""Exit statuses, and one line where a person made the mistake."""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import pandas as pd
import pytest

from ontime.cli import all_commands, commands, main
from ontime.common.environment import PINNED
from tests.live import PARAMS


class Done(NamedTuple):
    """How a command ended and what it printed."""

    status: int
    stdout: str
    stderr: str


Ontime = Callable[..., Done]


@pytest.fixture
def ontime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ontime:
    """A function that runs the entry point in the test's own folder, with the variables already pinned."""
    monkeypatch.chdir(tmp_path)
    for name, value in PINNED.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["ontime", *arguments])
        try:
            status = main()
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr()
        if isinstance(status, str):
            # what the interpreter does with a text
            return Done(1, printed.out, f"{printed.err}{status}\n")
        return Done(status or 0, printed.out, printed.err)

    return run


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A folder with parameters and a schema for a table of two columns, not yet there."""
    (tmp_path / "data" / "schema").mkdir(parents=True)
    size = "{name: size, type: number, constraints: {maximum: 5}}"
    late = "{name: late, type: integer, constraints: {enum: [0, 1]}}"
    schema = f"fields:\n- {size}\n- {late}\n"
    (tmp_path / "data" / "schema" / "table.yaml").write_text(schema)
    params = PARAMS.read_text(encoding="utf-8")
    _, rest = params.split("\nengine:", 1)
    data = "data:\n  source: table.csv\n  options: {target: late, positive: 1}\n"
    (tmp_path / "params.yaml").write_text(f"{data}\nengine:{rest}", encoding="utf-8")
    return tmp_path


def test_help_lists_every_command_with_what_it_does(ontime: Ontime) -> None:
    done = ontime("--help")
    assert (done.status, done.stderr) == (0, "")
    for name in all_commands():
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"  {name} ")]
        assert len(line.split()) > 2


@pytest.mark.parametrize("name", all_commands())
def test_each_command_is_in_its_module_under_its_own_name(name: str) -> None:
    command = importlib.import_module(all_commands()[name]).command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command is commands.get_command(click.Context(commands), name)


def test_help_imports_no_command_that_it_need_not() -> None:
    program = (
        "import sys, ontime.cli; print('pandas' in sys.modules, 'sklearn' in sys.modules, 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False False False\n"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["train"], ["train", "random_forest", "more"], ["select", "--nonsense"], ["verify", "--stage"]],
)
def test_wrong_usage_is_status_2(ontime: Ontime, arguments: list[str]) -> None:
    done = ontime(*arguments)
    assert (done.status, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["train", "random_forrest"], "error: unknown model random_forrest; did you mean random_forest?\n"),
        (["ingest"], "error: params.yaml: not found; run this in the repository's top folder\n"),
        (["select"], "error: params.yaml: not found; run this in the repository's top folder\n"),
        (["verify"], "error: dvc.lock: not found; run `dvc repro` first\n"),
        (["validate"], "error: data/schema: no schema file; write one with `ontime init`\n"),
        (["s3", "--off"], "error: no S3 server was started in this checkout\n"),
        (["cache"], "error: not a DVC repository; run this in the repository's top folder\n"),
    ],
)
def test_a_problem_is_one_line_and_status_1(ontime: Ontime, arguments: list[str], reason: str) -> None:
    done = ontime(*arguments)
    assert (done.status, done.stdout, done.stderr) == (1, "", reason)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, ontime: Ontime) -> None:
    (tmp_path / "params.yaml").mkdir()
    done = ontime("ingest")
    assert (done.status, done.stderr) == (1, "error: params.yaml: Is a directory\n")


def test_each_violation_is_a_line_of_its_own(fork: Path, ontime: Ontime) -> None:
    pd.DataFrame({"size": [1, 9], "late": [2, 1]}).to_csv(fork / "table.csv", index=False)
    assert ontime("ingest").status == 0
    done = ontime("validate")
    assert done.status == 1
    assert done.stderr.splitlines() == [
        "error: table.size: maximum 5: 1 rows, for example 9.0 (table)",
        "error: table.late: enum [0, 1]: 1 rows, for example 2 (table)",
    ]
    assert not (fork / "data" / "processed" / "validation.json").exists()


def test_a_command_that_succeeds_says_nothing(fork: Path, ontime: Ontime) -> None:
    (fork / "table.csv").write_text("size,late\n1,0\n2,1\n")
    done = ontime("ingest")
    assert (done.status, done.stdout, done.stderr) == (0, "", "")


def waits_for_writer(pid: int) -> bool:
    """Whether a process sleeps in the opening of a named pipe that has no writer."""
    return "wait_for_partner" in Path(f"/proc/{pid}/wchan").read_text()


def test_a_problem_ends_the_process_with_its_line_and_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ontime", "ingest"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    reason = "error: params.yaml: not found; run this in the repository's top folder\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", reason)


def test_an_interrupted_command_is_status_130_without_a_traceback(fork: Path) -> None:
    os.mkfifo(fork / "table.csv")
    with subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "ontime", "ingest"],
        cwd=fork,
        env={**os.environ, **PINNED},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while process.poll() is None and not waits_for_writer(process.pid):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.strip()) == (130, "")


def test_a_full_disk_is_one_line(fork: Path, ontime: Ontime) -> None:
    (fork / "table.csv").write_text("size,late\n" + "".join(f"{number / 7},{number % 2}\n" for number in range(50_000)))
    disk = fork / "data" / "raw"
    disk.parent.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(fork / "data")]
    schema = (fork / "data" / "schema" / "table.yaml").read_text()
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount")
    try:
        (fork / "data" / "schema").mkdir()
        (fork / "data" / "schema" / "table.yaml").write_text(schema)
        (fork / "data" / "ballast").write_bytes(b"0" * 900_000)
        done = ontime("ingest")
        left = sorted(path.name for path in (fork / "data").iterdir())
    finally:
        subprocess.run(["umount", "--lazy", fork / "data"], check=True)
    assert done.status == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert "No space left on device" in done.stderr
    assert left == ["ballast", "schema"]
