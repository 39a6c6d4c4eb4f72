"""Runs a command on another processor: CPUID comes from a table, approximate instructions are emulated and counted.

This needs Linux on x86-64, a C compiler, capstone, and permission to trace child processes; `why_not` says what is
missing.
"""

import hashlib
import importlib.util
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ontime.common.errors import OntimeError
from ontime.common.files import write_text
from ontime.verification.processors import instructions
from ontime.verification.processors.tables import PROCESSORS, read_table, table_of, write_table

CACHE = Path.home() / ".cache" / "ontime" / "processors"
SOURCES = tuple(sorted(Path(__file__).parent.glob("*.[ch]")))
_OF_THE_MACHINE = (0xB, 0xD, 0x1F)
"""Leaves that the tracer never changes."""


@dataclass(frozen=True)
class Run:
    """How to run on a processor: the rounding of approximate instructions (native, exact or coarse) and the threads."""

    kind: str
    threads: int


RUNS = {
    "haswell": Run("exact", 1),
    "skylake-x": Run("coarse", 2),
    "icelake": Run("exact", 4),
    "sapphire-rapids": Run("coarse", 1),
    "raptor-lake": Run("exact", 2),
    "zen1": Run("coarse", 4),
    "zen2": Run("coarse", 2),
    "zen3": Run("exact", 4),
    "zen4": Run("coarse", 1),
    "zen5": Run("native", 2),
    "virtual-machine": Run("exact", 1),
    "no-caches": Run("coarse", 4),
}
DEFAULT = ("haswell", "zen2", "no-caches")


@dataclass(frozen=True)
class Executed:
    """An approximate instruction that was executed: how often, its mnemonic, and its offset in which file."""

    count: int
    mnemonic: str
    offset: int
    path: str


@dataclass(frozen=True)
class Report:
    """What a traced command executed: number of CPUIDs, approximate instructions, and files that could not be read."""

    answered: int
    executed: tuple[Executed, ...]
    unread: tuple[str, ...]


def names_of(requested: str) -> tuple[str, ...]:
    """The processors that `--processors` requests: all, none, or comma-separated names."""
    if requested in ("all", "none"):
        return tuple(RUNS) if requested == "all" else ()
    names = tuple(requested.split(","))
    for name in names:
        if name not in RUNS:
            raise OntimeError(f"--processors {name or requested}: not one of all, none, {', '.join(RUNS)}")
    return names


def why_not(cache: Path = CACHE) -> str | None:
    """Why commands cannot run on other processors here, in a few words; None if they can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"only on Linux on x86-64, not {sys.platform} on {platform.machine()}"
    if importlib.util.find_spec("capstone") is None:
        return "the package capstone is not installed"
    if _compiler() is None:
        return "no C compiler: neither cc nor gcc is found"
    try:
        tracer = build_tracer(cache)
    except subprocess.CalledProcessError as error:
        return f"the tracer does not compile: {_first_line(error.stderr)}"
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        command = on_processor("haswell", "exact", report, cache)
        done = subprocess.run([*command, tracer], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"programs cannot be traced: {_first_line(done.stderr)}"
    actual, expected = read_table(done.stdout), table_of(PROCESSORS["haswell"], _native_table(tracer))
    changed = all(row == expected.get(leaf, [0] * 4) for leaf, row in actual.items() if _is_from_table(leaf))
    return None if changed else "the tracer does not change what CPUID returns"


def on_processor(name: str, kind: str, report: Path, cache: Path = CACHE) -> list[str]:
    """The command prefix that makes a command, and all its children, run on the processor `name`.

    Args:
        kind: how the results of approximate instructions are rounded: native, exact or coarse.
        report: where the tracer writes what `read_report` reads.
    """
    tracer = build_tracer(cache)
    text = write_table(table_of(PROCESSORS[name], _native_table(tracer)))
    table = cache / f"{name}-{_digest(text.encode())}.cpuid"
    if not table.is_file():
        write_text(table, text)
    # isolated: neither the variables nor the folder of the traced command reach the scanner
    scanner = [sys.executable, "-I", str(Path(instructions.__file__)), str(cache)]
    return [str(tracer), str(table), kind, str(report), *scanner, "--"]


def read_report(path: Path) -> Report:
    """Read what the tracer wrote when its command ended."""
    answered, executed, unread = 0, [], []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        what, rest = line.split(" ", 1)
        if what == "answered":
            answered = int(rest)
        elif what == "unread":
            unread.append(rest)
        else:
            count, mnemonic, offset, file = rest.split(" ", 3)
            executed.append(Executed(int(count), mnemonic, int(offset, 16), file))
    return Report(answered, tuple(executed), tuple(unread))


def totals(report: Report) -> list[str]:
    """Counts of the executed approximate instructions by file, highest first."""
    counts: Counter[str] = Counter()
    for instruction in report.executed:
        counts[f"{instruction.mnemonic} in {Path(instruction.path).name}"] += instruction.count
    return [f"{count} {what}" for what, count in counts.most_common()]


def build_tracer(cache: Path = CACHE) -> Path:
    """Compile the tracer unless the cache holds it.

    Raises:
        subprocess.CalledProcessError: the compiler fails; `stderr` says why.
    """
    tracer = cache / f"tracer-{_digest(b''.join(source.read_bytes() for source in SOURCES))}"
    if not tracer.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            made = Path(folder) / "tracer"
            sources = [str(source) for source in SOURCES if source.suffix == ".c"]
            command = [_compiler() or "cc", "-O2", "-o", str(made), *sources, "-lm"]
            subprocess.run(command, capture_output=True, text=True, check=True)
            made.rename(tracer)
    return tracer


def _native_table(tracer: Path) -> dict[tuple[int, int], list[int]]:
    return read_table(subprocess.run([tracer], capture_output=True, text=True, check=True).stdout)


def _is_from_table(leaf: tuple[int, int]) -> bool:
    """Whether the answer comes only from the table: leaf 1 also contains the current core."""
    return leaf[0] not in _OF_THE_MACHINE and leaf[0] != 1


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "no reason given")
