"""The entry point imports next to nothing before the environment is pinned, and then runs the command."""

import os
import subprocess
import sys

from ontime.__main__ import NEW_OBJECTS
from ontime.common.environment import PINNED
from tests.checkouts import TOP


def run(program: str, **variables: str) -> str:
    """What a program prints in the top folder, with these variables alone pinned."""
    kept = {name: value for name, value in os.environ.items() if name not in PINNED}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=TOP,
        env={**kept, "PYTHONPATH": "src", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_no_package_is_imported_before_the_environment_is_pinned() -> None:
    program = "import sys, ontime.__main__; print(*(n for n in sys.modules if n.partition('.')[0] in {}))"
    names = {"click", "numpy", "ontime", "pydantic", "ruamel"}
    loaded = set(run(program.format(names)).split())
    assert loaded == {"ontime", "ontime.__main__", "ontime.common", "ontime.common.environment"}


def test_a_command_collects_garbage_seldom() -> None:
    program = "import gc, sys; sys.argv = ['ontime', '-h']; from ontime.__main__ import start; start(); {}"
    printed = run(program.format("print(gc.get_threshold()[0])"), **PINNED)
    assert printed.startswith("Usage: ontime ")
    assert printed.splitlines()[-1] == str(NEW_OBJECTS)


def test_the_module_ends_with_the_status_of_its_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ontime", "monitor", "inputs"], cwd=TOP, capture_output=True, check=False
    )
    assert done.returncode == 2
