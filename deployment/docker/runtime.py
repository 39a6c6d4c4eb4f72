"""Copy the interpreter that runs this, its standard library and all shared libraries to a root filesystem of their own.

In: the folder of a virtual environment, whose libraries count too, and the new root's folder. Nothing else of the
base image is taken: no shell, no package manager, no compiler, no certificates, no users.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

LEFT_OUT = shutil.ignore_patterns(
    "__pycache__",
    "dist-packages",
    "site-packages",
    # what makes, shows or tests programs, and modules with libraries of their own that no service needs
    "config-*",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "test",
    "tests",
    "turtledemo",
    "venv",
    "_test*",
    "_xx*",
    *("_curses*", "curses", "_dbm*", "_gdbm*", "dbm", "nis.*", "ossaudiodev.*", "readline.*"),
    *("_sqlite3*", "sqlite3", "_tkinter*", "tkinter", "turtle.py"),
)


def copy_runtime(environment: Path, root: Path) -> None:
    """Fill the folder `root`, which is made."""
    interpreter, library = Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib"))
    # contents alone: some modules may be executed, and in the image only the interpreter is
    shutil.copytree(library, within(root, library), ignore=LEFT_OUT, copy_function=shutil.copyfile)
    copy(interpreter, within(root, interpreter))
    loaded = libraries([interpreter, *elf_files(within(root, library)), *elf_files(environment)])
    loaded = {path for path in loaded if not path.is_relative_to(environment)}
    # the loader searches the folder of the C library without /etc/ld.so.cache
    beside = next(path.parent for path in loaded if path.name.startswith("libc.so"))
    for path in loaded:
        is_loader = path.name.startswith("ld-linux")
        copy(path, within(root, path if is_loader else beside / path.name))


def elf_files(folder: Path) -> list[Path]:
    """Programs and shared libraries in a folder."""
    return [path for path in folder.rglob("*.so*") if path.is_file() and path.open("rb").read(4) == b"\x7fELF"]


def libraries(files: list[Path]) -> set[Path]:
    """Shared libraries that the dynamic loader finds for the files."""
    # exit status 1 tells of files that need none
    told = subprocess.run(["ldd", *files], stdout=subprocess.PIPE, text=True, check=False).stdout
    missing = re.findall(r"\S+(?= => not found)", told)
    if missing:
        sys.exit(f"error: the base image lacks {', '.join(sorted(set(missing)))}")
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", told)}


def copy(source: Path, target: Path) -> None:
    """Copy a file; a link's target takes its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def within(root: Path, path: Path) -> Path:
    """The place of an absolute path below another root."""
    return root / path.relative_to("/")


if __name__ == "__main__":
    copy_runtime(Path(sys.argv[1]), Path(sys.argv[2]))
