"""What a worker of a Spark cluster does with a task: no path of the checkout, every file by its MD5."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.model_training.families import FAMILIES, family
from ontime.spark import DECISIVE, Shipped, archive, work
from tests.releases import md5

INPUT = Path("/checkout/data/in")
OUTPUT = Path("/checkout/data/out")
CONTENT = b"3\n"
PROGRAM = """
from ontime.common.errors import OntimeError
from ontime.engine import run_tasks
from ontime.model_training.families import check_family

print(run_tasks(pow, [(number, 2) for number in range(5)], "spark"))
for function, argument in ((check_family, "zzz"), (eval, "1 / 0")):
    try:
        run_tasks(function, [(argument,)], "spark")
    except OntimeError as error:
        print(error)
"""


def add_one(source: Path, target: Path, names: list[str]) -> str:
    """Write the number after the one that is read; note what is beside it."""
    names += [path.name for path in source.parent.iterdir()]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"{int(source.read_text()) + 1}\n")
    return "done"


def refuse(source: Path, *rest: object) -> None:
    del rest
    raise OntimeError(f"{source}: refused")


def refused_as_a_value(source: Path, *rest: object) -> OntimeError:
    del rest
    return OntimeError(f"{source}: refused")


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A remote that has the input, and where a worker keeps what it needs."""
    stored = tmp_path / "remote" / "files" / "md5" / md5(CONTENT)[:2] / md5(CONTENT)[2:]
    stored.parent.mkdir(parents=True)
    stored.write_bytes(CONTENT)
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path / 'local'},{tmp_path / 'other'}")
    return tmp_path


def shipped(worker: Path, function: object = add_one, **versions: str) -> Shipped:
    assert callable(function)
    remote = {"url": str(worker / "remote")}
    return Shipped(function, (INPUT, OUTPUT, []), {INPUT: md5(CONTENT)}, [], [OUTPUT, OUTPUT / "no"], remote, versions)


def test_a_task_reads_objects_of_the_remote_and_sends_back_what_it_wrote(worker: Path) -> None:
    assert work(shipped(worker), {}) == ("done", [b"4\n", None])
    left = [path.relative_to(worker / "local") for path in (worker / "local").rglob("*") if path.is_file()]
    assert left == [Path("ontime", "md5", md5(CONTENT)[:2], md5(CONTENT)[2:])]
    assert not INPUT.parent.exists()


@pytest.mark.parametrize("function", [refuse, refused_as_a_value])
def test_a_reason_names_the_path_of_the_checkout(worker: Path, function: object) -> None:
    task = shipped(worker, function)
    if function is refuse:
        with pytest.raises(OntimeError, match=f"^{INPUT}: refused$"):
            work(task, {})
    else:
        result, _ = work(task, {})
        assert str(result) == f"{INPUT}: refused"


def test_a_file_that_is_in_no_remote_is_read_from_the_bytes_that_are_sent(worker: Path) -> None:
    task = replace(shipped(worker), md5s={}, sent=[INPUT])
    assert work(task, {INPUT: b"8\n"}) == ("done", [b"9\n", None])
    assert not [path for path in (worker / "local").rglob("*") if path.is_file()]


def test_an_object_whose_copy_on_the_worker_was_changed_is_brought_again(worker: Path) -> None:
    work(shipped(worker), {})
    (copy,) = (path for path in (worker / "local" / "ontime" / "md5").rglob("*") if path.is_file())
    copy.chmod(0o644)
    copy.write_bytes(b"7\n")
    assert work(shipped(worker), {})[1][0] == b"4\n"


def test_an_object_with_other_bytes_is_refused(worker: Path) -> None:
    (worker / "remote" / "files" / "md5" / md5(CONTENT)[:2] / md5(CONTENT)[2:]).write_bytes(b"8\n")
    with pytest.raises(OntimeError, match=f"^output {INPUT}: object {md5(CONTENT)}: the remote has other bytes"):
        work(shipped(worker), {})
    assert not [path for path in (worker / "local").rglob("*") if path.is_file()]


def test_an_object_that_the_remote_has_not_is_named(worker: Path) -> None:
    (worker / "remote" / "files" / "md5" / md5(CONTENT)[:2] / md5(CONTENT)[2:]).unlink()
    with pytest.raises(OntimeError, match=f"^output {INPUT}: object {md5(CONTENT)}: neither in DVC's cache nor in its"):
        work(shipped(worker), {})


def test_other_packages_than_the_drivers_are_refused_before_anything_is_brought(worker: Path) -> None:
    with pytest.raises(OntimeError, match=r"^engine\.backend: spark: a worker has numpy \S+ and not 0\.1; install"):
        work(shipped(worker, numpy="0.1"), {})
    with pytest.raises(OntimeError, match=r"a worker has absent \(none\) and not 1;"):
        work(shipped(worker, absent="1"), {})
    assert not (worker / "local").exists()


def from_archive(folder: Path, code: str) -> str:
    """What a program prints that imports the package from its archive, as workers do."""
    path = archive(folder)
    program = f"import sys; sys.path.insert(0, {str(path)!r}); {code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_archive_is_the_package_and_works_without_a_checkout(tmp_path: Path) -> None:
    modules = "ontime.spark as s, ontime.model_deployment.batch.score, ontime.model_training.tune"
    assert from_archive(tmp_path, f"import {modules}; print(s.__file__)") == f"{tmp_path}/ontime.zip/ontime/spark.py\n"


def test_every_family_is_found_in_the_archive_and_no_other(tmp_path: Path) -> None:
    names = sorted({name for names in FAMILIES.values() for name in names})
    code = f"""from ontime.model_training.families import family
print(*(family(name).__name__ for name in {names}))
for name in ("families", "unknown"):
    try:
        family(name)
    except Exception as error:
        print(error)
"""
    classes, *errors = from_archive(tmp_path, f"exec({code!r})").splitlines()
    assert classes.split() == [family(name).__name__ for name in names]
    assert [error.split(";")[0] for error in errors] == ["unknown model families", "unknown model unknown"]


def test_the_decisive_packages_are_locked_at_one_version() -> None:
    lock = (Path(__file__).parents[1] / "requirements.txt").read_text(encoding="utf-8")
    assert [name for name in DECISIVE if f"\n{name}==" not in f"\n{lock}"] == []


@pytest.mark.integration
def test_an_error_on_a_worker_is_one_line_of_its_own_reason() -> None:
    pytest.importorskip("pyspark", reason="run `make setup-spark`", exc_type=ImportError)
    if shutil.which("java") is None:
        pytest.skip("no java")
    submit = "--master local[2] --conf spark.ui.enabled=false pyspark-shell"
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_SUBMIT_ARGS": submit},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    results, refused, failed = child.stdout.splitlines()
    assert results == str([number**2 for number in range(5)])
    assert refused.startswith("unknown model zzz; ")
    assert failed == "engine.backend: spark: ZeroDivisionError: division by zero"
