"""The pages name only what exists: tasks, commands with their options, stages, parameters, variables and paths.

Commands are read from shell code blocks and from code within sentences; none is run.
"""

import fnmatch
import functools
import itertools
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser
from ruamel.yaml import YAML

from ontime.cli import all_commands, commands
from ontime.common.errors import OntimeError
from ontime.manifests.schemas import DEFINITIONS
from ontime.model_deployment.service.settings import PREFIX, Settings
from ontime.model_training.families import check_family
from ontime.parameters import Params
from ontime.repository.git import listed_files
from tests.checkouts import TOP
from tests.live import live
from tests.pages import PAGES, PROGRAMS, anchors, blocks, command_lines, sentences, spans, tree_paths

THIS = Path(__file__).resolve()
TREE_HEADING = "## Repository layout"
MOST_LINES = 250
ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")
FILE_NAME = re.compile(r"[\w.-]+\.(config|csv|ipynb|json|key|lock|md|mod|onnx|parquet|pub|py|sh|sig|toml|txt|ya?ml)")
SOURCES = sorted((TOP / "src").rglob("*.py"))
MANIFESTS = sorted(path for name in ("argocd", "deployment") for path in (TOP / name).rglob("*.yaml"))
BLOCK_LANGUAGES = {"mermaid", "shell", "text", "yaml"}
MADE_LOCALLY = {"data/external", "data/forgotten", "data/schema/table.yaml"}
"""What `ontime init` and `ontime forget` make in a fork; git does not ignore it."""
OF_A_TABLE = "data.options"
"""The keys below depend on the dataset."""


@functools.cache
def graph() -> dict[str, dict[str, Any]]:
    """Stages of dvc.yaml by name, those of a loop one by one."""
    stages: dict[str, dict[str, Any]] = {}
    for name, stage in YAML(typ="safe").load(live("dvc.yaml"))["stages"].items():
        if "foreach" not in stage:
            stages[name] = stage
        for item in stage.get("foreach", ()):
            stages[f"{name}@{item}"] = filled(stage["do"], item)
    return stages


def filled(content: Any, item: str) -> Any:
    """A loop's body for one item."""
    if isinstance(content, dict):
        return {key: filled(value, item) for key, value in content.items()}
    if isinstance(content, list):
        return [filled(value, item) for value in content]
    return content.replace("${item}", item) if isinstance(content, str) else content


def graph_outputs() -> set[str]:
    """Paths that the graph makes."""
    return {out for stage in graph().values() for kind in ("outs", "metrics") for out in stage.get(kind, ())}


def parameters() -> dict[str, Any]:
    """Content of params.yaml."""
    content: dict[str, Any] = YAML(typ="safe").load(live("params.yaml"))
    return content


def has_parameter(name: str) -> bool:
    """Whether params.yaml has the dotted name."""
    content: Any = parameters()
    for part in name.split("."):
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True


@functools.cache
def known_paths() -> set[str]:
    """Paths in git with all folders above them, and those that the graph makes."""
    files = listed_files(TOP) | graph_outputs()
    return files | {str(folder) for name in files for folder in Path(name).parents if folder.name}


def in_git_or_made_by_the_graph(path: str) -> bool:
    """Whether a path is known or lies in an output; `<…>` stands for any name."""
    pattern = re.sub(r"<\w+>", "*", path.rstrip("/"))
    if any(fnmatch.fnmatchcase(name, pattern) for name in known_paths()):
        return True
    return any(str(folder) in graph_outputs() for folder in Path(pattern).parents)


def made_by_a_command(path: str) -> bool:
    """Whether a path is one that commands make and git ignores."""
    if path.rstrip("/") in MADE_LOCALLY:
        return True
    done = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=TOP, check=False)
    return done.returncode == 0


@functools.cache
def written_by_the_code(name: str) -> bool:
    """Whether a text in the package is this file's name: what a stage puts into a folder that is its output."""
    return any(re.search(rf"[\"/]{re.escape(name)}\"", path.read_text(encoding="utf-8")) for path in SOURCES)


@functools.cache
def key_of_a_secret(name: str) -> bool:
    """Whether a manifest names a file that is not in git: what it takes from a Secret made by hand."""
    return any(re.search(rf"\b{re.escape(name)}\b", path.read_text(encoding="utf-8")) for path in MANIFESTS)


def check_make(arguments: list[str]) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):(?!=)", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    unknown = [word for word in arguments if not ASSIGNMENT.fullmatch(word) and word not in targets]
    assert not unknown, f"no target {', '.join(unknown)} in the Makefile"


def check_ontime(arguments: list[str]) -> None:
    name, *rest = arguments
    if name in ("-h", "--help"):
        return
    assert name in all_commands(), f"no command {name}"
    top = click.Context(commands, **commands.context_settings)
    command = commands.get_command(top, name)
    assert command is not None
    try:
        given = command.make_context(name, rest, parent=top).params
    except click.ClickException as error:
        absent = re.search(r"'([^']+)' does not exist", error.format_message())
        if absent and made_by_a_command(absent[1]):
            return
        pytest.fail(error.format_message())
    if name in ("train", "evaluate", "cross-validate", "tune"):
        check_family(given["model"])
    check_stages(given.get("stages", ()))


def check_dvc(arguments: list[str]) -> None:
    try:
        given = vars(get_main_parser().parse_args(arguments))
    except DvcParserError:
        pytest.fail("dvc does not know this command or one of its options")
    assert "func" in given, "a part of a dvc command"
    for setting in given.get("set_param") or ():
        assert has_parameter(setting.partition("=")[0]), f"no parameter {setting} in params.yaml"
    if given["cmd"] in ("repro", "run", "status"):
        check_stages(given["targets"])


def check_stages(names: list[str]) -> None:
    unknown = [name for name in names if name not in graph()]
    assert not unknown, f"no stage {', '.join(unknown)} in dvc.yaml"


def check_pytest(arguments: list[str]) -> None:
    settings = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    for flag, expression in itertools.pairwise(arguments):
        if flag == "-m":
            for marker in set(re.findall(r"\w+", expression)) - {"and", "or", "not"}:
                assert re.search(rf'^\s+"{marker}: ', settings, re.MULTILINE), f"no marker {marker}"


def check_source(arguments: list[str]) -> None:
    assert arguments == [".venv/bin/activate"]


def check_git(arguments: list[str]) -> None:
    done = subprocess.run(["git", "--list-cmds=main"], capture_output=True, text=True, check=True)
    assert arguments[0] in done.stdout.split(), f"git has no command {arguments[0]}"


def check_curl(arguments: list[str]) -> None:
    *options, address = arguments
    name = re.escape(parameters()["export"]["name"])
    assert re.fullmatch(rf"http://127\.0\.0\.1:8080/v[12]/models/{name}(:predict)?", address), address
    if options:
        option, body = options
        assert option == "--json" and made_by_a_command(body.removeprefix("@")), options


def check_kubectl(arguments: list[str]) -> None:
    assert arguments[0] in {"apply", "argo", "create", "describe", "get", "logs", "port-forward", "wait"}, arguments[0]
    for flag, value in itertools.pairwise(arguments):
        if flag == "--filename" and "://" in value:
            assert f"/argo-cd/{DEFINITIONS[0].version}/manifests/install.yaml" in value, value
        elif flag == "--filename":
            assert in_git_or_made_by_the_graph(value), f"no file {value}"
        if flag == "--namespace":
            assert value in {"argocd", "ontime-staging", "ontime-production"}, value


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "curl": check_curl,
    "dvc": check_dvc,
    "git": check_git,
    "kubectl": check_kubectl,
    "make": check_make,
    "ontime": check_ontime,
    "pytest": check_pytest,
    "source": check_source,
}


assert set(CHECKS) == PROGRAMS


def read_by_the_code(variable: str) -> bool:
    """Whether the package, the Makefile or a dependency's own name for it reads an environment variable."""
    if variable.removeprefix(PREFIX).lower() in Settings.model_fields:
        return True
    sources = [*(TOP / "src").rglob("*.py"), *(TOP / "tests").rglob("*.py"), TOP / "Makefile"]
    return any(re.search(rf"\b{variable}\b", path.read_text(encoding="utf-8")) for path in sources if path != THIS)


def written_commands() -> Iterator[Any]:
    """Each command line of each page, once per page."""
    for page in PAGES:
        for line in dict.fromkeys(command_lines(page)):
            yield pytest.param(line, id=f"{page.relative_to(TOP)}: {line}")


@pytest.mark.parametrize("line", written_commands())
def test_command_exists_with_its_options(line: str) -> None:
    words = list(itertools.takewhile(lambda word: word != "<", shlex.split(line, comments=True)))
    while ASSIGNMENT.fullmatch(words[0]):
        variable = words.pop(0).partition("=")[0]
        assert read_by_the_code(variable), f"nothing reads {variable}"
    assert words[0] in CHECKS, f"{words[0]} is a program that this test does not know"
    CHECKS[words[0]](words[1:])


def test_git_ignores_what_the_written_commands_make() -> None:
    # at which word of the command its output is
    place = {"predict": 3, "saved-model": 2, "score": 3}
    made = set()
    for (line,) in (one.values for one in written_commands()):
        words = shlex.split(line, comments=True)
        if words[0] == "ontime" and len(words) > place.get(words[1], len(words)):
            made.add(words[place[words[1]]])
        made |= {after for option, after in itertools.pairwise(words) if option in ("--output", "-o")}
    assert made >= {"predictions/day.csv", "scored", "serving"}
    kept = {path for path in made if not in_git_or_made_by_the_graph(path)}
    assert not [path for path in kept if not made_by_a_command(path)]


@pytest.mark.parametrize(
    "wrong",
    [
        "make fly",
        "ontime fly",
        "ontime verify --fly",
        "ontime report --output FOLDER",
        "ontime tune random_florist",
        "ontime verify --stage fly",
        "dvc fly",
        "dvc exp",
        "dvc exp run --fly",
        "dvc exp run -S train.gradient_boosting.lerning_rate=0.1",
        "dvc repro fly",
        'pytest -m "not fly"',
        "git fly",
        "kubectl fly",
        "kubectl apply --filename argocd/fly.yaml",
        "kubectl get pods --namespace fly",
    ],
)
def test_a_command_that_does_not_exist_is_found(wrong: str) -> None:
    words = shlex.split(wrong)
    with pytest.raises((AssertionError, OntimeError, pytest.fail.Exception)):
        CHECKS[words[0]](words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_code_within_sentences_names_what_exists(page: Path) -> None:
    wrong = []
    for span in spans(page):
        if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", span) and not read_by_the_code(span):
            wrong.append(f"{span}: no such environment variable")
        if re.fullmatch(r"ontime \w+", span) and span.split()[1] not in all_commands():
            wrong.append(f"{span}: no such command")
        section, is_file = span.partition(".")[0], any(path.endswith(f"/{span}") for path in known_paths())
        if re.fullmatch(r"[a-z_]+(\.\w+)+", span) and section in Params.model_fields and not is_file:
            known = has_parameter(span) or span.rpartition(".")[0] == OF_A_TABLE
            wrong += [] if known else [f"{span}: no such parameter"]
        if re.fullmatch(r"[\w.<>@-]+(/[\w.<>@-]+)*/?", span) and "/" in span:
            end = span.rstrip("/")
            found = in_git_or_made_by_the_graph(span) or any(path.endswith(f"/{end}") for path in known_paths())
            wrong += [] if found or made_by_a_command(span) else [f"{span}: no such path"]
        if FILE_NAME.fullmatch(span):
            known = any(path == span or path.endswith(f"/{span}") for path in known_paths())
            known = known or written_by_the_code(span) or key_of_a_secret(span) or made_by_a_command(span)
            wrong += [] if known else [f"{span}: no such file"]
    assert not wrong, f"{page.name}: " + "; ".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_lead_to_files_and_blocks_say_their_language(page: Path) -> None:
    text = sentences(page)
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]
    parts = [link.split("#") for link in re.findall(r"\]\(([^)]*#[^)]+)\)", text) if "://" not in link]
    assert not [name for name, part in parts if part not in anchors(page.parent / name if name else page)]
    assert {language for language, _ in blocks(page)} <= BLOCK_LANGUAGES


def test_tree_names_what_exists() -> None:
    paths = tree_paths(TOP / "README.md", TREE_HEADING)
    assert not [path for path in paths if not in_git_or_made_by_the_graph(path)]
    assert len(set(paths)) == len(paths) > 1


def test_readme_stays_short() -> None:
    assert len((TOP / "README.md").read_text(encoding="utf-8").splitlines()) < MOST_LINES
