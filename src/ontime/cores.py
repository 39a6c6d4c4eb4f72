"""How many processor cores this process may use: the kernel's affinity, and the quota of its control groups.

A container on a large machine sees every core of it, and is stopped for the rest of each period once its threads have
used its quota. joblib knows a quota only where `/sys/fs/cgroup` shows the process's own group, and the image lacks it.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

VARIABLE = "OMP_NUM_THREADS"


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use at once, at least 1; a part of a core counts as one.

    Args:
        root: where `proc/self` and the mounted control groups are looked up.
    """
    return max(1, min([len(os.sched_getaffinity(0)), *map(math.ceil, quotas(root))]))


def limit_threads(root: Path = Path("/")) -> None:
    """Set OMP_NUM_THREADS, unless it is set, where a quota allows fewer cores than the affinity."""
    cores = usable_cores(root)
    if cores < len(os.sched_getaffinity(0)):
        os.environ.setdefault(VARIABLE, str(cores))


def quotas(root: Path) -> Iterator[float]:
    """Cores that each control group around this process allows, of version 1 and 2."""
    groups = _groups(root)
    for kind, below, point in _mounts(root):
        if kind not in groups:
            continue
        try:
            inside = groups[kind].relative_to(below)
        except ValueError:
            # the process's group is outside what is mounted here
            inside = PurePosixPath()
        folder = root / point.relative_to("/")
        for group in (inside, *inside.parents):
            yield from _quota(folder / group)


def _groups(root: Path) -> dict[str, PurePosixPath]:
    """The group of this process in the hierarchy `cgroup` (version 1, of the controller `cpu`) and in `cgroup2`."""
    found = {}
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            found["cgroup"] = PurePosixPath(path)
        elif number == "0":
            found["cgroup2"] = PurePosixPath(path)
    return found


def _mounts(root: Path) -> Iterator[tuple[str, PurePosixPath, PurePosixPath]]:
    """Type, root within the hierarchy and place of each mount that can hold a quota."""
    for line in _read(root / "proc" / "self" / "mountinfo").splitlines():
        mount, _, system = line.partition(" - ")
        below, point = (PurePosixPath(text) for text in mount.split()[3:5])
        kind, _, options = system.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(",")):
            yield kind, below, point


def _quota(folder: Path) -> Iterator[float]:
    """The quota of one group in cores; nothing where there is none."""
    # version 2 has both in one file, version 1 a file each, with -1 for no quota
    words = _read(folder / "cpu.max") or f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}"
    numbers = [int(word) for word in words.split() if word.isdecimal()]
    if len(numbers) == 2 and numbers[1]:
        yield numbers[0] / numbers[1]


def _read(path: Path) -> str:
    """Content of a file, empty where it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
