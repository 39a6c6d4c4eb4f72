"""A fork on a table of its own, made as a team makes it: a copy of this checkout, `ontime init`, and a commit."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.checkouts import commit, copy_checkout, run

ROWS = 400


def small_table() -> pd.DataFrame:
    """Two numbers and a category, and an event that follows one number and the category."""
    random = np.random.default_rng(11)
    strong, noise = random.normal(size=ROWS), random.normal(size=ROWS)
    kind = random.choice(["a", "b", "c"], ROWS)
    chance = 1 / (1 + np.exp(-(1.5 * strong + (kind == "a") - (kind == "c"))))
    columns = {"x": strong.round(3), "z": noise.round(3), "c": kind, "y": (random.random(ROWS) < chance).astype(int)}
    return pd.DataFrame(columns)


def make_fork(folder: Path, kind: str = ".csv") -> Path:
    """A committed fork whose graph has not run."""
    checkout = copy_checkout(folder)
    name = f"visits{kind}"
    if kind == ".parquet":
        small_table().to_parquet(checkout / name, index=False)
    else:
        small_table().to_csv(checkout / name, index=False)
    run("ontime", "init", "--source", name, "--target", "y", "--no-run", cwd=checkout)
    commit(checkout, "our table")
    return checkout


def in_fork(checkout: Path, *command: str, check: bool = True) -> str:
    """What a program of this environment prints in the fork, with the fork's own code."""
    done = run(*command, cwd=checkout, check=False, PYTHONPATH=str(checkout / "src"))
    printed = done.stdout + done.stderr
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{printed[-8000:]}"
    return printed
