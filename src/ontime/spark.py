"""Tasks on Spark: each is a job of its own, so that Spark runs again what a lost worker had.

Spark's own settings name the master, such as `--master` in PYSPARK_SUBMIT_ARGS. On `local[N]` a task reads and writes
this machine's files. On a cluster a worker has no checkout: it gets this package as an archive, brings the files that a
task reads from the DVC remote by their MD5s, with credentials of its own, is sent the bytes of those that are in no
remote, and sends back the bytes of the files that it writes.
"""

import atexit
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ontime
from ontime.common.environment import PINNED
from ontime.common.errors import OntimeError, one_line
from ontime.common.files import replacing
from ontime.engine import Files
from ontime.repository.objects import md5_of
from ontime.repository.pull import bring, remote_settings

JOBS = 200
"""Tasks that Spark is given at once; each waits in a thread here."""
DECISIVE = ("numpy", "onnxruntime", "pandas", "pyarrow", "scikit-learn", "tensorflow-cpu")
"""Packages whose version decides bytes."""
REASON = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception|Exit)): (.+)$", re.MULTILINE)
"""Of a Python traceback, the line that tells the reason."""

Function = Callable[..., Any]


@dataclass(frozen=True)
class Shipped:
    """What a worker needs to run a task without the checkout."""

    function: Function
    task: tuple[Any, ...]
    md5s: Mapping[Path, str]
    """Of the files that the task reads."""
    sent: Sequence[Path]
    writes: Sequence[Path]
    remote: Mapping[str, Any]
    versions: Mapping[str, str]


def run(function: Function, tasks: list[tuple[Any, ...]], files: Callable[..., Files]) -> Iterator[Any]:
    """Call `function(*task)` for each task on Spark and give the results in the order of the tasks.

    Raises:
        OntimeError: of a task; an object is not in the remote; a worker has other packages; or Spark failed.
    """
    with _context() as context:
        if context.master.startswith("local"):
            yield from _collect(context, _on_spark, [partial(_told, partial(function, *task)) for task in tasks])
        else:
            yield from _collect(context, _on_cluster, list(_shipped(function, tasks, files)))


def _collect(context: Any, submit: Function, calls: list[Any]) -> Iterator[Any]:
    with ThreadPoolExecutor(max(1, min(JOBS, len(calls)))) as pool:
        try:
            yield from pool.map(partial(submit, context), calls)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            context.cancelAllJobs()
            raise


def _on_spark(context: Any, call: Callable[[], Any]) -> Any:
    """What a call returns on a worker; an error that it returned is raised."""
    (result,) = context.parallelize([0], 1).map(lambda _: call()).collect()
    if isinstance(result, _Failed):
        raise OntimeError(result.reason)
    return result


def _on_cluster(context: Any, shipped: Shipped) -> Any:
    """A task's result; the files that it wrote are written here."""
    # read as late as here: only the tasks that Spark was given are in memory
    sent = {path: path.read_bytes() for path in shipped.sent}
    result, contents = _on_spark(context, partial(_told, partial(work, shipped, sent)))
    for path, content in zip(shipped.writes, contents, strict=True):
        if content is not None:
            with replacing(path) as temporary:
                temporary.write_bytes(content)
    return result


@dataclass(frozen=True)
class _Failed:
    reason: str


def _told(call: Callable[[], Any]) -> Any:
    """A call's result, or its error as a value: Spark would repeat a task that raises."""
    try:
        return call()
    except OntimeError as error:
        return _Failed(str(error))


@contextmanager
def _context() -> Iterator[Any]:
    """The SparkContext of this process; a failure of Spark is one line."""
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
    except ImportError:
        raise OntimeError("engine.backend: spark needs its extra; run `make setup-spark`") from None
    try:
        yield _started()
    except (Py4JError, PySparkException, ConnectionError) as error:
        # it may be of no use any more
        if _started.cache_info().currsize:
            with suppress(Exception):
                _started().stop()
            _started.cache_clear()
        raise OntimeError(f"engine.backend: spark: {_reason(error)}") from None


@cache
def _started() -> Any:
    """A SparkContext whose workers have the pinned environment, and on a cluster the package, until this process ends.

    To start one takes longer than most tasks, so a command that runs tasks several times has one.
    """
    from pyspark import SparkConf, SparkContext

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = (
        SparkConf().setAppName("ontime").setAll((f"spark.executorEnv.{name}", value) for name, value in PINNED.items())
    )
    context = SparkContext(conf=conf)
    atexit.register(context.stop)
    if context.master.startswith("local"):
        context.setLogLevel("ERROR")
    else:
        # an executor that Spark starts later needs it too
        folder = tempfile.mkdtemp(prefix="ontime-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        context.addPyFile(str(archive(Path(folder))))
    return context


def _reason(error: Exception) -> str:
    found = REASON.findall(str(error))
    return one_line(OntimeError(": ".join(found[-1]))) if found else one_line(error)


def archive(folder: Path) -> Path:
    """The code of this package as an archive that Python imports from."""
    top, path = Path(ontime.__file__).parent, folder / "ontime.zip"
    with zipfile.ZipFile(path, "w") as content:
        for module in sorted(top.rglob("*.py")):
            content.write(module, module.relative_to(top.parent))
    return path


def _shipped(function: Function, tasks: list[tuple[Any, ...]], files: Callable[..., Files]) -> Iterator[Shipped]:
    versions = {name: found for name in DECISIVE if (found := _version(name))}
    known: dict[Path, str] = {}
    remote: dict[str, Any] = {}
    for task in tasks:
        reads, writes, sent = files(*task)
        # a log can be compacted where there is no DVC repository
        remote = remote or (remote_settings() if reads else {})
        known |= {path: md5_of(path) for path in reads if path not in known}
        yield Shipped(function, task, {path: known[path] for path in reads}, sent, writes, remote, versions)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def work(shipped: Shipped, sent: Mapping[Path, bytes]) -> tuple[Any, list[bytes | None]]:
    """On a worker: run a task below a folder of this process, where each path stands that is absolute in the checkout.

    Args:
        sent: bytes of the files that are in no remote.

    Returns:
        The task's result, and the bytes of each file that it may write, None for one that it did not.

    Raises:
        OntimeError: of the task, with paths as in the checkout; or what it needs is not to be had here.
    """
    _check_versions(shipped.versions)
    # Spark removes it when the worker's program ends
    scratch = Path(os.environ["SPARK_LOCAL_DIRS"].split(",")[0]) / "ontime"
    # the same for each task of a process, which can keep a model that it has loaded
    top = scratch / str(os.getpid())
    objects = bring({str(path): md5 for path, md5 in shipped.md5s.items()}, scratch / "md5", shipped.remote)
    shutil.rmtree(top, ignore_errors=True)
    try:
        for path in (*shipped.md5s, *sent):
            _below(top, path).parent.mkdir(parents=True, exist_ok=True)
            if path in sent:
                _below(top, path).write_bytes(sent[path])
            else:
                _below(top, path).hardlink_to(objects[str(path)])
        result = shipped.function(*(_below(top, value) if isinstance(value, Path) else value for value in shipped.task))
        written = [_below(top, path) for path in shipped.writes]
        contents = [path.read_bytes() if path.is_file() else None for path in written]
    except OntimeError as error:
        raise _as_there(error, top) from None
    finally:
        shutil.rmtree(top, ignore_errors=True)
    return (_as_there(result, top) if isinstance(result, OntimeError) else result), contents


def _below(top: Path, path: Path) -> Path:
    return top / path.relative_to(path.anchor)


def _as_there(error: OntimeError, top: Path) -> OntimeError:
    return OntimeError(str(error).replace(f"{top}/", "/"))


def _check_versions(versions: Mapping[str, str]) -> None:
    for package, wanted in versions.items():
        found = _version(package)
        if found != wanted:
            raise OntimeError(
                f"engine.backend: spark: a worker has {package} {found or '(none)'} and not {wanted}; "
                "install requirements.txt of this checkout there"
            )
