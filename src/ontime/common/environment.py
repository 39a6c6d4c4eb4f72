"""The process environment that makes every x86-64 Linux machine compute the same bytes.

numpy, OpenBLAS, glibc and TensorFlow choose code by the processor they find, and most read their switches
once, when they load; so a command starts itself again with all of them fixed before it imports any.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PINNED = {
    "CUDA_VISIBLE_DEVICES": "-1",
    # TensorFlow multiplies matrices by oneDNN's kernels
    "DNNL_MAX_CPU_ISA": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # libm's fused multiply-add variants of exp, log and pow round differently from its plain ones
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4",
    "KERAS_BACKEND": "tensorflow",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    # OpenMP threads that wait must not keep the cores that other processes need
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_CORETYPE": "Haswell",
    # a threaded BLAS splits sums by the number of cores
    "OPENBLAS_NUM_THREADS": "1",
    # ONNX Runtime reports its use to its maker unless told not to
    "ORT_DISABLE_TELEMETRY": "1",
    "PYTHONHASHSEED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # without it Eigen cuts matrices for those kernels by the size of the first-level cache
    "TF_ENABLE_ONEDNN_OPTS": "1",
}
_PR_SET_PDEATHSIG = 1


def pin() -> None:
    """Start this command again unless every variable of `PINNED` has its value and the code is the checkout's own."""
    wanted = {**PINNED, **own_source()}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.environ.update(wanted)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same command again


def own_source() -> dict[str, str]:
    """The PYTHONPATH with which a command in a checkout runs that checkout's code; empty where it does already.

    The installed `ontime` leads to the checkout that installed it, wherever it is called: in a worktree, a clone, or
    the copy in which DVC runs a queued experiment.
    """
    checkout = _checkout_around()
    if checkout is None:
        return {}
    source, imported = os.path.join(checkout, "src"), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.samefile(imported, os.path.join(source, "ontime")):
        return {}
    if not os.path.isfile(os.path.join(source, "ontime", "__main__.py")):
        sys.exit(f"error: {source}: an older version of the code, which this `ontime` cannot start; run its own .venv")
    path = os.environ.get("PYTHONPATH", "")
    if path.split(os.pathsep)[0] == source:
        sys.exit(f"error: {source}: not the code that Python imports here, but {imported}; run this checkout's .venv")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [source, path]))}


def _checkout_around() -> str | None:
    """The folder around the current one, or itself, that has the graph and its code."""
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        return None
    while not all(os.path.isfile(os.path.join(folder, name)) for name in ("dvc.yaml", "src/ontime/__init__.py")):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return folder


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what the block writes to standard error, by libraries that no switch keeps from greeting."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def end_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, so that a killed `dvc repro` leaves no writer behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def threads() -> int:
    """Number of threads or worker processes to use: OMP_NUM_THREADS, else the cores this process may run on."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) > 0 else len(os.sched_getaffinity(0))
