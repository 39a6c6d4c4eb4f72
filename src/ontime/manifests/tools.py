"""The programs that render and lint manifests, built or installed once, from the locks in `deployment/tools/`."""

import fcntl
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from ontime.common.errors import OntimeError
from ontime.common.files import replacing, sha256

TOOLS = Path("deployment/tools")
CACHE = Path.home() / ".cache" / "ontime" / "tools"
GO_HELP = "install Go 1.26 or later (https://go.dev/doc/install)"

P = ParamSpec("P")
T = TypeVar("T")


def one_at_a_time(function: Callable[P, T]) -> Callable[P, T]:
    """Let only one process at a time fill the cache; the others wait."""

    @functools.wraps(function)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> T:
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return function(*args, **kwargs)

    return waiting


@one_at_a_time
def find_kustomize(build_it: bool = True) -> Path:
    """kustomize as `deployment/tools/go.mod` pins it, built once.

    Raises:
        OntimeError: it is not in the cache, and building it is not allowed or fails.
    """
    path = CACHE / f"kustomize-{sha256(TOOLS / 'go.sum')[:16]}"
    if path.is_file():
        return path
    if not build_it:
        raise OntimeError("kustomize: not built; run `make manifests`")
    click.echo("building kustomize, once", err=True)
    with replacing(path) as temporary:
        done = subprocess.run(
            [
                *(find_go(), "build", "-trimpath", "-mod=readonly", "-o", str(temporary)),
                "sigs.k8s.io/kustomize/kustomize/v5",
            ],
            cwd=TOOLS,
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OntimeError(f"kustomize: not built: {last_line(done)}")
    return path


def find_go() -> str:
    """Path of Go."""
    go = shutil.which("go")
    if go is None:
        raise OntimeError(f"go: not found; {GO_HELP}")
    return go


@one_at_a_time
def find_checkov() -> str:
    """Path of checkov, installed in its own environment because it needs older dependencies."""
    lock = TOOLS / "requirements.txt"
    folder = CACHE / f"checkov-{sha256(lock)[:16]}"
    if not (folder / ".ready").is_file():
        click.echo("installing checkov, once", err=True)
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if uv is None:
            raise OntimeError("uv: not found; run `make setup`")
        for arguments in (
            ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [
                *("pip", "install", "--quiet", "--python", str(folder), "--require-hashes"),
                *("--only-binary", ":all:", "-r", str(lock)),
            ],
        ):
            done = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)
            if done.returncode:
                raise OntimeError(f"checkov: not installed: {last_line(done)}")
        (folder / ".ready").touch()
    return str(folder / "bin" / "checkov")


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of a program's standard error."""
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
