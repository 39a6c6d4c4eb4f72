"""Independent tasks in parallel: over processes of this machine by joblib, or over Spark."""

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import click
import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from ontime.common.environment import end_with_parent, threads
from ontime.common.errors import OntimeError
from ontime.common.params import Section


class Engine(Section):
    """How partitions are spread: a joblib backend, or Spark."""

    backend: Literal["loky", "spark", "sequential"]


backend_option = click.option(
    "--backend",
    type=click.Choice(get_args(Engine.model_fields["backend"].annotation)),
    help="How the work is spread.  [default: engine.backend of params.yaml]",
)


class Files(NamedTuple):
    """The files that a task reads and writes, by absolute paths, each an argument of the task or below one.

    A cluster's worker brings those that the task `reads` from the DVC remote, and gets the bytes of those that are
    `sent`, which are in no remote. What has an address is neither: a task opens it wherever it runs.
    """

    reads: Sequence[Path] = ()
    writes: Sequence[Path] = ()
    sent: Sequence[Path] = ()


def no_files(*task: Any) -> Files:
    """The files of a task that has none."""
    del task
    return Files()


def sent_files(*task: Any) -> Files:
    """The files of a task whose paths are all of files that it reads and no remote has."""
    return Files(sent=[value for value in task if isinstance(value, Path)])


def run_tasks(
    function: Callable[..., Any],
    tasks: Iterable[tuple[Any, ...]],
    backend: str,
    files: Callable[..., Files] = no_files,
    step: str = "",
) -> list[Any]:
    """All results of `each_result`, which has the same arguments."""
    return list(each_result(function, tasks, backend, files, step))


def each_result(
    function: Callable[..., Any],
    tasks: Iterable[tuple[Any, ...]],
    backend: str,
    files: Callable[..., Files] = no_files,
    step: str = "",
) -> Iterator[Any]:
    """Call `function(*task)` for each task and give the results in the order of the tasks, each as soon as it is there.

    Args:
        backend: `loky` (processes), `spark` or `sequential`. A single task needs no process of its own.
        files: `files(*task)` are the task's files, which a cluster's worker is sent and sends back. Any path among the
            arguments is absolute, and another one where the worker is.
        step: what a task is, for a person who waits: `loky` and `sequential` tell of each that is done.

    Raises:
        OntimeError: of a task; or a worker was killed, or Spark failed.
    """
    planned = list(tasks)
    if backend == "spark":
        # by name: what carries a task's files, each checked by its MD5, is no dependency of a stage
        yield from importlib.import_module("ontime.spark").run(function, planned, files)
        return
    processes = max(1, min(threads(), len(planned)))
    calls = (joblib.delayed(_with_driver)(os.getpid(), function, *task) for task in planned)
    try:
        with joblib.parallel_config(backend=backend, n_jobs=processes, inner_max_num_threads=None):
            results = joblib.Parallel(return_as="generator")(calls)
        yield from told(results, len(planned), step) if step else results
    except TerminatedWorkerError:
        raise OntimeError(
            f"engine.backend: {backend}: a worker process was killed, most often for want of memory; "
            "set OMP_NUM_THREADS to fewer workers"
        ) from None


def _with_driver(driver: int, function: Callable[..., Any], *task: Any) -> Any:
    end_with_driver(driver)
    return function(*task)


def end_with_driver(driver: int) -> None:
    """In a worker process: end when the process that started it is killed, and write no more."""
    if driver != os.getpid():
        end_with_parent()
        if os.getppid() != driver:
            os._exit(1)


def told(results: Iterable[Any], count: int, step: str) -> Iterator[Any]:
    """The results, and for a person a bar on a terminal or a line for each of them in a log."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(results, total=count, unit=step)
        return
    for number, result in enumerate(results, start=1):
        sys.stderr.write(f"{step} {number} of {count} done\n")
        yield result
