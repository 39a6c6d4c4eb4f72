"""A virtual environment from a lock file, made by uv at the first run and kept under ~/.cache/ontime.

A rival's lock, `requirements-<name>.txt`, is made from the file that ends in .in, by
`uv pip compile --generate-hashes --no-header --no-annotate --python-version 3.11 requirements-x.in -o LOCK`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from ontime.common.files import sha256

CACHE = Path.home() / ".cache" / "ontime" / "benchmarks"
UV = Path(sys.executable).with_name("uv")


def installed(name: str, lock: Path) -> Path:
    """The environment's folder, made unless it is there from the same lock."""
    folder = CACHE / name
    record = folder / "lock.sha256"
    if record.is_file() and record.read_text() == sha256(lock):
        return folder
    print(f"{name}: installing {lock.name} into {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--python", folder, "--compile-bytecode", "--require-hashes", "-r", lock],
        check=True,
    )
    record.write_text(sha256(lock))
    return folder
