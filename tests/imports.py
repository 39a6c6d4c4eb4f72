"""What of this package a module can import, by the text of its files."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from ontime.model_training.families import FAMILIES
from ontime.tasks.names import TaskName

TOP = Path(__file__).parents[1]
SOURCE = TOP / "src"
LOADERS = {"family", "load_model", "parameters_of"}
"""What imports a model family's module when it is called, by the family's name."""
TASKS = get_args(TaskName)
OF_TASKS = {
    "task_of": "ontime.tasks.{}",
    "load_task": "ontime.tasks.{}",
    "judge_of": "ontime.model_evaluation.{}_judge",
    "measures_of": "ontime.model_deployment.export.{}_series",
}
"""What imports a task's module when it is called, and which."""
TASK_LOADERS = ("ontime.tasks.task", "ontime.model_evaluation.judge", "ontime.model_deployment.export.label_sums")
"""Where they are."""
ALL_FAMILIES = tuple(dict.fromkeys(name for names in FAMILIES.values() for name in names))


def file_of(module: str) -> Path | None:
    """The file of a module of this package; None for any other name."""
    path = SOURCE.joinpath(*module.split("."))
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


def module_of(path: Path) -> str:
    """Name of the module in a file of this package."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(module: str, families: tuple[str, ...] = ALL_FAMILIES, tasks: tuple[str, ...] = TASKS) -> Iterator[str]:
    """Modules of this package that a module imports anywhere in its text, and the packages that hold it.

    Args:
        families, tasks: those that are asked for.
    """
    parts = module.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts)))
    path = file_of(module)
    assert path is not None
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            if node.module.endswith(".families") and LOADERS & {alias.name for alias in node.names}:
                yield from (f"ontime.model_training.{name}" for name in families)
            if node.module in TASK_LOADERS:
                found = (OF_TASKS[alias.name] for alias in node.names if alias.name in OF_TASKS)
                yield from (form.format(task) for form in found for task in tasks)


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module that can run, which those for the type checker alone can not."""
    if not (isinstance(tree, ast.If) and isinstance(tree.test, ast.Name) and tree.test.id == "TYPE_CHECKING"):
        yield tree
        for child in ast.iter_child_nodes(tree):
            yield from executed(child)


def closure(*modules: str, families: tuple[str, ...] = ALL_FAMILIES, tasks: tuple[str, ...] = TASKS) -> set[str]:
    """Files, from the top folder, of the modules and of everything in this package that they can import."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in seen and file_of(module):
            seen.add(module)
            waiting.extend(imports_of(module, families, tasks))
    return {str(path.relative_to(TOP)) for module in seen if (path := file_of(module)) and has_code(path)}


def has_code(path: Path) -> bool:
    """Whether a module holds more than its docstring; the others can change no output."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant) for node in body)
