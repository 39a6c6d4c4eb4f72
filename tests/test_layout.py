"""Tests stand alone: they share plain modules and fixtures, and lie where what they test lies."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.checkouts import TOP
from tests.imports import closure, executed

OF_NO_PACKAGE = {"integration", "notebooks", "rehearsal", "site"}
"""Folders with tests of several packages."""


def imported(text: str) -> Iterator[str]:
    """Dotted names that a module imports, for the type checker too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def is_test(name: str) -> bool:
    """Whether a dotted name leads into a test's or conftest's module."""
    first, *parts = name.split(".")
    return first in ("", "tests") and any(part == "conftest" or part.startswith("test_") for part in parts)


def test_no_file_imports_a_test_or_a_conftest() -> None:
    files = [path for folder in ("tests", "benchmarks", "deployment", "src") for path in (TOP / folder).rglob("*.py")]
    found = {
        f"{path.relative_to(TOP)}: {name}"
        for path in files
        for name in imported(path.read_text(encoding="utf-8"))
        if is_test(name)
    }
    assert len(files) > 100
    assert not found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from tests.test_graph import closure", True),
        ("from tests.release import test_tags", True),
        ("from tests.conftest import fork", True),
        ("import tests.manifests.test_lint", True),
        ("from .conftest import fork", True),
        ("from tests.checkouts import TOP", False),
        ("from ontime.common.files import test_rows", False),
    ],
)
def test_each_way_of_importing_a_test_is_found(text: str, found: bool) -> None:
    assert any(map(is_test, imported(text))) == found


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent.relative_to(TOP / "tests") for path in (TOP / "tests").rglob("test_*.py")}
    packages = {folder for folder in folders if folder.parts and folder.parts[0] not in OF_NO_PACKAGE}
    assert len(packages) > 10
    assert not [name for name in packages if not (TOP / "src" / "ontime" / name / "__init__.py").is_file()]


def test_imports_for_the_type_checker_alone_are_no_imports() -> None:
    tree = ast.parse("if TYPE_CHECKING:\n    import typed\nelse:\n    import done\ndef later():\n    import lazily\n")
    names = {alias.name for node in executed(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert "lazily" in names
    assert "typed" not in names
    assert "src/ontime/encoder.py" not in closure("ontime.model_training.families", families=())


def test_no_test_has_podman_forward_a_port() -> None:
    """Podman's rule may outlive the container, and then no server on that port is reached any more."""
    forwarding = re.compile(r"""["']-(p|-publish)(=[^"']*)?["'],""")
    assert forwarding.search('["podman", "run", "--publish=127.0.0.1::8080", "image"]')
    files = [path for path in (TOP / "tests").rglob("*.py") if "podman" in path.read_text(encoding="utf-8")]
    assert len(files) > 5
    found = {
        str(path.relative_to(TOP)): match[0]
        for path in files
        if path.name != "test_layout.py" and (match := forwarding.search(path.read_text(encoding="utf-8")))
    }
    assert not found
