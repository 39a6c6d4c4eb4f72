"""Rules that a person wrote are not overwritten unasked as long as git does not have them."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.repository.yaml_files import editing
from tests.checkouts import commit, environment, git
from tests.commands import run_command

SCHEMA = Path("data/schema/table.yaml")


@pytest.fixture
def edited(graph: Path) -> Path:
    """A repository configured for a table, with a rule that is not committed, and another table."""
    rows = [f"{row % 7},{row % 5},{int(row % 7 > 2)}" for row in range(140)]
    (graph / "first.csv").write_text("\n".join(["a,b,y", *rows, ""]))
    (graph / "second.csv").write_text("\n".join(["a,c,y", *rows, ""]))
    run_command("init", "--source", "first.csv", "--target", "y", "--no-run")
    git(graph, "init", "--quiet")
    commit(graph, "first")
    with editing(SCHEMA) as content:
        content["fields"][0]["constraints"] = {"maximum": 9}
    return graph


def test_a_rule_that_is_not_committed_stops_init_where_nobody_can_be_asked(edited: Path) -> None:
    before = git(edited, "diff")
    with pytest.raises(OntimeError, match=r"^data/schema: the rules of table\.a are not committed.*; commit them, or"):
        run_command("init", "--source", "second.csv", "--target", "y", "--no-run")
    assert git(edited, "diff") == before
    run_command("init", "--source", "second.csv", "--target", "y", "--no-run", "--yes")
    assert "maximum: 9" not in SCHEMA.read_text()


def test_rules_that_are_kept_or_committed_need_no_question_and_git_undoes_it(edited: Path) -> None:
    run_command("init", "--source", "first.csv", "--target", "y", "--no-run")
    assert "maximum: 9" in SCHEMA.read_text()
    commit(edited, "a rule")
    run_command("init", "--source", "second.csv", "--target", "y", "--no-run")
    assert "maximum: 9" not in SCHEMA.read_text()
    git(edited, "checkout", "--quiet", ".")
    assert "maximum: 9" in SCHEMA.read_text()
    assert not git(edited, "status", "--porcelain")


@pytest.mark.parametrize(("answer", "status"), [("n", 130), ("y", 0)])
def test_at_a_terminal_init_asks(edited: Path, answer: str, status: int) -> None:
    before = SCHEMA.read_text()
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "ontime", "init", "--source", "second.csv", "--target", "y", "--no-run"]
    os.write(leader, f"{answer}\n".encode())
    done = subprocess.run(command, cwd=edited, stdin=follower, capture_output=True, env=environment(), check=False)
    os.close(follower)
    os.close(leader)
    assert done.returncode == status, done.stderr
    assert (SCHEMA.read_text() == before) == (answer == "n")
