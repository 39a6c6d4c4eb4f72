"""Independent tasks in parallel: over processes of this machine by joblib, or over Spark."""

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from ontime.common.environment import threads
from ontime.common.errors import OntimeError
from ontime.common.params import Section


class Engine(Section):
    """How partitions are spread: a joblib backend, or Spark."""

    backend: Literal["loky", "spark", "sequential"]


class Files(NamedTuple):
    """The files that a task reads and writes, by absolute paths, each an argument of the task or below one."""

    reads: Sequence[Path] = ()
    writes: Sequence[Path] = ()


def no_files(*task: Any) -> Files:
    """The files of a task that has none."""
    del task
    return Files()


def run_tasks(
    function: Callable[..., Any],
    tasks: Iterable[tuple[Any, ...]],
    backend: str,
    files: Callable[..., Files] = no_files,
    step: str = "",
) -> list[Any]:
    """Call `function(*task)` for each task and return the results in the order of the tasks.

    Args:
        backend: `loky` (processes), `spark` or `sequential`.
        files: `files(*task)` are the task's files, which a cluster's worker is sent and sends back. Any path among the
            arguments is absolute, and another one where the worker is.
        step: what a task is, for a person who waits: `loky` and `sequential` tell of each that is done.

    Raises:
        OntimeError: of a task; or a worker was killed, or Spark failed.
    """
    if backend == "spark":
        # by name: what carries a task's files, each checked by its MD5, is no dependency of a stage
        return list(importlib.import_module("ontime.spark").run(function, list(tasks), files))
    try:
        with joblib.parallel_config(backend=backend, n_jobs=threads(), inner_max_num_threads=None):
            planned = list(tasks)
            results = joblib.Parallel(return_as="generator")(joblib.delayed(function)(*task) for task in planned)
            return list(told(results, len(planned), step) if step else results)
    except TerminatedWorkerError:
        raise OntimeError(
            f"engine.backend: {backend}: a worker process was killed, most often for want of memory; "
            "set OMP_NUM_THREADS to fewer workers"
        ) from None


def told(results: Iterable[Any], count: int, step: str) -> Iterator[Any]:
    """The results, and for a person a bar on a terminal or a line for each of them in a log."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(results, total=count, unit=step)
        return
    for number, result in enumerate(results, start=1):
        sys.stderr.write(f"{step} {number} of {count} done\n")
        yield result
