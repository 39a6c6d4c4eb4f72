"""Programs of the rehearsal: started with a log, waited for, killed, started again, and found again after a crash.

Each is started with a variable that names the run's folder. It passes to whatever they start, so what an earlier run
left is found by it, whichever way that run ended, and nothing else ever is.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import requests

from ontime.common.errors import OntimeError

MARK = "ONTIME_REHEARSAL"
NAME = "ONTIME_REHEARSAL_COMPONENT"
PODS = "pods"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MIB = 1 << 20
TAIL_BYTES = 4000
END_SECONDS = 5


@dataclass(frozen=True)
class Component:
    """A program, how one sees that it serves, and variables beyond the few that all get."""

    name: str
    command: tuple[str, ...]
    ready: str | tuple[str, ...] | None = None
    """An address that then answers 2xx, or a command that then succeeds."""
    variables: Mapping[str, str] = field(default_factory=dict)


class Processes:
    """The programs of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.components: dict[str, Component] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, component: Component) -> None:
        """Start a program; it gets no variable of ours, so no proxy and no credential."""
        self.components[component.name] = component
        variables = {
            "PATH": SYSTEM_PATH,
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            MARK: str(self.folder),
            NAME: component.name,
            **component.variables,
        }
        with (self.log(component.name)).open("ab") as log:
            self._running[component.name] = subprocess.Popen(
                component.command,
                env=variables,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # containerd makes images' folders with it: a container of another user must be able to look into them
                umask=0o022,
            )

    def log(self, name: str) -> Path:
        """Where a program's output goes."""
        return self.folder / "log" / f"{name}.log"

    def tail(self, name: str) -> str:
        """The end of a program's output."""
        path = self.log(name)
        return path.read_bytes()[-TAIL_BYTES:].decode(errors="replace") if path.exists() else ""

    def wait(self, name: str, seconds: float = 60) -> None:
        """Wait until a program serves.

        Raises:
            OntimeError: it ended, or did not in time.
        """
        component, end = self.components[name], time.monotonic() + seconds
        while component.ready and not serves(component.ready):
            ended = self._running[name].poll()
            if ended is not None:
                raise OntimeError(f"{name}: ended with {ended}; {self.log(name)}:\n{self.tail(name)}")
            if time.monotonic() > end:
                raise OntimeError(f"{name}: not ready in {seconds:.0f} s; {self.log(name)}:\n{self.tail(name)}")
            time.sleep(0.1)

    def kill(self, name: str) -> None:
        """End a program by SIGKILL, as a crash would, with what it started but for pods."""
        process = self._running[name]
        children = [] if process.poll() is not None else psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        for child in children:
            if not child.name().startswith("containerd-shim"):
                child.kill()

    def restart(self, name: str, seconds: float = 60) -> None:
        """Start a program again, after killing it if it runs, and wait until it serves."""
        self.kill(name)
        self.start(self.components[name])
        self.wait(name, seconds)

    def ended(self) -> dict[str, int]:
        """Exit status of each program that ended."""
        found = {name: process.poll() for name, process in self._running.items()}
        return {name: status for name, status in found.items() if status is not None}

    def memory(self) -> dict[str, int]:
        """Resident MiB by component, a page that several share counted in each, and of all pods' processes."""
        found: dict[str, int] = {}
        for process, component in owned(str(self.folder)):
            try:
                found[component] = found.get(component, 0) + process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return {name: size // MIB for name, size in sorted(found.items())}

    def reap(self) -> None:
        """Take note of the end of every program, after it was killed with all that is left of the run."""
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=END_SECONDS)


def serves(ready: str | tuple[str, ...]) -> bool:
    """Whether an address answers 2xx, or a command succeeds."""
    if not isinstance(ready, str):
        done = subprocess.run(ready, env={"PATH": SYSTEM_PATH}, capture_output=True, timeout=30, check=False)
        return done.returncode == 0
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(ready, timeout=2).ok
        except requests.RequestException:
            return False


def owned(folder: str | None = None) -> Iterator[tuple[psutil.Process, str]]:
    """Processes of a run, or of any, with the component that each belongs to; those in containers are the pods'."""
    for process in psutil.process_iter():
        try:
            variables = dict(
                line.split("=", 1)
                for line in Path(f"/proc/{process.pid}/environ").read_bytes().decode(errors="replace").split("\0")
                if line.startswith((f"{MARK}=", f"{NAME}="))
            )
            if MARK in variables:
                if folder in (None, variables[MARK]):
                    yield process, variables.get(NAME, "")
            elif folder and in_container(process.pid, folder):
                yield process, PODS
        except OSError:
            continue


def in_container(pid: int, folder: str) -> bool:
    """Whether a process's root is a container's of the run: its layers lie below the folder."""
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        if line.split()[4] == "/":
            return f"={folder}{os.sep}" in line or f":{folder}{os.sep}" in line
    return False
