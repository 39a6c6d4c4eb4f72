"""No test reads what a fork replaces but by `tests.live`, and the copies for tests about flights are the flights'."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ontime.datasets import flights
from ontime.datasets.schema import load_schemas
from ontime.parameters import load_params
from tests.checkouts import TOP
from tests.live import FEATURES, FLIGHTS, PARAMS, PARTS, SCHEMA, live, predicts_flights

OURS = {"TOP", "ROOT"}
"""What modules of tests call this checkout's folder."""
FILES = sorted(path for path in (TOP / "tests").rglob("*.py") if path != TOP / "tests" / "live.py")
DATA_CARD = "data/README.md"


def is_checkout(node: ast.AST) -> bool:
    """Whether an expression is this checkout's folder: a name for it, or a folder above the test's own file."""
    if isinstance(node, ast.Name):
        return node.id in OURS
    return any(isinstance(part, ast.Name) and part.id == "__file__" for part in ast.walk(node))


def parts_read(text: str) -> Iterator[int]:
    """Lines of a module in which a path below the checkout begins with what a fork replaces."""
    tree = ast.parse(text)
    inner = {id(node.left) for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Div) or id(node) in inner:
            continue
        names: list[ast.expr] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Div):
            names.insert(0, left.right)
            left = left.left
        if not is_checkout(left):
            continue
        words = "/".join(str(name.value) if isinstance(name, ast.Constant) else ast.unparse(name) for name in names)
        if words.startswith("paths.") or (words.split("/")[0] in PARTS and words != DATA_CARD):
            yield node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP / "tests")))
def test_what_a_fork_replaces_is_read_by_one_module_alone(path: Path) -> None:
    lines = list(parts_read(path.read_text(encoding="utf-8")))
    assert not lines, f"{path.name}: line {lines[0]}: read it by tests.live, or a copy in tests/flights"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('load(TOP / "params.yaml")', True),
        ('(ROOT / "dvc.lock").read_bytes()', True),
        ('x = Path(__file__).parents[2] / "dvc.lock"', True),
        ('TOP / "data" / "schema"', True),
        ('TOP / "data/features.yaml"', True),
        ("TOP / paths.CHAMPION / NAME", True),
        ('TOP / "data" / "README.md"', False),
        ('TOP / "docs" / "params.yaml"', False),
        ('tmp_path / "params.yaml"', False),
    ],
)
def test_a_read_of_it_is_found(text: str, found: bool) -> None:
    assert bool(list(parts_read(text))) is found


def test_the_copies_are_of_flights_and_hold_by_themselves() -> None:
    params = load_params(PARAMS)
    schemas = load_schemas(SCHEMA)
    options = flights.Options(**params.data.options)
    features = flights.layout(options, schemas).features
    assert {*params.export.page_features, *params.evaluate.slices} <= set(features)
    assert FLIGHTS.is_dir() and FEATURES.is_file()


@pytest.mark.skipif(not predicts_flights(), reason="this checkout predicts something else")
def test_the_copies_are_those_of_the_checkout_as_long_as_it_predicts_flights() -> None:
    assert FEATURES.read_bytes() == live("data/features.yaml").read_bytes()
    for path in live("data/schema").iterdir():
        assert (SCHEMA / path.name).read_bytes() == path.read_bytes()
    own, kept = load_params(live("params.yaml")), load_params(PARAMS)
    assert (own.data, own.split, own.evaluate) == (kept.data, kept.split, kept.evaluate)
