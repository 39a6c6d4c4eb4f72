"""Runs DVC's program: returns its output as text or JSON, and turns a failure into one line.

It runs the DVC of this Python environment, whose programs the stages find on PATH. In a folder other than the current
one, the environment variables with which git identifies the current repository are removed.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ontime.common.errors import OntimeError, one_line
from ontime.repository import git

GOOGLE_SETTINGS = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
"""Without it, Google's client asks a second server what kind of bucket it is, for a minute where there is none."""


def dvc(
    *arguments: str,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
    umask: int = -1,
    under: Sequence[str] = (),
) -> str:
    """What DVC prints, without the final newline.

    Args:
        folder: where it runs; otherwise the current one.
        variables: of its environment, beside this process's.
        umask: of its files; otherwise this process's.
        under: a command to run DVC under, such as a tracer.

    Raises:
        OntimeError: DVC failed; its first line says why.
    """
    done = subprocess.run(
        [*under, *_command(arguments)],
        cwd=folder,
        env=_environment(folder, variables),
        umask=umask,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        # an option's value can be a secret
        words = itertools.takewhile(lambda word: not word.startswith("-"), arguments)
        reason = first_line(done.stderr) or f"exit status {done.returncode}"
        raise OntimeError(f"{' '.join(['dvc', *words])}: {reason}")
    return done.stdout.removesuffix("\n")


def answer(*arguments: str) -> Any:
    """DVC's JSON output; an empty mapping if there is none."""
    return json.loads(dvc(*arguments, "--json") or "{}")


def show(*arguments: str, folder: Path | None = None) -> None:
    """Run DVC with its output shown; a failure adds one line below it."""
    sys.stdout.flush()
    done = subprocess.run(
        _command(arguments),
        cwd=folder,
        env=_environment(folder, None),
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise OntimeError(f"`{' '.join(['dvc', *arguments])}` failed; see its output above")


@contextmanager
def opened_repository() -> Iterator[Any]:
    """DVC's own view of the current folder, closed with the block.

    Raises:
        OntimeError: the current folder is no DVC repository, or one with wrong settings.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            yield repo
    except NotDvcRepoError:
        raise OntimeError("not a DVC repository; run this in the repository's top folder") from None
    except DvcException as error:
        raise OntimeError(f".dvc/config or .dvc/config.local: {one_line(error)}") from None


def cache_folder() -> Path:
    """Folder of the cache's objects: files by MD5, and of folders the listings, with the ending .dir.

    Raises:
        OntimeError: the current folder is no DVC repository, or one with wrong settings.
    """
    with opened_repository() as repo:
        return Path(repo.cache.local_cache_dir) / "files" / "md5"


def how_to_push(path: str, lacking: Collection[str]) -> str:
    """The command that pushes an output, of which the remote lacks paths that `dvc data status` lists."""
    return "`dvc push`" if path in lacking or f"{path}/" in lacking else "`ontime cache --push`"


def first_line(errors: str) -> str:
    """The line with the reason in DVC's standard error."""
    lines = [line.strip() for line in errors.splitlines() if line.strip() and not line.startswith("WARNING: ")]
    return lines[0].removeprefix("ERROR: ").removeprefix("unexpected error - ") if lines else ""


def _command(arguments: tuple[str, ...]) -> list[str]:
    # -P: do not import a folder of the checkout that has a package's name
    return [sys.executable, "-P", "-m", "dvc", *arguments]


def _environment(folder: Path | None, variables: Mapping[str, str] | None) -> dict[str, str]:
    environment = {**GOOGLE_SETTINGS, **git.environment(folder), **(variables or {})}
    programs, path = str(Path(sys.executable).parent), environment.get("PATH", os.defpath)
    if programs in path.split(os.pathsep):
        return environment
    return {**environment, "PATH": f"{programs}{os.pathsep}{path}"}
