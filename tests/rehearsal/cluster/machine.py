"""What the cluster changes on the machine - a bridge, firewall tables, mounts, control groups - and its removal.

One cluster at a time, by a lock. Where it lies is written down before anything is started, so that the next run, or a
helper that outlives a killed test, ends and removes all of it.
"""

import contextlib
import fcntl
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from ontime.common.errors import OntimeError
from ontime.common.files import write_json
from tests.rehearsal.cluster.processes import SYSTEM_PATH, owned
from tests.rehearsal.cluster.settings import (
    BRIDGE,
    CACHE,
    GATEWAY,
    HERE,
    ON_ALL_INTERFACES,
    POD_NETWORK,
    PORTS,
    SERVICE_NETWORK,
)

STATE = CACHE / "running.json"
LOCK = CACHE / ".running"
FIREWALL = "ontime-rehearsal"
KUBE_PROXY_TABLES = ("ip kube-proxy", "ip6 kube-proxy")
SYSCTLS = ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables")
END_SECONDS = 30
LOCK_SECONDS = 60
LONGEST_FOLDER = 76
"""A socket's path has at most 107 characters."""
FORWARDED = ["FORWARD", "-i", BRIDGE, "-o", BRIDGE, "-j", "ACCEPT"]


@contextlib.contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """The machine is this run's, clean, with bridge and firewall; at the end it is as before, but for the logs.

    Raises:
        OntimeError: another run goes on, or something that is needed is taken.
    """
    with locked():
        remove_leftovers()
        require_free(folder)
        # packets between pods pass through the firewall, which turns answers back into those of Services
        _run("modprobe", "br_netfilter")
        before = {name: read_sysctl(name) for name in SYSCTLS}
        write_json(STATE, {"folder": str(folder), "sysctls": before})
        with helper(), ended_by_sigterm():
            try:
                make_network()
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                yield
            finally:
                remove_leftovers()


@contextlib.contextmanager
def locked(seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Nobody else has a cluster on this machine or removes one."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise OntimeError(f"another rehearsal runs on this machine: {STATE}") from None
                time.sleep(0.2)
        yield


@contextlib.contextmanager
def helper() -> Iterator[None]:
    """A process that removes the cluster should this one be killed, for then its standard input closes."""
    command = [sys.executable, "-P", str(HERE / "down.py"), "--when-closed"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        assert process.stdin is not None
        if STATE.exists():
            # this run was interrupted once more while it removed the cluster
            process.stdin.close()
        else:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- before


def require_free(folder: Path) -> None:
    """Refuse to begin where the folder, a port, an address range or kube-proxy's tables are somebody's.

    Raises:
        OntimeError: what is taken, and by which setting to evade it.
    """
    if len(str(folder)) > LONGEST_FOLDER:
        raise OntimeError(f"{folder}: more than {LONGEST_FOLDER} characters, too long for the sockets below it")
    if folder.is_dir() and any(path.name != "log" for path in folder.iterdir()):
        raise OntimeError(f"{folder}: not empty")
    for name, port in PORTS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("" if name in ON_ALL_INTERFACES else "127.0.0.1", port))
            except OSError:
                raise OntimeError(
                    f"port {port} is taken; set ONTIME_REHEARSAL_PORT to the first of {len(PORTS)} that are free"
                ) from None
    ours = [ipaddress.ip_network(network) for network in (POD_NETWORK, SERVICE_NETWORK)]
    for route in json.loads(_run("ip", "-json", "-4", "route") or "[]"):
        if route["dst"] != "default" and any(ipaddress.ip_network(route["dst"]).overlaps(one) for one in ours):
            raise OntimeError(f"the network {route['dst']} ({route.get('dev')}) overlaps with the rehearsal's")
    if set(KUBE_PROXY_TABLES) & set(tables()):
        raise OntimeError("this machine is a node of a cluster already: nftables has kube-proxy's tables")


def make_network() -> None:
    """The bridge of the pods, forwarding, and a firewall for the ports that are on all interfaces."""
    _run("ip", "link", "add", BRIDGE, "type", "bridge", check=True)
    _run("ip", "address", "add", f"{GATEWAY}/{POD_NETWORK.split('/')[1]}", "dev", BRIDGE, check=True)
    _run("ip", "link", "set", BRIDGE, "up", check=True)
    for name in SYSCTLS:
        write_sysctl(name, "1")
    ports = ", ".join(str(PORTS[name]) for name in ON_ALL_INTERFACES)
    rules = f"""
        table inet {FIREWALL} {{
            chain input {{
                type filter hook input priority filter
                iifname != {{ "lo", "{BRIDGE}" }} tcp dport {{ {ports} }} drop
                iifname != {{ "lo", "{BRIDGE}" }} ip daddr {POD_NETWORK} drop
            }}
            chain forward {{
                type filter hook forward priority filter
                iifname != "{BRIDGE}" ip daddr {POD_NETWORK} drop
            }}
        }}
    """
    _run("nft", "-f", "-", text=rules, check=True)
    if forwards_nothing():
        _run("iptables", "-w", "-I", *FORWARDED, check=True)


# --- after


def remove_leftovers() -> None:
    """End and remove what a run left, whichever way it ended; nothing if there is none."""
    if not STATE.is_file():
        return
    state = json.loads(STATE.read_bytes())
    folder = Path(state["folder"])
    end_processes(str(folder))
    unmount(folder)
    remove_control_groups()
    remove_network()
    for name, value in state["sysctls"].items():
        write_sysctl(name, value)
    remove_content(folder)
    remove_traces(folder)
    STATE.unlink()


def end_processes(folder: str) -> None:
    """Kill everything of a run at once, until none is left: its data goes too, so nothing need end in order."""
    end = time.monotonic() + END_SECONDS
    while left := [process for process, _ in owned(folder)]:
        if time.monotonic() > end:
            raise OntimeError(f"processes {[process.pid for process in left]} do not end")
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.1)


def unmount(folder: Path) -> None:
    """Unmount all below a folder, the deepest first; pods' network namespaces are mounts as well."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    for point in sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True):
        _run("umount", "--lazy", point)


def remove_control_groups() -> None:
    """Remove the pods' control groups; one that is in use stays."""
    for top in kubepods():
        for path, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()


def kubepods() -> list[Path]:
    """The kubelet's control groups: one in each hierarchy, or with version 2 the one."""
    top = Path("/sys/fs/cgroup")
    return [path for path in (top / "kubepods", *(one / "kubepods" for one in top.iterdir())) if path.is_dir()]


def remove_network() -> None:
    """Remove bridge and firewall rules."""
    for table in tables():
        if table in (f"inet {FIREWALL}", *KUBE_PROXY_TABLES):
            _run("nft", "delete", "table", *table.split())
    if forwards_nothing():
        _run("iptables", "-w", "-D", *FORWARDED)
    _run("ip", "link", "delete", BRIDGE)


def remove_content(folder: Path) -> None:
    """Remove all below a folder but the logs."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.is_file():
                path.unlink()
            elif path.name != "log":
                shutil.rmtree(path)


def remove_traces(folder: Path) -> None:
    """Remove what lies elsewhere, for no setting moves it: links to logs, results of network plugins, sockets."""
    for link in Path("/var/log/containers").glob("*.log"):
        if not link.exists():
            link.unlink()
    for result in Path("/var/lib/cni/results").glob("*"):
        if f"{folder}/" in result.read_text():
            result.unlink()
    bound = Path("/proc/net/unix").read_text()
    for shim in Path("/run/containerd/s").glob("*"):
        if shim.name not in bound:
            shim.unlink()


# --- parts


def tables() -> list[str]:
    """nftables' tables, with their family."""
    return [line.removeprefix("table ") for line in _run("nft", "list", "tables").splitlines()]


def forwards_nothing() -> bool:
    """Whether a rule must allow what pods send to Services: where Docker is, what is not allowed is forbidden."""
    if shutil.which("iptables", path=SYSTEM_PATH) is None:
        return False
    return "-P FORWARD DROP" in _run("iptables", "-w", "-S", "FORWARD")


def read_sysctl(name: str) -> str:
    """A setting of the kernel."""
    try:
        return _sysctl(name).read_text().strip()
    except FileNotFoundError:
        raise OntimeError(f"{name}: this kernel has no such setting, so no pods' network") from None


def write_sysctl(name: str, value: str) -> None:
    """Set a setting of the kernel."""
    _sysctl(name).write_text(value)


def _sysctl(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))


def _run(*command: str, text: str | None = None, check: bool = False) -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, env={"PATH": SYSTEM_PATH, "LANG": "C"}
    )
    if check and done.returncode:
        raise OntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
