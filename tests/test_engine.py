"""Tasks spread over processes give what one process gives, in the order of the tasks."""

import os
import subprocess
import sys

import pytest

from ontime.common.environment import PINNED
from ontime.common.errors import OntimeError
from ontime.engine import each_result, run_tasks, told
from ontime.model_training.families import check_family


@pytest.fixture(autouse=True)
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")


@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_results_come_in_the_order_of_the_tasks(backend: str) -> None:
    assert run_tasks(divmod, [(number, 7) for number in range(20)], backend) == [divmod(n, 7) for n in range(20)]


@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_no_tasks_have_no_results(backend: str) -> None:
    assert run_tasks(divmod, [], backend) == []


@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_a_task_that_fails_tells_its_own_reason(backend: str) -> None:
    with pytest.raises(OntimeError, match=r"^unknown model zzz; "):
        run_tasks(check_family, [("random_forest",), ("zzz",)], backend)


def test_loky_runs_tasks_in_other_processes() -> None:
    assert os.getpid() not in run_tasks(os.getpid, [(), ()], "loky")
    assert set(run_tasks(os.getpid, [(), ()], "sequential")) == {os.getpid()}


def test_a_worker_that_is_killed_is_told_with_what_to_do() -> None:
    with pytest.raises(OntimeError, match=r"^engine\.backend: loky: a worker process was killed, .* OMP_NUM_THREADS"):
        run_tasks(os._exit, [(9,), (9,)], "loky")


def test_a_worker_whose_driver_is_gone_does_nothing() -> None:
    program = "import os; from ontime.engine import end_with_driver; {}; print('went on')"
    for call, status, printed in [
        ("end_with_driver(os.getppid())", 0, "went on\n"),
        ("end_with_driver(os.getpid())", 0, "went on\n"),
        ("end_with_driver(1)", 1, ""),
    ]:
        child = subprocess.run(
            [sys.executable, "-c", program.format(call)], stdout=subprocess.PIPE, text=True, check=False
        )
        assert (child.returncode, child.stdout) == (status, printed), call


def test_a_result_is_there_before_the_next_task_is_done() -> None:
    done: list[int] = []
    results = each_result(done.append, [(1,), (2,)], "sequential")
    next(results)
    assert done == [1]
    assert (list(results), done) == ([None], [1, 2])


def test_a_single_task_needs_no_other_process() -> None:
    assert run_tasks(os.getpid, [()], "loky") == [os.getpid()]


def test_workers_inherit_the_pinned_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)
    for name, value in PINNED.items():
        monkeypatch.setenv(name, value)
    assert dict(zip(PINNED, run_tasks(os.getenv, [(name,) for name in PINNED], "loky"), strict=True)) == PINNED
    get_reusable_executor().shutdown(wait=True)


@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_a_log_gets_a_line_for_each_task_that_is_done(backend: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_tasks(abs, [(-1,), (-2,)], backend, step="month") == [1, 2]
    assert capfd.readouterr().err == "month 1 of 2 done\nmonth 2 of 2 done\n"
    run_tasks(abs, [(-1,)], backend)
    assert capfd.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(told([1, 2], 2, "month")) == [1, 2]
    assert "100%" in capsys.readouterr().err
