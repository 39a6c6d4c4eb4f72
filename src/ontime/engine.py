"""Independent tasks spread by joblib: over processes of this machine, or over a Spark cluster."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, Literal

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from ontime.common.environment import PINNED, threads
from ontime.common.errors import OntimeError
from ontime.common.params import Section


class Engine(Section):
    """How partitions are spread: a joblib backend."""

    backend: Literal["loky", "spark", "sequential"]


def run_tasks(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], backend: str) -> list[Any]:
    """Call `function(*task)` for each task and return the results in the order of the tasks.

    Only arguments and results pass through the driver; a task reads and writes its own files.

    Args:
        backend: `loky` (processes), `spark` (joblib-spark) or `sequential`.
    """
    if backend == "spark":
        _register_spark()
    try:
        with joblib.parallel_config(backend=backend, n_jobs=threads(), inner_max_num_threads=None):
            return list(joblib.Parallel()(joblib.delayed(function)(*task) for task in tasks))
    except TerminatedWorkerError:
        raise OntimeError(
            f"engine.backend: {backend}: a worker process was killed, most often for want of memory; "
            "set OMP_NUM_THREADS to fewer workers"
        ) from None


def _register_spark() -> None:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        from joblibspark import register_spark
        from pyspark.sql import SparkSession
    except ImportError:
        raise OntimeError("engine.backend: spark needs its extra; run `make setup-spark`") from None
    builder = SparkSession.builder.appName("ontime")
    for name, value in PINNED.items():
        builder = builder.config(f"spark.executorEnv.{name}", value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    register_spark()
