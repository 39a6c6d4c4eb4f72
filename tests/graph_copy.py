"""A copy of the graph that DVC takes for one that has just run, and what it finds stale there after a change.

`python tests/graph_copy.py` prints how many stages each file of the package makes stale.
"""

import contextlib
import io
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from dvc.repo import Repo

from tests.live import live
from tests.record_graph import record

TOP = Path(__file__).parents[1]
PACKAGE = Path("src/ontime")
COMMON = PACKAGE / "common"
"""What all stages use, listed as one folder."""


def copy_graph(folder: Path) -> Path:
    """Copy what the graph is made of, without data, models and git, to a folder."""
    shutil.copytree(TOP / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(live("data/schema"), folder / "data" / "schema")
    for name in ("data/features.yaml", "dvc.yaml", "params.yaml"):
        shutil.copyfile(live(name), folder / name)
    shutil.copyfile(TOP / "requirements.txt", folder / "requirements.txt")
    return folder


def with_lock(folder: Path) -> Repo:
    """DVC's view of a copy of the graph whose lock says that every stage ran on the files and parameters there."""
    shutil.copyfile(live("dvc.lock"), folder / "dvc.lock")
    logging.getLogger("dvc").setLevel(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()):
        made = Repo.init(str(folder), no_scm=True)
        with made.config.edit() as config:
            config["core"]["site_cache_dir"] = str(folder / "site")
        stages = Repo(str(folder)).index.stages
        for stage in stages:
            stage.save_deps(allow_missing=True)
        record(made, stages)
    return Repo(str(folder))


def changed(folder: Path) -> dict[str, set[str]]:
    """What `dvc status` finds changed of each stage's code, packages and schema; a stage with nothing is absent."""
    with contextlib.chdir(folder):
        status = Repo().status()
    found: dict[str, set[str]] = {}
    for stage, problems in status.items():
        deps: dict[str, Any] = next((one["changed deps"] for one in problems if "changed deps" in one), {})
        found[stage] = {name for name, what in deps.items() if what == "modified"}
    return {stage: names for stage, names in found.items() if names}


def package_files(folder: Path = TOP) -> list[str]:
    """Every file of the package, from the top folder."""
    files = (path for path in (folder / PACKAGE).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(str(path.relative_to(folder)) for path in files)


def stale_by_file(folder: Path) -> dict[str, set[str]]:
    """The stages that each file of the package makes stale when it changes, in a copy that `with_lock` has seen."""
    for name in package_files(folder):
        with (folder / name).open("a", encoding="utf-8") as stream:
            stream.write("\n")
    by_stage = changed(folder)
    return {
        name: {stage for stage, deps in by_stage.items() if name in deps or (is_common(name) and str(COMMON) in deps)}
        for name in package_files(folder)
    }


def is_common(name: str) -> bool:
    """Whether a file is listed by the folder that it is in."""
    return COMMON in Path(name).parents


def table(stale: dict[str, set[str]]) -> str:
    """A line for the files that make the same stages stale, with the number of stages, then totals."""
    files: dict[tuple[str, ...], list[str]] = {}
    for name, stages in stale.items():
        files.setdefault(tuple(sorted(stages)), []).append(name.removeprefix(f"{PACKAGE}/"))
    lines = [
        f"{len(stages):3}  {' '.join(names)}\n     -> {' '.join(stages)}"
        for stages, names in sorted(files.items(), key=lambda entry: (-len(entry[0]), entry[1]))
        if stages
    ]
    read = [stages for stages in stale.values() if stages]
    return "\n".join([*lines, f"{len(stale)} files, {len(read)} of them read by stages"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as top:
        here = copy_graph(Path(top) / "graph")
        with_lock(here)
        print(table(stale_by_file(here)))
