"""The dataset that the code knows comes back from git byte for byte, and nothing that git lacks is lost unasked."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.common.params import load_section
from ontime.datasets.source import Data
from ontime.repository.yaml_files import editing
from tests.checkouts import commit, copy_checkout, environment, git, run
from tests.commands import run_command
from tests.live import FLIGHTS, SOURCE

BACK = ("init", "--source", SOURCE, "--no-run")
ROWS = [f"{row % 7},{row % 5},{row * 31 % 17 + row / 1000}" for row in range(400)]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose newest commit has the flights, whatever this checkout predicts."""
    top = copy_checkout(tmp_path_factory.mktemp("copied") / "checkout")
    if load_flights(top):
        commit(top, "flights")
        # the files that name the model
        run("ontime", *BACK, "--yes", cwd=top)
        commit(top, "names")
    return top


@pytest.fixture
def checkout(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of it; the test is there."""
    git(tmp_path, "clone", "--quiet", str(copied), "checkout")
    monkeypatch.chdir(tmp_path / "checkout")
    return tmp_path / "checkout"


def load_flights(top: Path) -> bool:
    """Put the flights in place of a fork's table; whether that changed anything."""
    if f"source: {SOURCE}\n" in (top / "params.yaml").read_text():
        return False
    for path in (top / "data" / "schema").iterdir():
        path.unlink()
    for path in FLIGHTS.rglob("*.yaml"):
        name = path.relative_to(FLIGHTS)
        target = top / name if name.name == "params.yaml" else top / "data" / name
        target.write_bytes(path.read_bytes())
    return True


def own_table(*options: str) -> None:
    """Configure a table in the checkout."""
    Path("parcels.csv").write_text("\n".join(["a,b,y", *ROWS, ""]))
    run_command("init", "--source", "parcels.csv", "--target", "y", "--no-run", *options)


@pytest.mark.parametrize("committed", [False, True])
def test_after_a_table_of_ones_own_every_file_has_its_bytes_again(checkout: Path, committed: bool) -> None:
    first = git(checkout, "rev-parse", "HEAD").strip()
    own_table()
    assert {"README.md", "params.yaml", "dvc.yaml", "data/README.md"} <= set(
        git(checkout, "diff", "--name-only").split()
    )
    if committed:
        commit(checkout, "parcels")
    run_command(*BACK, *([] if committed else ["--yes"]))
    git(checkout, "add", "--all")
    assert git(checkout, "diff", "--cached", "--name-only", first).split() == ["parcels.csv"]
    assert load_section("data", Data).source == SOURCE
    assert Path("parcels.csv").is_file()


def test_the_newest_commit_of_it_counts_also_if_it_came_by_a_merge(checkout: Path) -> None:
    own_table()
    commit(checkout, "parcels")
    git(checkout, "switch", "--quiet", "--create", "theirs", "HEAD^")
    Path("data/README.md").write_text("# Data card: a newer one\n")
    commit(checkout, "newer")
    git(checkout, "switch", "--quiet", "main")
    git(checkout, "merge", "--quiet", "--strategy", "ours", "theirs")
    run_command(*BACK)
    assert Path("data/README.md").read_text() == "# Data card: a newer one\n"


def test_what_is_not_committed_stops_it_where_nobody_can_be_asked(checkout: Path) -> None:
    own_table()
    commit(checkout, "parcels")
    with editing(Path("data/schema/table.yaml")) as content:
        content["fields"][0]["constraints"] = {"maximum": 9}
    before = git(checkout, "diff")
    with pytest.raises(OntimeError, match=r"^data/schema/table\.yaml: not committed.*; commit them, or .* --yes$"):
        run_command(*BACK)
    assert git(checkout, "diff") == before
    run_command(*BACK, "--yes")
    assert not Path("data/schema/table.yaml").exists()


@pytest.mark.parametrize(("answer", "status"), [("n", 130), ("y", 0)])
def test_at_a_terminal_it_asks(checkout: Path, answer: str, status: int) -> None:
    with Path("params.yaml").open("a") as file:
        file.write("# mine\n")
    leader, follower = pty.openpty()
    os.write(leader, f"{answer}\n".encode())
    done = subprocess.run(
        [sys.executable, "-m", "ontime", *BACK],
        cwd=checkout,
        stdin=follower,
        capture_output=True,
        env=environment(),
        check=False,
    )
    os.close(follower)
    os.close(leader)
    assert done.returncode == status, done.stderr
    assert Path("params.yaml").read_text().endswith("# mine\n") == (answer == "n")


def test_a_history_without_it_says_how_to_get_it(checkout: Path, tmp_path: Path) -> None:
    own_table()
    commit(checkout, "parcels")
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{checkout}", "shallow")
    done = run("ontime", *BACK, cwd=tmp_path / "shallow", check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: --source {SOURCE}: no commit of this history uses it; git fetch --unshallow\n"
    assert not git(tmp_path / "shallow", "status", "--porcelain")


def test_options_that_describe_a_table_are_refused(checkout: Path) -> None:
    with pytest.raises(OntimeError, match=f"^--source {SOURCE}: git has all of it; leave out"):
        run_command(*BACK, "--target", "arr_delay")
    assert not git(checkout, "status", "--porcelain")
