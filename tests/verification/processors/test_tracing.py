"""Programs on other processors: what CPUID and approximate instructions give, and that all else stays as it was."""

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ontime.common.errors import OntimeError
from ontime.verification.processors import tracing
from ontime.verification.processors.tables import PROCESSORS
from ontime.verification.processors.tracing import DEFAULT, RUNS, names_of, on_processor, read_report, why_not

SOURCE = Path(__file__).with_name("approximate_instructions.c")
ONCE = {"rcpss": 1, "rsqrtps": 1, "rsqrtss": 1, "vrcpps": 1, "vrsqrtps": 1, "vrcpss": 1, "fsin": 1}
BOUND = 1.5 * 2**-12
"""Relative error that the architecture allows."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of tracers and lists; tests that need it are skipped where programs cannot be traced."""
    folder = tmp_path_factory.mktemp("processors")
    missing = why_not(folder)
    if missing:
        pytest.skip(missing)
    return folder


@pytest.fixture(scope="session")
def program(cache: Path) -> Path:
    """The compiled program of approximate instructions."""
    made = cache / "approximate_instructions"
    subprocess.run(["cc", "-O1", "-pthread", "-o", made, SOURCE], check=True)
    return made


def values_of(text: str) -> list[tuple[str, list[float]]]:
    """Names of instructions and the numbers whose bits follow them."""
    rows = [line.split() for line in text.splitlines() if re.match(r"v?r(cp|sqrt)", line)]
    return [(name, [struct.unpack("!f", bytes.fromhex(word))[0] for word in words]) for name, *words in rows]


def test_every_processor_has_its_run_and_every_kind_and_number_of_threads_comes_up() -> None:
    assert list(RUNS) == list(PROCESSORS)
    assert {run.kind for run in RUNS.values()} == {"native", "exact", "coarse"}
    assert {run.threads for run in RUNS.values()} == {1, 2, 4}
    assert {RUNS[name].threads for name in DEFAULT} == {1, 2, 4}


def test_processors_are_asked_for_by_name() -> None:
    assert names_of("none") == ()
    assert names_of("all") == tuple(PROCESSORS)
    assert names_of("zen2,haswell") == ("zen2", "haswell")
    for wanted in ("", "haswell,", "pentium"):
        with pytest.raises(OntimeError, match=r"^--processors .*: not one of all, none, haswell, skylake-x, [^\n]+$"):
            names_of(wanted)


def test_native_results_are_those_of_the_program_alone(program: Path, cache: Path, tmp_path: Path) -> None:
    alone = subprocess.run([program], capture_output=True, text=True, check=False)
    command = [*on_processor("haswell", "native", tmp_path / "report", cache), str(program)]
    traced = subprocess.run(command, capture_output=True, text=True, check=False)
    assert traced.returncode == alone.returncode == 5
    assert traced.stderr == ""
    # all but the answer to CPUID
    assert traced.stdout.splitlines()[:-2] == alone.stdout.splitlines()[:-2]
    assert traced.stdout.splitlines()[-1] == alone.stdout.splitlines()[-1]


def test_kinds_of_results_differ_within_the_bound_and_are_counted(program: Path, cache: Path, tmp_path: Path) -> None:
    told = {}
    for kind in ("native", "exact", "coarse"):
        report = tmp_path / kind
        command = [*on_processor("zen2", kind, report, cache), str(program)]
        told[kind] = values_of(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
        counts: dict[str, int] = {}
        for one in read_report(report).executed:
            assert one.path == str(program)
            counts[one.mnemonic] = counts.get(one.mnemonic, 0) + one.count
        # in this thread twice, in another and in a fork
        assert counts == {"rcpps": 4, **ONCE}
    assert len({str(values) for values in told.values()}) == 3
    for (_, exact), (_, native), (_, coarse) in zip(
        *(told[kind] for kind in ("exact", "native", "coarse")), strict=True
    ):
        for right, one, other in zip(exact, native, coarse, strict=True):
            assert one == pytest.approx(right, rel=BOUND)
            assert other == pytest.approx(right, rel=BOUND)
    assert dict(told["exact"])["vrcpps"][5] == np.float32(1) / np.float32(0.3)


@pytest.mark.parametrize("name", ["haswell", "zen5", "no-caches"])
def test_cpuid_tells_the_caches_of_the_processor(name: str, program: Path, cache: Path, tmp_path: Path) -> None:
    command = on_processor(name, "exact", tmp_path / "report", cache)
    leaf = subprocess.run([*command, program, "cpuid"], capture_output=True, text=True, check=False)
    size = subprocess.run([*command, "getconf", "LEVEL1_DCACHE_SIZE"], capture_output=True, text=True, check=True)
    assert leaf.returncode == 7
    # leaf 4: 64 sets of 8 ways of 64 bytes; AMD tells its caches elsewhere
    assert leaf.stdout == ("1c0003f 3f\n" if name == "haswell" else "0 0\n")
    assert size.stdout.strip() == {"haswell": "32768", "zen5": "49152", "no-caches": "undefined"}[name]
    assert read_report(tmp_path / "report").answered > 0


def test_an_illegal_instruction_of_the_program_is_its_own(program: Path, cache: Path, tmp_path: Path) -> None:
    command = [*on_processor("haswell", "exact", tmp_path / "report", cache), str(program), "illegal"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "illegal instruction\n")


def test_a_stopped_job_stops_and_goes_on_and_a_killed_tracer_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    program = "import os, time; print(os.getpid(), flush=True); [time.sleep(0.01) for _ in iter(int, 1)]"
    command = [*on_processor("haswell", "exact", tmp_path / "report", cache), sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tracer:
        assert tracer.stdout
        pid = int(tracer.stdout.readline())
        for sent, state in ((signal.SIGSTOP, "[tT]"), (signal.SIGCONT, "[RS]")):
            os.kill(pid, sent)
            assert comes_true(lambda state=state: re.match(state, state_of(pid)) is not None)
        tracer.kill()
    assert comes_true(lambda: state_of(pid) in ("", "Z"))


def test_signals_and_exit_statuses_are_as_without(cache: Path, tmp_path: Path) -> None:
    command = on_processor("haswell", "exact", tmp_path / "report", cache)
    killed = subprocess.run([*command, "sh", "-c", "kill -TERM $$"], check=False)
    handled = subprocess.run([*command, "sh", "-c", "trap 'exit 9' USR1; kill -USR1 $$"], check=False)
    absent = subprocess.run([*command, tmp_path / "absent"], capture_output=True, text=True, check=False)
    assert killed.returncode == 128 + signal.SIGTERM
    assert handled.returncode == 9
    assert absent.returncode == 125
    assert absent.stderr == f"tracer: {tmp_path / 'absent'}: No such file or directory\n"


def test_what_is_missing_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda _: None)
        assert why_not(tmp_path) == "no C compiler: neither cc nor gcc is found"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        assert str(why_not(tmp_path)).startswith("only on Linux on x86-64")
    broken = tmp_path / "broken.c"
    broken.write_text("int main(void) { return none; }\n")
    with monkeypatch.context() as patch:
        patch.setattr(tracing, "SOURCES", (broken,))
        assert re.fullmatch(r"the tracer does not compile: [^\n]+", str(why_not(tmp_path)))


def test_a_traced_process_says_that_it_cannot_trace(cache: Path, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from ontime.verification.processors.tracing import why_not; "
        f"print(why_not(Path({str(cache)!r})))"
    )
    command = [*on_processor("haswell", "exact", tmp_path / "report", cache), sys.executable, "-c", program]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told == "programs cannot be traced: tracer: ptrace: Operation not permitted\n"


def comes_true(condition: object) -> bool:
    """Whether a condition holds within ten seconds."""
    assert callable(condition)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


def state_of(pid: int) -> str:
    """The state of a process in /proc, empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
