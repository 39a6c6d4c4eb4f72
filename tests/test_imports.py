"""What one module alone does: git and DVC are run, and their files read, in one place each."""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "ontime"
WRAPPERS = {"git": SOURCE / "repository" / "git.py", "dvc": SOURCE / "repository" / "dvc.py"}
LOCK_FILE = SOURCE / "repository" / "lock_file.py"


def programs(source: str) -> Iterator[str]:
    """Of git and dvc, the programs that a command line in the source begins with, or that `python -m` runs."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.List | ast.Tuple):
            words = [part.value if isinstance(part, ast.Constant) else None for part in node.elts]
            modules = [word for option, word in itertools.pairwise(words) if option == "-m"]
            yield from (str(word) for word in (*words[:1], *modules) if word in WRAPPERS)


def reads_lock(source: str) -> bool:
    """Whether a module that knows dvc.lock also reads or writes YAML."""
    tree = ast.parse(source)
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return ("dvc.lock" in texts or "ontime.repository.lock_file" in imported) and "ruamel.yaml" in imported


@pytest.mark.parametrize("name", WRAPPERS)
def test_one_module_runs_the_program(name: str) -> None:
    found = [path for path in SOURCE.rglob("*.py") if name in programs(path.read_text(encoding="utf-8"))]
    assert found == [WRAPPERS[name]]


def test_one_module_reads_dvc_lock() -> None:
    assert [path for path in SOURCE.rglob("*.py") if reads_lock(path.read_text(encoding="utf-8"))] == [LOCK_FILE]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('subprocess.run(["git", "status"])', ["git"]),
        ('archive = ("git", *words)', ["git"]),
        ('subprocess.run([sys.executable, "-m", "dvc", "repro"])', ["dvc"]),
        ('git("status"); names = ["a", "git"]', []),
    ],
)
def test_a_command_line_is_found(source: str, expected: list[str]) -> None:
    assert list(programs(source)) == expected
