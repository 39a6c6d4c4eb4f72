"""`dvc.yaml` against the code: what each stage runs, imports and reads, and what a change therefore makes stale."""

import copy
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from ontime.cli import STAGES
from ontime.common.params import load_section
from ontime.model_training.families import FAMILIES, Train, families_of, family
from ontime.operations import OPERATIONS
from ontime.tasks.task import TaskSettings
from tests.commands import leaves_of, run_and_watch, write_params
from tests.graph_copy import COMMON, copy_graph, is_common, package_files, stale_by_file, table, with_lock
from tests.imports import closure, file_of, has_code
from tests.live import live
from tests.once import MakeOnce
from tests.task_graphs import PER_FAMILY

TASK = load_section("task", TaskSettings, live("params.yaml")).kind
"""What the checkout's own graph is about."""
NAMES = families_of(TASK, load_section("train", Train, live("params.yaml")))
"""The families that it compares."""
UNREAD_PACKAGES = (
    *("data_source", "manifests", "privacy", "pull_request", "release", "repository", "tracking", "verification"),
    *(f"model_deployment/{name}" for name in ("batch", "service")),
)
"""What works on the graph's outputs or on the repository: a change there makes no stage stale."""
OF_THE_CHAMPION = {"refit", "forward", "export"}
"""Stages that work on whichever family is champion."""
UNREAD_MODULES = (
    *(
        "operations",
        "parameters",
        "spark",
        "model_training/tune",
        "model_deployment/export/champion",
        "model_deployment/inference/signing",
    ),
    *(f"backtest/{name}" for name in ("backtest", "fits", "policies", "tables")),
)


@dataclass(frozen=True)
class Stage:
    """One stage as DVC resolves it."""

    command: str
    files: set[str]
    parameters: set[str]

    @property
    def modules(self) -> set[str]:
        """Files of the package that the stage can import, from the top folder."""
        name, *item = self.command.split()[1:]
        return closure("ontime.__main__", STAGES[name], families=tuple(item) or NAMES, tasks=(TASK,))


@pytest.fixture(scope="module")
def repository(once: MakeOnce, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """DVC's view of a copy of the graph whose lock is up to date, without data; tests restore what they change."""
    folder = tmp_path_factory.mktemp("locked") / "graph"
    # each process has its own, because tests change it for a while
    shutil.copytree(once("locked_graph", lambda made: with_lock(copy_graph(made))), folder)
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


@pytest.fixture(scope="module")
def stale(tmp_path_factory: pytest.TempPathFactory, repository: Any) -> dict[str, set[str]]:
    """The stages that DVC finds stale by each file of the package."""
    folder = tmp_path_factory.mktemp("stale") / "graph"
    shutil.copytree(repository.root_dir, folder)
    return stale_by_file(folder)


def in_deps(path: str) -> str:
    """How `deps` names a module: those of the common folder by the folder."""
    return str(COMMON) if is_common(path) else path


def covered(leaf: str, listed: set[str]) -> bool:
    """Whether a parameter is listed, by itself or by a section that holds it."""
    return any(leaf == name or leaf.startswith(f"{name}.") for name in listed)


def test_every_stage_runs_one_command_of_ontime(stages: dict[str, Stage]) -> None:
    for name, stage in stages.items():
        program, command, *item = stage.command.split()
        assert program == "ontime", name
        assert command in STAGES, name
        assert name == "@".join([command, *item])


def test_every_stage_lists_exactly_the_modules_that_it_can_import(stages: dict[str, Stage]) -> None:
    problems = []
    for name, stage in stages.items():
        needed = {in_deps(path) for path in stage.modules}
        listed = {path for path in stage.files if path.startswith("src/")}
        problems += [f"stage {name}: {path} is imported and not in deps" for path in sorted(needed - listed)]
        problems += [f"stage {name}: {path} is in deps and not imported" for path in sorted(listed - needed)]
    assert not problems, "\n".join(problems)


def test_imports_within_functions_and_of_packages_and_families_are_found() -> None:
    assert "src/ontime/model_training/keras_model.py" in closure("ontime.model_training.neural_network")
    assert closure("ontime.model_deployment.service.server") >= {
        "src/ontime/model_deployment/service/__init__.py",
        "src/ontime/model_deployment/inference/signing.py",
        "src/ontime/common/paths.py",
        "src/ontime/common/errors.py",
    }
    forest = closure("ontime.model_training.train", families=("random_forest",))
    assert {path for path in forest if Path(path).stem in FAMILIES["binary"]} == {
        "src/ontime/model_training/random_forest.py"
    }
    top = file_of("ontime")
    assert top
    assert not has_code(top)


def test_a_changed_file_makes_exactly_the_stages_stale_that_can_import_it(
    stages: dict[str, Stage], stale: dict[str, set[str]]
) -> None:
    modules = {name: stage.modules for name, stage in stages.items()}
    expected = {
        path: {name for name, files in modules.items() if is_common(path) or path in files} for path in package_files()
    }
    assert set(stale) == set(expected)
    problems = [path for path, found in stale.items() if found != expected[path]]
    assert not problems, table(stale)


def test_what_no_stage_reads_makes_none_stale(stale: dict[str, set[str]]) -> None:
    read = {Path(path).relative_to("src/ontime") for path, stages in stale.items() if stages}
    assert not [path for path in read for name in UNREAD_PACKAGES if Path(name) in path.parents]
    assert not [path for path in read if str(path.with_suffix("")) in UNREAD_MODULES]
    operations = {Path(*module.split(".")[1:]).with_suffix(".py") for module in OPERATIONS.values()}
    assert not operations & read


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_a_family_makes_its_own_training_and_evaluation_and_the_champions_stages_stale(
    stale: dict[str, set[str]], name: str
) -> None:
    own = {f"{stage}@{name}" for stage in PER_FAMILY}
    assert stale[f"src/ontime/model_training/{name}.py"] == own | OF_THE_CHAMPION


@pytest.mark.parametrize("framework", ["scikit_learn", "keras"])
def test_a_framework_makes_its_own_families_and_the_champions_stages_stale(
    stale: dict[str, set[str]], framework: str
) -> None:
    names = [name for name in FAMILIES["binary"] if family(name).framework.replace("-", "_") == framework]
    expected = {f"{stage}@{name}" for stage in PER_FAMILY for name in names} | OF_THE_CHAMPION
    assert stale[f"src/ontime/model_training/{framework}_model.py"] == expected


def test_a_stages_own_module_makes_no_other_stage_stale_but_for_a_section_that_is_read_elsewhere(
    stale: dict[str, set[str]],
) -> None:
    for name, module in STAGES.items():
        path = file_of(module)
        assert path
        others = {stage.partition("@")[0] for stage in stale[f"src/{module.replace('.', '/')}.py"]} - {name}
        # the model card says how the rows were split; models of other rows have a vocabulary of their own
        assert others == ({"export", "forward", "cross-validate"} if name == "split" else set()), name


def test_every_stage_depends_on_the_locked_packages(stages: dict[str, Stage]) -> None:
    assert [name for name, stage in stages.items() if "requirements.txt" not in stage.files] == []


def test_every_stage_lists_exactly_the_parameters_that_it_reads(
    stages: dict[str, Stage],
    graph_run: tuple[Path, dict[str, set[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, by_time = graph_run
    shutil.copytree(folder, tmp_path / "fork")
    monkeypatch.chdir(tmp_path / "fork")
    yaml = YAML()
    content = yaml.load(Path("params.yaml"))
    content["split"]["folds"] = 2
    yaml.dump(content, Path("params.yaml"))
    folded = {f"cross-validate@{name}": run_and_watch("cross-validate", name) for name in NAMES}
    content["split"]["by"] = "stratified"
    yaml.dump(content, Path("params.yaml"))
    stratified = {name: run_and_watch(*name.split("@")) for name in ("split", "export", *folded)}

    assert set(by_time) == set(stages)
    problems = []
    for name, stage in stages.items():
        read = by_time[name] | folded.get(name, set()) | stratified.get(name, set())
        listed = {leaf for leaf in leaves_of() if covered(leaf, stage.parameters)}
        problems += [f"stage {name}: {leaf} is read and not in params" for leaf in sorted(read - listed)]
        problems += [f"stage {name}: {leaf} is in params and not read" for leaf in sorted(listed - read)]
        unknown = {entry for entry in stage.parameters if not any(covered(leaf, {entry}) for leaf in leaves_of())}
        problems += [f"stage {name}: {entry} is in params and unknown" for entry in sorted(unknown)]
    assert not problems, "\n".join(problems)


def with_change(content: dict[str, Any], leaves: Iterable[str]) -> dict[str, Any]:
    """The parameters with other values in some places."""
    changed = copy.deepcopy(content)
    for leaf in leaves:
        *sections, key = leaf.split(".")
        target = changed
        for part in sections:
            target = target[part]
        # one that has a default need not be in the file
        value = target.get(key)
        target[key] = {**value, "changed": 1} if isinstance(value, dict) else ["changed", value]
    return changed


def concerned(repository: Any, content: dict[str, Any]) -> dict[str, set[str]]:
    """The entries of each stage's `params` that DVC finds changed when `params.yaml` has this content."""
    path = Path(repository.root_dir) / "params.yaml"
    text = path.read_text(encoding="utf-8")
    try:
        write_params(content, path)
        found: dict[str, set[str]] = {}
        for stage in repository.index.stages:
            for dep in stage.deps:
                if hasattr(dep, "params") and (status := dep.workspace_status()):
                    found.setdefault(stage.name, set()).update(status[dep.def_path])
        return found
    finally:
        path.write_text(text, encoding="utf-8")


def test_changed_parameters_make_exactly_the_stages_stale_that_list_them(
    repository: Any, stages: dict[str, Stage]
) -> None:
    content = YAML(typ="safe", pure=True).load(Path(repository.root_dir) / "params.yaml")
    assert concerned(repository, content) == {}
    sections = {section: list(leaves) for section, leaves in groupby(leaves_of(), lambda leaf: leaf.partition(".")[0])}
    for section, leaves in sections.items():
        expected = {
            name: {entry for entry in stage.parameters if any(covered(leaf, {entry}) for leaf in leaves)}
            for name, stage in stages.items()
        }
        found = concerned(repository, with_change(content, leaves))
        assert found == {name: entries for name, entries in expected.items() if entries}, section


def test_a_section_that_no_stage_reads_makes_none_stale(repository: Any, stages: dict[str, Stage]) -> None:
    content = YAML(typ="safe", pure=True).load(Path(repository.root_dir) / "params.yaml")
    assert concerned(repository, {**content, "monitoring": {"a": 1}}) == {}
    unread = {leaf for leaf in leaves_of() if not any(covered(leaf, stage.parameters) for stage in stages.values())}
    sections = ("gate.", "monitor.", "privacy.", "retraining.", "tune.")
    assert unread == {leaf for leaf in leaves_of() if leaf.startswith(sections)} != set()
