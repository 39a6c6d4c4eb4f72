"""`dvc repro` killed at random moments: the next one goes on, and ends with the same hashes."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.checkouts import environment, locked_hashes, run, small_fork

KILLS = int(os.environ.get("ONTIME_KILLS", "50"))
LONGEST_SECONDS = 12.0


def forget_everything(checkout: Path) -> None:
    """Remove every output, the lock and the cache, so that the next run starts from nothing."""
    for name in ("data/raw", "data/processed", "models", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(checkout / name, ignore_errors=True)
    (checkout / "dvc.lock").unlink()


@pytest.mark.rehearsal
def test_killed_repro_is_finished_by_the_next_one_with_the_same_hashes(tmp_path: Path) -> None:
    checkout = small_fork(tmp_path / "checkout")
    run("dvc", "repro", cwd=checkout)
    wanted = locked_hashes(checkout)
    forget_everything(checkout)
    moments = random.Random(20130101)
    printed = tmp_path / "printed.txt"
    kills = completed = mended = 0
    while kills < KILLS:
        mended += "half written" in run("ontime", "lock", cwd=checkout).stdout
        with printed.open("wb") as output:
            process = subprocess.Popen(
                ["dvc", "repro"],
                cwd=checkout,
                env=environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            process.wait(timeout=moments.uniform(0.1, LONGEST_SECONDS))
        except subprocess.TimeoutExpired:
            kills += 1
            if kills % 2:
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            continue
        assert process.returncode == 0, f"after {kills} kills: {printed.read_text()}"
        assert locked_hashes(checkout) == wanted
        completed += 1
        forget_everything(checkout)
    time.sleep(1)
    run("ontime", "lock", cwd=checkout)
    run("dvc", "repro", cwd=checkout)
    assert locked_hashes(checkout) == wanted
    assert not list(checkout.rglob(".*.partial"))
    print(f"{kills} kills, {mended} left half a lock file, {completed + 1} runs finished, all hashes equal")
