"""What the pages for readers say in code: blocks, code within sentences, and commands to type."""

import ast
import functools
import re
from pathlib import Path

from tests.checkouts import TOP

PAGES = sorted([*TOP.glob("*.md"), TOP / "data" / "README.md", *(TOP / "docs").rglob("*.md")])
HOW_TO = TOP / "docs" / "how-to"
PROGRAMS = {"curl", "dvc", "git", "kubectl", "make", "ontime", "pytest", "source"}
"""What a command within a sentence begins with."""
NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
"""A test that a page names."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and content of each code block."""
    return FENCE.findall(page.read_text(encoding="utf-8"))


def sentences(page: Path) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What a link can lead to: the forge's names of the headings."""
    headings = re.findall(r"^#+ (.*)$", sentences(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def spans(page: Path) -> list[str]:
    """Code within sentences."""
    return re.findall(r"`([^`\n]+)`", sentences(page))


def command_lines(page: Path) -> list[str]:
    """What a reader may type."""
    lines = [line for language, content in blocks(page) if language == "shell" for line in content.splitlines()]
    return [line for line in lines if line.strip()] + [span for span in spans(page) if is_command(span)]


@functools.cache
def named_tests(path: Path) -> dict[str, ast.FunctionDef]:
    """The tests of a file by their names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")}


def is_command(span: str) -> bool:
    """Whether code within a sentence is a command line and not a name, such as `make` or `ontime init`."""
    words = span.split()
    return "…" not in span and words[0] in PROGRAMS and len(words) > (2 if words[0] == "ontime" else 1)


def tree_paths(page: Path, heading: str) -> list[str]:
    """Paths of the first code block below a heading, which is a tree: two blanks a level, then what each holds."""
    text = page.read_text(encoding="utf-8")
    tree = FENCE.findall(text[text.index(heading) :])[0][1]
    folders: list[str] = []
    paths = []
    for line in tree.splitlines():
        name = line.split()[0]
        del folders[(len(line) - len(line.lstrip())) // 2 :]
        paths.append("/".join([*folders, name]))
        if name.endswith("/"):
            folders.append(name.rstrip("/"))
    return paths
