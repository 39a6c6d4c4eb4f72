"""What `verify` reads, copies and changes before it runs the graph elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ontime.common.errors import OntimeError
from ontime.repository.lock_file import Stages, read_lock
from ontime.verification.graph import (
    SHUFFLE,
    VARIATIONS,
    Variation,
    command,
    compare,
    copy_checkout,
    on_other_processor,
    variables_of,
)
from ontime.verification.processors.tracing import RUNS, why_not

INSTRUCTIONS = Path(__file__).parents[1] / "verification" / "processors" / "approximate_instructions.c"


def test_variations_differ_in_everything_they_vary() -> None:
    for name in ("name", "folder", "threads", "umask", "days", "listing"):
        assert len({getattr(variation, name) for variation in VARIATIONS}) == len(VARIATIONS), name
    for variable in ("HOSTNAME", "LC_ALL", "LOGNAME", "PYTHONHASHSEED", "TZ", "USER", "OPENBLAS_CORETYPE"):
        assert len({variation.variables[variable] for variation in VARIATIONS}) == len(VARIATIONS), variable


@pytest.mark.parametrize("variation", VARIATIONS, ids=lambda variation: variation.name)
def test_an_environment_has_its_own_home_and_threads_and_keeps_the_rest(
    variation: Variation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT", "as it was")
    variables = variables_of(variation, tmp_path)
    assert "KEPT" not in variables
    assert Path(variables["HOME"]).is_dir()
    assert Path(variables["HOME"]).is_relative_to(tmp_path)
    assert variables["TMPDIR"] == variables["HOME"]
    assert variables["PYTHONPATH"] == str(SHUFFLE)
    assert variables["LANG"] == variables["LC_ALL"]


@pytest.mark.parametrize("variation", VARIATIONS, ids=lambda variation: variation.name)
def test_the_variation_reaches_a_python_process(variation: Variation, tmp_path: Path) -> None:
    names = ["b", "a", "d", "c", "e"]
    folder = tmp_path / "listed"
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    program = (
        "import os, sys, time, pathlib\n"
        "print(time.time(), os.environ['OMP_NUM_THREADS'], *os.listdir(sys.argv[1]))\n"
        "print(*(entry.name for entry in os.scandir(sys.argv[1])))\n"
        "print(*sorted(path.name for path in pathlib.Path(sys.argv[1]).iterdir()))\n"
    )
    variables = variables_of(variation, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program, folder],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    (now, threads, *listed), scanned, ordered = (line.split() for line in done.stdout.splitlines())
    assert abs(float(now) - folder.stat().st_mtime - int(variables["ONTIME_VARIATION_DAYS"]) * 86400) < 600
    assert threads == variables["OMP_NUM_THREADS"]
    assert ordered == sorted(names)
    if variables["ONTIME_VARIATION_LISTING"] != "shuffled":
        expected = sorted(names, reverse=variables["ONTIME_VARIATION_LISTING"] == "reversed")
        assert listed == scanned == expected
    else:
        assert sorted(listed) == sorted(scanned) == sorted(names)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout with tracked, untracked, ignored and private files."""
    top = tmp_path / "checkout"
    for name in ("code/a b.py", "ünicode.txt", "new.txt", "data/out/part", ".dvc/config", ".dvc/config.local"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    (top / "data" / "external").mkdir()
    (top / "data" / "external" / "t.csv").write_text("a\n1\n")
    (top / ".gitignore").write_text("/data\n")
    (top / "gone.txt").write_text("gone")
    subprocess.run(["git", "init", "--quiet"], cwd=top, check=True)
    subprocess.run(["git", "add", "code", "gone.txt", ".gitignore", ".dvc"], cwd=top, check=True)
    (top / "gone.txt").unlink()
    return top


def copied(copy: Path) -> set[str]:
    files = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    return {name for name in files if not name.startswith(".git/")}


def test_what_git_knows_and_a_forks_table_are_copied_without_private_settings(checkout: Path, tmp_path: Path) -> None:
    copy_checkout(checkout, tmp_path / "copy", [], {})
    assert copied(tmp_path / "copy") == {
        ".dvc/config",
        ".gitignore",
        "code/a b.py",
        "data/external/t.csv",
        "new.txt",
        "ünicode.txt",
    }
    assert (tmp_path / "copy" / "new.txt").stat().st_mtime == 0


def test_the_inputs_of_chosen_stages_are_copied_as_well(checkout: Path, tmp_path: Path) -> None:
    locked: Stages = {
        "one": {"deps": [{"path": "data/out"}, {"path": "new.txt"}]},
        "two": {"deps": [{"path": "absent"}]},
    }
    copy_checkout(checkout, tmp_path / "copy", ["one"], locked)
    assert "data/out/part" in copied(tmp_path / "copy")
    with pytest.raises(OntimeError, match=r"^absent: not found; run `dvc repro` or `ontime pull` first$"):
        copy_checkout(checkout, tmp_path / "other", ["two"], locked)


def test_a_folder_without_git_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "plain").mkdir()
    with pytest.raises(OntimeError, match="not a git repository"):
        copy_checkout(tmp_path / "plain", tmp_path / "copy", [], {})


@pytest.mark.integration
def test_outputs_that_differ_are_told_from_those_that_do_not(tmp_path: Path) -> None:
    graph = (
        "stages:\n"
        "  steady: {cmd: echo 1 > steady, deps: [code], outs: [steady]}\n"
        "  moving: {cmd: echo $SEEN > moving, deps: [steady], outs: [moving]}\n"
    )
    for name, text in {"dvc.yaml": graph, "code": "code", "dvc.lock": ""}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "dvc.lock").unlink()
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--quiet", "--no-scm"], cwd=tmp_path, check=True)
    subprocess.run([*dvc, "repro", "--quiet"], cwd=tmp_path, env={**os.environ, "SEEN": "here"}, check=True)
    locked = read_lock(tmp_path / "dvc.lock")
    found = list(compare(tmp_path, locked, (), {"SEEN": "elsewhere"}, 0o022))
    assert found == [("steady", "steady", True), ("moving", "moving", False)]


@pytest.mark.parametrize("name", RUNS)
def test_another_processor_has_its_own_threads_in_a_plain_environment(name: str, tmp_path: Path) -> None:
    variation = on_other_processor(name)
    variables = variables_of(variation, tmp_path)
    assert variation.processor == name
    assert variables["OMP_NUM_THREADS"] == str(RUNS[name].threads)
    assert name in variation.name
    assert not {"ARROW_USER_SIMD_LEVEL", "GLIBC_TUNABLES", "OPENBLAS_CORETYPE"} & set(variation.variables)


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose second stage asks the processor by CPUID and whose third computes approximately."""
    missing = why_not()
    if missing:
        pytest.skip(missing)
    top = tmp_path / "checkout"
    top.mkdir()
    subprocess.run(["cc", "-O1", "-pthread", "-o", top / "program", INSTRUCTIONS], check=True)
    run = "chmod +x program && ./program"
    (top / "dvc.yaml").write_text(
        "stages:\n"
        "  steady: {cmd: echo 1 > steady, deps: [program], outs: [steady]}\n"
        f"  asking: {{cmd: {run} cpuid > asking || true, deps: [steady], outs: [asking]}}\n"
        f"  approximate: {{cmd: {run} > approximate || true, deps: [asking], outs: [approximate]}}\n"
    )
    subprocess.run(["git", "init", "--quiet"], cwd=top, check=True)
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--quiet"], cwd=top, check=True)
    subprocess.run([*dvc, "repro", "--quiet"], cwd=top, check=True)
    monkeypatch.chdir(top)
    monkeypatch.setattr("ontime.verification.graph.VARIATIONS", ())
    return top


@pytest.mark.integration
@pytest.mark.usefixtures("asking")
def test_a_stage_that_depends_on_the_processor_is_named_with_what_it_executes() -> None:
    steady, asks, computes = (
        CliRunner().invoke(command, ["--stage", stage, "--processors", "haswell,no-caches"])
        for stage in ("steady", "asking", "approximate")
    )
    assert steady.exception is None
    assert steady.output.splitlines()[1::2] == [
        "processor haswell, exact reciprocals, 1 thread: 1 outputs identical to dvc.lock",
        "processor no-caches, coarse reciprocals, 4 threads: 1 outputs identical to dvc.lock",
    ]
    assert re.fullmatch(r"stage asking: asking is not what dvc\.lock says \(processor [^\n]+", str(asks.exception))
    assert re.fullmatch(
        r"stage approximate: executes instructions whose results depend on the processor "
        r"\(processor haswell, exact reciprocals, 1 thread\): 4 rcpps in program, 1 [^\n]+",
        str(computes.exception),
    )


@pytest.mark.usefixtures("asking")
def test_other_processors_are_left_out_in_one_line_where_they_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ontime.verification.graph.why_not", lambda: "no C compiler")
    done = CliRunner().invoke(command, [])
    assert (done.exit_code, done.output) == (0, "other processors: skipped: no C compiler\n")
