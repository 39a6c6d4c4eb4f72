"""Parts of the rehearsal's cluster that need neither a cluster nor root."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from ontime.common.errors import OntimeError
from ontime.manifests.schemas import DEFINITIONS
from tests.checkouts import git
from tests.rehearsal.cluster import binaries, discovery, machine, processes, settings
from tests.rehearsal.cluster.images import write_image
from tests.rehearsal.cluster.processes import MARK, NAME, owned
from tests.rehearsal.cluster.rig import rig
from tests.servers import free_port


@pytest.fixture
def sleepers() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Processes that end with the test, and with them what they started."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def sleep(**variables: str) -> "subprocess.Popen[bytes]":
    """A process of a session of its own that has nothing but a variable or two, and a child."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 600 & echo; wait"],
        env={"PATH": os.environ["PATH"], **variables},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    (child,) = psutil.Process(process.pid).children()
    # until its program has replaced the shell's, its environment may be empty
    while child.name() != "sleep" or not child.environ():
        time.sleep(0.01)
    return process


def test_part_is_built_again_when_a_source_or_what_is_built_of_it_changes(tmp_path: Path) -> None:
    part = binaries.Part("one", {"program": "example/program"})
    for name in ("first", "second"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "go.mod").write_text("module one\n")
        (tmp_path / name / "sub" / "main.go").write_text("package main\n")
    first = binaries.key(tmp_path / "first", part)
    assert first == binaries.key(tmp_path / "second", part)
    (tmp_path / "second" / "sub" / "main.go").write_text("package main // changed\n")
    other = binaries.Part("one", {"program": "example/other"})
    keys = {first, binaries.key(tmp_path / "second", part), binaries.key(tmp_path / "first", other)}
    assert len(keys) == 3


def test_part_that_fails_to_build_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "CACHE", tmp_path)
    monkeypatch.setattr(binaries, "find_go", lambda: "false")
    with pytest.raises(OntimeError, match=r"^coredns: go build \.: exit status 1$"):
        binaries.find_part(next(part for part in binaries.PARTS if part.name == "coredns"))
    assert list(tmp_path.iterdir()) == []


def test_cluster_runs_the_releases_that_the_manifests_are_held_against() -> None:
    argo_cd, rollouts, _ = DEFINITIONS
    assert binaries.locked_version("argo", argo_cd.module) == argo_cd.version
    assert rollouts in [part.whole for part in binaries.PARTS]


def test_missing_programs_are_named_in_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {
        "containerd",
        "ctr",
        "git",
        "gpg",
        "ip",
        "modprobe",
        "podman",
        "redis-cli",
        "redis-server",
        "runc",
        "unshare",
    }
    monkeypatch.setattr(shutil, "which", lambda program, **_: f"/usr/bin/{program}" if program in there else None)
    monkeypatch.setattr(binaries, "NETWORK_PLUGINS", tmp_path)
    with (
        pytest.raises(
            OntimeError, match=r"apt-get install \S+ containernetworking-plugins docker-registry nftables prometheus$"
        ),
        rig(tmp_path / "run"),
    ):
        pytest.fail("began")
    assert not (tmp_path / "run").exists()


def test_what_an_earlier_run_left_is_known_by_its_variable(sleepers: list["subprocess.Popen[bytes]"]) -> None:
    ours, theirs, unmarked = "/run-of-this-test", "/run-of-another", sleep()
    sleepers += [sleep(**{MARK: ours, NAME: "etcd"}), sleep(**{MARK: theirs}), unmarked]
    found = {process.pid: name for process, name in owned(ours)}
    assert found.pop(sleepers[0].pid) == "etcd"
    # the child that it started
    assert list(found.values()) == ["etcd"]
    assert unmarked.pid not in {process.pid for process, _ in owned()}


def test_processes_of_a_run_are_ended_and_no_others(sleepers: list["subprocess.Popen[bytes]"]) -> None:
    ours, theirs = "/run-of-this-test", "/run-of-another"
    sleepers += [sleep(**{MARK: ours, NAME: "etcd"}), sleep(**{MARK: theirs})]
    machine.end_processes(ours)
    assert list(owned(ours)) == []
    assert sleepers[0].wait(timeout=5) == -signal.SIGKILL
    assert sleepers[1].poll() is None


def test_component_that_is_killed_serves_again_on_restart(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    port = free_port()
    started = processes.Processes(tmp_path)
    command = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path))
    started.start(processes.Component("web", command, f"http://127.0.0.1:{port}/"))
    try:
        started.wait("web")
        started.kill("web")
        assert started.ended() == {"web": -signal.SIGKILL}
        started.restart("web")
        assert started.ended() == {}
        assert list(started.memory()) == ["web"]
    finally:
        started.kill("web")


def test_component_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    started = processes.Processes(tmp_path)
    started.start(processes.Component("bad", ("/bin/sh", "-c", "echo no such flag; exit 3"), "http://127.0.0.1:9/"))
    with pytest.raises(OntimeError, match=r"^bad: ended with 3; \S+/log/bad\.log:\nno such flag"):
        started.wait("bad")


def test_run_begins_in_an_empty_folder_with_free_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Path("/run-of-this-test")
    monkeypatch.setattr(machine, "_run", lambda *_, **__: "")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(machine, "PORTS", {"registry": port})
        with pytest.raises(OntimeError, match=rf"^port {port} is taken; set ONTIME_REHEARSAL_PORT "):
            machine.require_free(run)
    machine.require_free(run)
    with pytest.raises(OntimeError, match="too long for the sockets"):
        machine.require_free(tmp_path / ("long" * 20))
    monkeypatch.setattr(machine, "LONGEST_FOLDER", 4096)
    (tmp_path / "file").touch()
    with pytest.raises(OntimeError, match="not empty"):
        machine.require_free(tmp_path)


def test_run_does_not_begin_where_its_network_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Path("/run-of-this-test")
    monkeypatch.setattr(machine, "PORTS", {})
    monkeypatch.setattr(machine, "_run", lambda *_, **__: '[{"dst": "10.244.0.0/16", "dev": "flannel.1"}]')
    with pytest.raises(OntimeError, match=r"^the network 10\.244\.0\.0/16 \(flannel\.1\) overlaps"):
        machine.require_free(run)
    listed = {"ip": '[{"dst": "default"}, {"dst": "192.0.2.7"}]', "nft": "table ip kube-proxy\n"}
    monkeypatch.setattr(machine, "_run", lambda program, *_, **__: listed[program])
    with pytest.raises(OntimeError, match="node of a cluster already"):
        machine.require_free(run)


def test_one_rehearsal_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CACHE", tmp_path)
    monkeypatch.setattr(machine, "LOCK", tmp_path / "lock")
    with machine.locked(), pytest.raises(OntimeError, match="another rehearsal runs"), machine.locked(seconds=0.1):
        pytest.fail("began")
    with machine.locked(seconds=0):
        pass


def test_ports_are_below_those_that_the_kernel_gives_out() -> None:
    first, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert max(settings.PORTS.values()) < int(first)


def test_image_has_the_same_bytes_for_the_same_program(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"program")
    for name in ("first.tar", "second.tar"):
        write_image(tmp_path / name, "localhost/program:1", tmp_path / "program")
        time.sleep(0.01)
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()
    with tarfile.open(tmp_path / "first.tar") as archive:
        names = archive.getnames()
    assert {"oci-layout", "index.json"} < set(names)
    assert len(names) == 5


def test_targets_are_the_pods_behind_a_service_with_the_labels_of_both() -> None:
    labels = {"app.kubernetes.io/component": "metrics", "kubernetes.io/service-name": "ontime-metrics"}
    pods = [
        {
            "metadata": {"namespace": namespace, "name": "ontime-1", "labels": {"rollouts-pod-template-hash": value}},
            "spec": {"containers": [{"name": "ontime"}]},
        }
        for namespace, value in (("staging", "abc"), ("production", "def"))
    ]
    endpoints = [
        {"addresses": ["10.244.0.7"], "targetRef": {"name": "ontime-1"}},
        {"addresses": ["10.244.0.8"], "targetRef": {"name": "gone"}},
        {"addresses": ["10.244.0.1"]},
    ]
    slices: list[dict[str, Any]] = [
        {
            "metadata": {"namespace": "staging", "labels": labels},
            "endpoints": endpoints,
            "ports": [{"name": "metrics", "port": 9090}],
        },
        {"metadata": {"namespace": "staging"}, "endpoints": None, "ports": None},
    ]
    (target,) = discovery.targets(slices, pods)
    assert target["targets"] == ["10.244.0.7:9090"]
    assert target["labels"] == {
        "__meta_kubernetes_namespace": "staging",
        "__meta_kubernetes_service_name": "ontime-metrics",
        "__meta_kubernetes_endpointslice_port_name": "metrics",
        "__meta_kubernetes_pod_name": "ontime-1",
        "__meta_kubernetes_pod_container_name": "ontime",
        "__meta_kubernetes_endpointslice_label_app_kubernetes_io_component": "metrics",
        "__meta_kubernetes_endpointslice_label_kubernetes_io_service_name": "ontime-metrics",
        "__meta_kubernetes_pod_label_rollouts_pod_template_hash": "abc",
    }


def test_git_server_takes_a_push_and_gives_it_to_a_clone(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "log").mkdir()
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "served/repository.git")
    url = f"http://127.0.0.1:{port}/repository.git"
    script = str(settings.HERE / "git_server.py")
    command = (sys.executable, script, "127.0.0.1", str(port), str(tmp_path / "served"))
    started = processes.Processes(tmp_path)
    started.start(processes.Component("git", command, f"{url}/info/refs?service=git-upload-pack"))
    try:
        started.wait("git")
        git(tmp_path, "clone", "--quiet", url, "checkout")
        checkout = tmp_path / "checkout"
        # more than git sends in one piece
        (checkout / "large").write_bytes(os.urandom(3 << 20))
        git(checkout, "add", "large")
        git(checkout, "commit", "--quiet", "--message=large")
        git(checkout, "push", "--quiet", "origin", "HEAD:main")
        git(tmp_path, "clone", "--quiet", url, "again")
        assert (tmp_path / "again" / "large").read_bytes() == (checkout / "large").read_bytes()
    finally:
        started.kill("git")
