"""What is slow to make and only read is made once for all processes that run the tests."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

MakeOnce = Callable[[str, Callable[[Path], object]], Path]
"""Takes a name and what makes an empty folder's content; returns the folder."""


def make_once(factory: pytest.TempPathFactory) -> MakeOnce:
    """A function that makes a folder where no process of this run has made it, and waits where another one does."""
    top = factory.getbasetemp()
    # each worker's folder is below that of the run
    top = (top.parent if "PYTEST_XDIST_WORKER" in os.environ else top) / "once"

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, ended = top / name, top / f"{name}.made"
        top.mkdir(exist_ok=True)
        with (top / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not ended.exists():
                # a maker that failed in another process may have left a part
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                ended.touch()
        return folder

    return made
