"""The environment of each server: the service's is of its image's lock, a rival's of its own."""

from pathlib import Path

from benchmarks.environments import installed

HERE = Path(__file__).parent
SERVICE, SERVICE_LOCK = "ontime", HERE.parents[1] / "deployment" / "docker" / "requirements.txt"


def environment(name: str) -> Path:
    """The environment's folder, made unless it is there from the same lock."""
    return installed(name, SERVICE_LOCK if name == SERVICE else HERE / f"requirements-{name}.txt")


def megabytes(folder: Path) -> float:
    """Size of what is installed, compiled bytecode included."""
    files = (path for path in (folder / "lib").rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6
