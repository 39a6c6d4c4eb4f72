"""A team's repository: a small graph that has run, its S3 remote, and a clone where somebody works."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tests.checkouts import TOP, commit, git, reproduce, run, small_fork
from tests.commands import make_small
from tests.forge import REPEATED, WEAK, bare, set_parameters

OF_BOOSTING = {
    *(f"{stage}.gradient_boosting" for stage in ("train", "evaluate", "cross-validate")),
    *("select", "refit", "forward", "export"),
}
"""Airflow's tasks of the stages that a parameter of boosting, which is champion, makes run."""


@dataclass(frozen=True)
class Team:
    """A repository with a graph that has run, its S3 remote, and a clone where somebody works."""

    origin: Path
    clone: Path
    graph: str
    """The commit of main."""
    aws: str
    """The remote's address and keys as environment variables, a line each."""


def team_graph(top: Path, start: datetime | None = None) -> Path:
    """A small fork that has run, whose champion is boosting, with rows enough that a slice of half of them is judged.

    Args:
        top: an empty folder, below which it is made.
        start: time of the first row; the others follow two hours apart, and the split is by time.
    """
    clone = small_fork(top / "clone")
    table = clone / "data" / "external" / "tumours.csv"
    header, *rows = table.read_text().splitlines()
    header, rows = f"{header},clinic", [f"{row},{'ab'[place % 2]}" for place, row in enumerate(rows * REPEATED)]
    if start:
        times = (start + timedelta(hours=2 * place) for place in range(len(rows)))
        header, rows = (
            f"{header},at",
            [f"{row},{time:%Y-%m-%dT%H:%M:%SZ}" for row, time in zip(rows, times, strict=True)],
        )
    table.write_text("\n".join([header, *rows, ""]))
    by_time = ["--time", "at"] if start else []
    table_of = ["--source", "data/external/tumours.csv", "--target", "target"]
    run("ontime", "init", *table_of, *by_time, "--no-run", cwd=clone)
    make_small(clone / "params.yaml")
    for family, values in {**WEAK, "gradient_boosting": {"max_iter": 5}}.items():
        set_parameters(clone, f"train.{family}", **values)
    set_parameters(clone, "gate", slice_rows=20, slices={"absolute": 0.0, "relative": 0.0})
    (clone / ".gto").write_bytes((TOP / ".gto").read_bytes())
    reproduce(clone)
    commit(clone, "graph")
    return clone


@contextmanager
def team_at(clone: Path) -> Iterator[Team]:
    """The team that works in such a fork, with its origin in the same folder."""
    run("ontime", "s3", cwd=clone)
    try:
        run("dvc", "push", "--quiet", cwd=clone)
        state = json.loads((clone / ".s3" / "server.json").read_text())
        aws = (
            f"AWS_ENDPOINT_URL=http://127.0.0.1:{state['port']}\n"
            f"AWS_ACCESS_KEY_ID={state['access_key_id']}\nAWS_SECRET_ACCESS_KEY={state['secret_access_key']}\n"
        )
        yield Team(bare(clone, clone.parent / "origin.git"), clone, git(clone, "rev-parse", "HEAD").strip(), aws)
    finally:
        run("ontime", "s3", "--off", cwd=clone)


def train(team: Team) -> None:
    """Run what a change touches, push, commit."""
    reproduce(team.clone)
    run("dvc", "push", "--quiet", cwd=team.clone)
    commit(team.clone, "change")
