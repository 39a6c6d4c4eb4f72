"""What this machine has by itself: Python and its packages, git, the processor, the disk, and programs on PATH."""

import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ontime.common.errors import OntimeError
from ontime.repository.dvc import cache_folder
from ontime.repository.git import tried
from ontime.repository.lock_file import LOCK, read_lock

PYTHON = (3, 11)
GO = (1, 26)
JAVA = 17
GIB = 1 << 30
SPARE_BYTES = 2 * GIB
"""Beside the outputs, for files that are written before they replace others."""
REQUIREMENTS = Path("requirements.txt")
CPU = Path("/proc/cpuinfo")


def python() -> str:
    """Version of the Python that runs this."""
    if sys.version_info[:2] != PYTHON:
        raise OntimeError(f"Python {platform.python_version()}; {'.'.join(map(str, PYTHON))} is needed")
    return f"Python {platform.python_version()}"


def packages(lock: Path = REQUIREMENTS) -> str:
    """How many packages of the lock file are installed as it says."""
    try:
        text = lock.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise OntimeError(f"{lock}: not found; run this in the repository's top folder") from None
    pinned = re.findall(r"^([\w.-]+)(?:\[[\w,.-]+\])?==([^\s;]+)", text, re.MULTILINE)
    wrong = [f"{name} {wanted}" for name, wanted in pinned if _installed(name) != wanted]
    if wrong:
        raise OntimeError(
            f"{len(wrong)} of {len(pinned)} packages of {lock} are absent or of another version: {wrong[0]}"
        )
    return f"{len(pinned)} packages as in {lock}"


def git_repository() -> str:
    """Version of git, in a repository."""
    if shutil.which("git") is None:
        raise OntimeError("git is not on PATH")
    if tried("rev-parse", "--show-toplevel") is None:
        raise OntimeError("not in a git repository")
    return tried("version") or "git"


def identity() -> str:
    """Whose name a commit gets."""
    if shutil.which("git") is None:
        raise OntimeError("git is not on PATH")
    known = [tried("config", key) for key in ("user.name", "user.email")]
    if not all(known):
        raise OntimeError("git has no user.name and user.email")
    return f"{known[0]} <{known[1]}>"


def hooks() -> str:
    """Names of git's hooks in this repository."""
    folder = tried("rev-parse", "--git-path", "hooks") if shutil.which("git") else None
    found = sorted(path.name for path in Path(folder).glob("*") if path.suffix != ".sample") if folder else []
    if not found:
        raise OntimeError("none")
    return ", ".join(found)


def processor(information: Path = CPU) -> str:
    """The processor's name; it must be of x86-64 with AVX2."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise OntimeError(f"{platform.system()} on {platform.machine()}; Linux on x86-64 is needed")
    text = information.read_text(encoding="utf-8", errors="replace")
    if not re.search(r"^flags\s*:.*\bavx2\b", text, re.MULTILINE):
        raise OntimeError("no AVX2")
    name = re.search(r"^model name\s*:\s*(.+)", text, re.MULTILINE)
    return f"{name[1] if name else 'x86-64'}, AVX2"


def disk(spare: int = SPARE_BYTES) -> str:
    """Free space where the outputs and DVC's cache are, which must take all outputs once more and `spare` bytes."""
    outputs = (
        sum(int(out.get("size", 0)) for stage in read_lock().values() for out in stage["outs"]) if LOCK.exists() else 0
    )
    wanted = outputs + spare
    for folder in {Path().resolve(), _existing(cache_folder())}:
        free = shutil.disk_usage(folder).free
        if free < wanted:
            raise OntimeError(f"{free / GIB:.1f} GiB free in {folder}; {wanted / GIB:.1f} GiB are needed")
    return f"{shutil.disk_usage(Path()).free / GIB:.1f} GiB free, {wanted / GIB:.1f} needed"


def podman() -> str:
    """Version of Podman."""
    return _output("podman", "--version")


def go() -> str:
    """Version of Go, which must be new enough."""
    text = _output("go", "version")
    found = re.search(r"go(\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < GO:
        raise OntimeError(f"{text}; {'.'.join(map(str, GO))} or later is needed")
    return text


def java() -> str:
    """Version of Java, which must be the one of Spark."""
    text = _output("java", "-version")
    found = re.search(r'version "(\d+)', text)
    if found is None or int(found[1]) != JAVA:
        raise OntimeError(f"{text}; Java {JAVA} is needed")
    return text


def compiler() -> str:
    """Version of the C compiler."""
    return _output("cc", "--version")


def _output(*command: str) -> str:
    """The first line that a program prints."""
    path = shutil.which(command[0])
    if path is None:
        raise OntimeError(f"{command[0]} is not on PATH")
    done = subprocess.run([path, *command[1:]], capture_output=True, text=True, errors="replace", check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    if done.returncode or not lines:
        raise OntimeError(f"{' '.join(command)}: {lines[0] if lines else f'exit status {done.returncode}'}")
    return lines[0]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
