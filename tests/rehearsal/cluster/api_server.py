"""Kubernetes' API server and its store alone, on free ports of loopback: what admits and refuses, without a node.

Nothing runs that would make pods of what is applied: a test does as the controllers do, under their names.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ontime.common.errors import OntimeError
from tests.rehearsal.cluster.binaries import Binaries, find_binaries
from tests.rehearsal.cluster.node import api_server, etcd, make_certificates
from tests.rehearsal.cluster.processes import SYSTEM_PATH, Processes
from tests.servers import free_port

ADMINISTRATOR = "admin"


@dataclass(frozen=True)
class ApiServer:
    """One that serves."""

    binaries: Binaries
    folder: Path

    def kubectl(self, *arguments: str, user: str = ADMINISTRATOR, text: str = "") -> str:
        """What kubectl prints to a user, whom the administrator impersonates; `text` is its standard input.

        Raises:
            OntimeError: it failed; with what the API server says.
        """
        impersonated = [] if user == ADMINISTRATOR else [f"--as={user}"]
        done = subprocess.run(
            [str(self.binaries.kubectl), *impersonated, *arguments],
            env={
                "PATH": SYSTEM_PATH,
                "HOME": str(self.folder),
                "KUBECONFIG": str(self.folder / f"{ADMINISTRATOR}.kubeconfig"),
            },
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OntimeError(done.stderr.strip())
        return done.stdout

    def create(self, *manifests: dict[str, Any], user: str = ADMINISTRATOR, dry_run: bool = False) -> None:
        """Create objects, or ask whether they would be created."""
        self._send(["create", *(["--dry-run=server"] if dry_run else [])], manifests, user)

    def apply(self, *manifests: dict[str, Any], user: str = ADMINISTRATOR) -> None:
        """Create or change objects."""
        self._send(["apply"], manifests, user)

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """An object, or {} if there is none."""
        told = self.kubectl("get", kind, name, "--namespace", namespace, "--output=json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(told) if told.strip() else {}
        return found

    def _send(self, arguments: list[str], manifests: tuple[dict[str, Any], ...], user: str) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl(*arguments, "--filename=-", user=user, text=json.dumps(listed))


@contextlib.contextmanager
def running_api_server(folder: Path) -> Iterator[ApiServer]:
    """An API server for the block.

    Raises:
        OntimeError: it cannot be built, or does not start.
    """
    binaries = find_binaries("kubernetes")
    server, client, peer = (f"127.0.0.1:{free_port()}" for _ in range(3))
    for name in ("log", "tmp", "home"):
        (folder / name).mkdir(parents=True)
    make_certificates(folder, server)
    processes = Processes(folder)
    try:
        processes.start(etcd(binaries, folder, client, peer))
        processes.wait("etcd")
        component = api_server(binaries, folder, server, client)
        # it gives out no address of loopback as that of its Service, which nobody here uses
        alone = "--endpoint-reconciler-type=none"
        processes.start(replace(component, command=(*component.command, alone)))
        processes.wait("kube-apiserver", 120)
        yield ApiServer(binaries, folder)
    finally:
        for name in reversed(list(processes.components)):
            processes.kill(name)
