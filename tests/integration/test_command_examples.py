"""The examples of the commands' page run as they stand, in its order, on a checkout whose graph is small."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.checkouts import TOP, commit, environment, git, run
from tests.live import predicts_flights
from tests.pages import FENCE
from tests.services import start

PAGE = TOP / "docs" / "reference" / "commands.md"
ELSEWHERE = {
    "ontime backtest": "tests/backtest/test_backtest.py",
    "ontime comment": "tests/pull_request/test_comment.py",
    "ontime forget": "tests/integration/test_forget.py",
    "ontime image": "tests/integration/test_image.py",
    "ontime manifests": "tests/rehearsal/test_loop.py",
    "ontime monitor challenger": "tests/monitoring/test_day.py",
    "ontime monitor day": "tests/monitoring/test_day.py",
    "ontime monitor incidents": "tests/monitoring/test_incidents.py",
    "ontime monitor inputs": "tests/monitoring/test_inputs.py",
    "ontime monitor labels": "tests/monitoring/test_labels.py",
    "ontime monitor replay": "tests/monitoring/test_replay.py",
    "ontime monitor skew": "tests/monitoring/test_skew.py",
    "ontime propose": "tests/retraining/test_proposal.py",
    "ontime subject": "tests/integration/test_forget.py",
    "ontime verify production": "tests/rehearsal/test_loop.py",
    "ontime verify release": "tests/verification/test_release.py",
}
"""What needs a cluster, a registry, persons or months of days: the test that runs the command."""
CHANGES = ("init", "set")
"""What leaves other settings, which the next examples do not expect."""
REPLACED = {"data/raw": "data/external/tumours.csv"}
"""What `ontime predict` reads of the flights, and of the small fork."""


def examples() -> list[tuple[str, list[str]]]:
    """Each command's name with the lines of its example, in the page's order."""
    sections = re.split(r"^### ontime (\S+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [
        (name, [line for language, block in FENCE.findall(text) if language == "shell" for line in block.splitlines()])
        for name, text in zip(sections[1::2], sections[2::2], strict=True)
    ]


def elsewhere(line: str) -> str | None:
    """The test that runs a command, if this one does not."""
    found = [path for begin, path in ELSEWHERE.items() if re.sub(r"^([A-Z_]+=\S+ )+", "", line).startswith(begin)]
    return found[0] if found else None


@pytest.mark.parametrize(("command", "path"), ELSEWHERE.items())
def test_a_command_that_needs_more_runs_in_a_test_of_its_own(command: str, path: str) -> None:
    assert [line for _, lines in examples() for line in lines if line.startswith(command)]
    text = (TOP / path).read_text(encoding="utf-8")
    assert re.search(rf"\b{command.split()[-1]}\b", text)


def perform(line: str, checkout: Path) -> None:
    """Run a line as a shell does, its variables and standard input too."""
    for place, value in REPLACED.items():
        if line.startswith("ontime predict"):
            line = line.replace(place, value)
    words, given = shlex.split(line), Path(os.devnull)
    if "<" in words:
        given = checkout / words[words.index("<") + 1]
        words = words[: words.index("<")]
    person = {
        f"GIT_{who}_{what}": "test@example.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    with given.open() as read:
        done = subprocess.run(
            ["env", *words],
            cwd=checkout,
            env=environment(**person),
            stdin=read,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"


@contextmanager
def served(checkout: Path) -> Iterator[str]:
    """The address of a service of the champion, on free ports, which writes the log that later examples read."""
    folder = checkout / "served"
    shutil.copytree(checkout / "models" / "champion", folder / "model")
    shutil.copyfile(checkout / "models" / "champion.sig", folder / "model.sig")
    shutil.copyfile(checkout / ".keys" / "model.pub", folder / "model.pub")
    running = start(folder, checkout / "service.log", DRAIN_SECONDS="0", MODEL_VERSION="0.0.0")
    try:
        yield running.url
    finally:
        running.process.terminate()
        running.process.wait(timeout=20)


@pytest.fixture
def checkout(tmp_path: Path, copy_of_run: Callable[[Path], Path]) -> Iterator[Path]:
    """A small graph that has run, with an origin, and an S3 server as its DVC remote."""
    made = copy_of_run(tmp_path / "checkout")
    (made / ".git" / "info" / "exclude").write_text("service.log\nsettings.txt\nserved\n")
    (made / "settings.txt").write_text("train.seed=7\n")
    commit(made, "graph")
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(made, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(made, "push", "--quiet", "origin", "main")
    try:
        yield made
    finally:
        run("ontime", "s3", "--off", cwd=made, check=False)


@pytest.mark.rehearsal
@pytest.mark.skipif(not predicts_flights(), reason="an example brings the flights back from this history")
def test_every_example_runs(checkout: Path) -> None:
    done = []
    with ExitStack() as stack:
        address = ""
        for name, lines in examples():
            for line in lines:
                if elsewhere(line):
                    continue
                if line.endswith("ontime serve"):
                    address = stack.enter_context(served(checkout))
                else:
                    perform(line.replace("http://127.0.0.1:8080", address or "http://127.0.0.1:8080"), checkout)
                done.append(line)
            if name in CHANGES:
                git(checkout, "stash", "--quiet", "--include-untracked")
            if name == "s3":
                # its last line stops the server
                run("ontime", "s3", cwd=checkout)
    assert {line.split("ontime ")[1].split()[0] for line in done if "ontime " in line} >= {"init", "serve", "release"}
