"""`dvc.yaml` against the code: a stage lists every module that it can import and every parameter that it reads."""

import ast
import copy
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ontime.cli import STAGES
from ontime.common.params import Section
from ontime.parameters import Params

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
COMMON = Path("src/ontime/common")
"""What all stages use, listed as one folder."""


@dataclass(frozen=True)
class Stage:
    """One stage as DVC resolves it."""

    command: str
    files: set[str]
    parameters: set[str]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, copy_graph: Callable[[Path], Path]) -> Any:
    """DVC's view of a copy of the graph with the checkout's lock, without data."""
    from dvc.repo import Repo

    folder = copy_graph(tmp_path_factory.mktemp("graph"))
    shutil.copyfile(ROOT / "dvc.lock", folder / "dvc.lock")
    repo = Repo.init(str(folder), no_scm=True)
    with repo.config.edit() as config:
        config["core"]["site_cache_dir"] = str(folder / "site")
    return Repo(str(folder))


@pytest.fixture(scope="module")
def stages(repository: Any) -> dict[str, Stage]:
    """The stages by name, `foreach` expanded."""
    found = {}
    for stage in repository.index.stages:
        parameters = {name for dep in stage.deps if hasattr(dep, "params") for name in dep.params}
        files = {dep.def_path for dep in stage.deps if not hasattr(dep, "params")}
        found[stage.name] = Stage(stage.cmd, files, parameters)
    return found


def file_of(module: str) -> Path | None:
    """The file of a module of this package; None for any other name."""
    path = SOURCE.joinpath(*module.split("."))
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


def imports_of(module: str) -> Iterator[str]:
    """Modules of this package that a module imports anywhere in its text, and the packages that hold it."""
    parts = module.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts)))
    path = file_of(module)
    assert path is not None
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def closure(*modules: str) -> set[str]:
    """Files, from the top folder, of the modules and of everything in this package that they can import."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in seen and file_of(module):
            seen.add(module)
            waiting.extend(imports_of(module))
    return {str(path.relative_to(ROOT)) for module in seen if (path := file_of(module)) and has_code(path)}


def has_code(path: Path) -> bool:
    """Whether a module holds more than its docstring; the others can change no output."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant) for node in body)


def in_deps(path: str) -> str:
    """How `deps` names a module: those of the common folder by the folder."""
    return str(COMMON) if COMMON in Path(path).parents else path


def covered(leaf: str, listed: set[str]) -> bool:
    """Whether a parameter is listed, by itself or by a section that holds it."""
    return any(leaf == name or leaf.startswith(f"{name}.") for name in listed)


def leaves_of(section: type[Section], prefix: str = "") -> Iterator[str]:
    """Dotted names of all parameters that are no sections."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from leaves_of(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_stage_runs_one_command_of_ontime(stages: dict[str, Stage]) -> None:
    for name, stage in stages.items():
        program, command, *item = stage.command.split()
        assert program == "ontime", name
        assert command in STAGES, name
        assert name == "@".join([command, *item])


def test_every_stage_lists_exactly_the_modules_that_it_can_import(stages: dict[str, Stage]) -> None:
    problems = []
    for name, stage in stages.items():
        needed = {in_deps(path) for path in closure("ontime.cli", STAGES[stage.command.split()[1]])}
        listed = {path for path in stage.files if path.startswith("src/")}
        problems += [f"stage {name}: {path} is imported and not in deps" for path in sorted(needed - listed)]
        problems += [f"stage {name}: {path} is in deps and not imported" for path in sorted(listed - needed)]
    assert not problems, "\n".join(problems)


def test_imports_within_functions_and_of_packages_are_found() -> None:
    assert "src/ontime/model_training/neural_network.py" in closure("ontime.model_training.runs")
    assert closure("ontime.model_deployment.service.server") >= {
        "src/ontime/model_deployment/service/__init__.py",
        "src/ontime/model_deployment/inference/signing.py",
        "src/ontime/common/paths.py",
        "src/ontime/common/errors.py",
    }
    assert not has_code(SOURCE / "ontime" / "__init__.py")


def test_every_stage_depends_on_the_locked_packages(stages: dict[str, Stage]) -> None:
    assert [name for name, stage in stages.items() if "requirements.txt" not in stage.files] == []


def test_every_stage_lists_exactly_the_parameters_that_it_reads(
    stages: dict[str, Stage],
    graph_run: tuple[Path, dict[str, set[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parameters_read: Callable[..., set[str]],
) -> None:
    folder, by_time = graph_run
    shutil.copytree(folder, tmp_path / "fork")
    monkeypatch.chdir(tmp_path / "fork")
    yaml = YAML()
    content = yaml.load(Path("params.yaml"))
    content["split"]["by"] = "stratified"
    yaml.dump(content, Path("params.yaml"))
    stratified = {name: parameters_read(name) for name in ("split", "export")}

    assert set(by_time) == set(stages)
    problems = []
    for name, stage in stages.items():
        read = by_time[name] | stratified.get(name, set())
        listed = {leaf for leaf in leaves_of(Params) if covered(leaf, stage.parameters)}
        problems += [f"stage {name}: {leaf} is read and not in params" for leaf in sorted(read - listed)]
        problems += [f"stage {name}: {leaf} is in params and not read" for leaf in sorted(listed - read)]
        unknown = {entry for entry in stage.parameters if not any(covered(leaf, {entry}) for leaf in leaves_of(Params))}
        problems += [f"stage {name}: {entry} is in params and unknown" for entry in sorted(unknown)]
    assert not problems, "\n".join(problems)


def with_change(content: dict[str, Any], leaf: str) -> dict[str, Any]:
    """The parameters with another value in one place."""
    changed = copy.deepcopy(content)
    *sections, key = leaf.split(".")
    target = changed
    for part in sections:
        target = target[part]
    target[key] = {**target[key], "changed": 1} if isinstance(target[key], dict) else ["changed", target[key]]
    return changed


def changed_parameters(repository: Any) -> dict[str, Any]:
    """What `dvc status` finds out about parameters, by stage."""
    return {
        stage.name: [dep.workspace_status() for dep in stage.deps if hasattr(dep, "params")]
        for stage in repository.index.stages
    }


def test_a_changed_parameter_concerns_exactly_the_stages_that_list_it(
    repository: Any, stages: dict[str, Stage]
) -> None:
    path, yaml = Path(repository.root_dir) / "params.yaml", YAML(typ="safe", pure=True)
    text = path.read_text(encoding="utf-8")
    before = changed_parameters(repository)
    problems = []
    content = yaml.load(text)
    for leaf in leaves_of(Params):
        yaml.dump(with_change(content, leaf), path)
        after = changed_parameters(repository)
        concerned = {name for name in stages if after.get(name) != before.get(name)}
        expected = {name for name, stage in stages.items() if covered(leaf, stage.parameters)}
        if concerned != expected:
            problems.append(f"{leaf}: concerns {sorted(concerned)}, listed by {sorted(expected)}")
    path.write_text(text, encoding="utf-8")
    assert not problems, "\n".join(problems)


def test_only_searches_and_the_gate_concern_no_stage(stages: dict[str, Stage]) -> None:
    unused = {
        leaf for leaf in leaves_of(Params) if not any(covered(leaf, stage.parameters) for stage in stages.values())
    }
    assert {leaf.partition(".")[0] for leaf in unused} == {"gate", "tune"}
    assert unused == {leaf for leaf in leaves_of(Params) if leaf.startswith(("gate.", "tune."))}
