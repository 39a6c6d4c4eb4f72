"""A virtual environment per server, made by uv from its lock at the first run and kept under ~/.cache/ontime.

The service's lock is its image's. A rival's, `requirements-<name>.txt`, is made from the file that ends in .in, by
`uv pip compile --generate-hashes --no-header --no-annotate --python-version 3.11 requirements-x.in -o LOCK`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from ontime.common.files import sha256

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "ontime" / "benchmarks"
SERVICE, SERVICE_LOCK = "ontime", HERE.parents[1] / "deployment" / "docker" / "requirements.txt"
UV = Path(sys.executable).with_name("uv")


def environment(name: str) -> Path:
    """The environment's folder, made unless it is there from the same lock."""
    lock, folder = SERVICE_LOCK if name == SERVICE else HERE / f"requirements-{name}.txt", CACHE / name
    installed = folder / "lock.sha256"
    if installed.is_file() and installed.read_text() == sha256(lock):
        return folder
    print(f"{name}: installing {lock.name} into {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--python", folder, "--compile-bytecode", "--require-hashes", "-r", lock],
        check=True,
    )
    installed.write_text(sha256(lock))
    return folder


def megabytes(folder: Path) -> float:
    """Size of what is installed, compiled bytecode included."""
    files = (path for path in (folder / "lib").rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6
