"""The reference says what the commands say: made from them, and complete."""

import re
import sys

import pytest
from ruamel.yaml import YAML

from ontime.cli import all_commands
from tests.checkouts import TOP, run
from tests.commands import leaves_of
from tests.live import live

DOCS = TOP / "docs"
sys.path.insert(0, str(DOCS / "theme"))
import reference  # noqa: E402 - from the site's own folder

COMMANDS = DOCS / "reference" / "commands.md"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is in the checkout, as the build is."""
    monkeypatch.chdir(TOP)


def headings() -> list[str]:
    """The commands that have a section."""
    return re.findall(r"^### ontime (\S+)$", COMMANDS.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_command_has_one_section_with_an_example() -> None:
    assert sorted(headings()) == sorted(all_commands())
    text = COMMANDS.read_text(encoding="utf-8")
    for name in headings():
        section = text.split(f"### ontime {name}\n")[1].split("\n##")[0]
        block = re.search(r"^```shell\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        assert block, name
        assert re.search(rf"^([A-Z_]+=\S+ )*ontime {name}\b", block[1], re.MULTILINE), name


@pytest.mark.parametrize("names", [["predict"], ["release", "assign"]])
def test_the_help_is_what_the_command_prints(names: list[str]) -> None:
    done = run("ontime", *names, "--help", cwd=TOP, COLUMNS="300")
    printed = " ".join(done.stdout.split())
    # a process of its own: a command keeps the help option of the context in which it was first called
    code = "import sys, reference; print(reference.help_of(*sys.argv[1:]))"
    made = run(sys.executable, "-c", code, *names, cwd=TOP, PYTHONPATH=str(DOCS / "theme"))
    assert " ".join(made.stdout.split()) == printed
    assert printed.startswith(f"Usage: ontime {' '.join(names)} ")


@pytest.mark.usefixtures("here")
def test_each_command_and_each_of_its_commands_has_its_help_in_its_section() -> None:
    page = reference.filled(COMMANDS.read_text(encoding="utf-8"))
    for name in headings():
        section = page.split(f"### ontime {name}\n")[1].split("\n### ")[0]
        for names in [[name], *([name, one] for one in reference.subcommands(name))]:
            assert f"Usage: ontime {' '.join(names)} " in section, names


@pytest.mark.usefixtures("here")
def test_every_parameter_has_a_row_with_its_kind_and_its_comment() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", reference.parameters(), re.MULTILINE))
    wanted = {name for name in leaves_of() if _there(name)}
    assert {name for name in wanted if not any(row == name or row.startswith(f"{name}.") for row in rows)} == set()
    assert not [name for name, row in rows.items() if not row.split(" | ")[1].strip() and not name.startswith("train.")]
    comments = re.findall(r"^ *# (.*)\n( *)(\w+):", live("params.yaml").read_text(), re.MULTILINE)
    text = " ".join(reference.parameters().split())
    assert len(comments) > 10
    assert not [comment for comment, _, _ in comments if " ".join(comment.split()).replace("|", "\\|") not in text]


@pytest.mark.usefixtures("here")
def test_every_column_of_every_schema_has_a_row() -> None:
    text = reference.schemas()
    for path in live("data/schema").glob("*.yaml"):
        part = text.split(f"## {path.stem}\n")[1].split("\n## ")[0]
        columns = [column["name"] for column in YAML(typ="safe").load(path)["fields"]]
        assert re.findall(r"^\| `(.+?)` \|", part, re.MULTILINE) == columns


@pytest.mark.usefixtures("here")
def test_every_task_of_make_has_a_row() -> None:
    names = re.findall(r"^\| `make ([a-z0-9-]+)` \|", reference.tasks(), re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    assert sorted(names) == sorted(phony[1].split())


def test_each_page_is_in_the_navigation_once() -> None:
    listed = re.findall(
        r"^ +- (?:Start: )?([\w/-]+\.md)$", (TOP / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def _there(name: str) -> bool:
    content = YAML(typ="safe").load(live("params.yaml"))
    for part in name.split("."):
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True
