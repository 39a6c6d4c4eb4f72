"""Each row of `docs/security.md` names tests that exist, and each attack is carried out by one of them."""

import ast
import functools
from pathlib import Path

import pytest

from tests.attacks import ATTACKS, NAME
from tests.checkouts import TOP
from tests.pages import NODE, named_tests

PAGE = TOP / "docs" / "security.md"
TESTED = [
    line
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.endswith("| test |")
]
"""The rows of tables, without their headings."""


@functools.cache
def attacks_of(path: Path) -> dict[str, set[str]]:
    """The attacks that each test of a file carries out, by its markers and those of the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    marks = {node.targets[0].id: node.value for node in tree.body if _is_assignment_to_name(node)}  # type: ignore[attr-defined]
    of_all = _named(marks["pytestmark"]) if "pytestmark" in marks else set()
    return {name: of_all.union(*map(_named, one.decorator_list)) for name, one in named_tests(path).items()}


def _is_assignment_to_name(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)


def _named(node: ast.AST) -> set[str]:
    """Arguments of the calls `pytest.mark.attack(...)` in an expression."""
    return {
        str(ast.literal_eval(call.args[0]))
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == NAME
    }


def test_the_page_has_its_two_tables() -> None:
    assert sum(line.startswith(("| who |", "| what |")) for line in PAGE.read_text().splitlines()) == 2
    assert len(TESTED) > 30


@pytest.mark.parametrize("row", TESTED)
def test_a_row_names_a_test_that_exists(row: str) -> None:
    nodes = NODE.findall(row.rpartition(" | ")[2])
    assert nodes
    for file, name in nodes:
        assert name in attacks_of(TOP / file), f"{file}::{name}"


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_carried_out_by_a_test_that_the_page_names(attack: str) -> None:
    named = [name for name, test in NODE.findall(PAGE.read_text()) if attack in attacks_of(TOP / name)[test]]
    assert named
