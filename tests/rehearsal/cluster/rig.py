"""A throw-away cluster: Kubernetes with real pods, a registry, git, Argo CD, Argo Rollouts, Prometheus.

In: an empty folder. Out: a `Rig` to drive it by. All of it is built from Go modules or is Debian's, runs as processes
of this machine on loopback and one private bridge, and is gone at the end, whichever way that comes.
"""

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from ontime.common.errors import OntimeError
from tests.rehearsal.cluster import argo_cd, machine, monitoring, node
from tests.rehearsal.cluster.binaries import CLUSTER, Binaries, find_binaries, require_programs
from tests.rehearsal.cluster.processes import SYSTEM_PATH, Processes
from tests.rehearsal.cluster.settings import PROMETHEUS, local

SAMPLE_SECONDS = 2
DEBUG_KINDS = "events,pods,jobs,services,endpointslices,rollouts,analysisruns,horizontalpodautoscalers"
TAIL_LINES = 25


@contextlib.contextmanager
def rig(folder: Path, polling_seconds: int = 10, delivery: bool = True) -> Iterator["Rig"]:
    """A cluster that runs in the block. One at a time on a machine; what an earlier one left is ended first.

    The folder must be absent, or empty but for an earlier run's logs, on a filesystem that overlayfs can lie on; only
    its `log/` is left.
    `polling_seconds` is how often Argo CD looks at the repository without being told. Without `delivery` there is
    neither Argo CD nor Argo Rollouts nor Prometheus.

    Raises:
        OntimeError: a program is missing, a port or an address is taken, a component did not start; one line, then
            for a component the end of its log.
    """
    require_programs()
    binaries = find_binaries(*(() if delivery else CLUSTER))
    folder = folder.absolute()
    made = Rig(folder, binaries, polling_seconds, delivery)
    try:
        with machine.reserved(folder):
            try:
                made.start()
                yield made
            finally:
                made.end_sampling()
    finally:
        made.processes.reap()


class Rig:
    """The cluster while it runs. Its components: see `components`; logs are in `folder/log/<component>.log`."""

    def __init__(self, folder: Path, binaries: Binaries, polling_seconds: int, delivery: bool) -> None:
        self.folder = folder
        self.binaries = binaries
        self.polling_seconds = polling_seconds
        self.delivery = delivery
        self.kubeconfig = folder / "admin.kubeconfig"
        self.registry = local("registry")
        """Host and port, plain HTTP; the node pulls from it under this name."""
        self.repository = folder / "git" / "repository.git"
        """Bare, branch main, empty at first. Nothing is told of a push: see `webhook`."""
        self.repository_url = f"http://{local('git')}/repository.git"
        """Smart HTTP, for Argo CD and for pushing."""
        self.argocd_url = f"http://{local('argocd-server')}"
        """Authentication is off."""
        self.prometheus_url = f"http://{PROMETHEUS}"
        """From this machine. A client must not go through a proxy."""
        self.prometheus_in_cluster = monitoring.IN_CLUSTER
        """What the project's AnalysisTemplate says, which pods and the Rollouts controller resolve."""
        self.peak_mib: dict[str, int] = {}
        """Largest resident MiB of each component so far, and of all at once as `total`; sampled every 2 s."""
        self.processes = Processes(folder)
        self.seconds_to_up = 0.0
        self._ending = threading.Event()
        self._sampling = threading.Thread(target=self._sample, name="rig-memory", daemon=True)

    def start(self) -> None:
        """Start everything and wait until it serves."""
        begun = time.monotonic()
        for name in ("log", "tmp", "home", "git"):
            (self.folder / name).mkdir(parents=True)
        self._sampling.start()
        self._make_repository()
        node.start(self)
        if self.delivery:
            monitoring.start(self)
            argo_cd.start(self)
        node.wait_for_pods(self)
        self.seconds_to_up = time.monotonic() - begun

    @property
    def components(self) -> tuple[str, ...]:
        """Names for `kill` and `restart`."""
        return tuple(self.processes.components)

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        """What kubectl prints, as the cluster's administrator; `text` goes to its standard input.

        Raises:
            OntimeError: it failed, unless `check` is false: then what it printed to both outputs is returned.
        """
        return self.run(self.binaries.kubectl, *arguments, text=text, check=check)

    def get(self, kind: str, name: str | None = None, namespace: str | None = None) -> dict[str, Any]:
        """An object, or a List of those in the namespace, `default` if none is given; {} if there is no such object."""
        where = ["--namespace", namespace] if namespace else []
        named = [name] if name else []
        told = self.kubectl("get", kind, *named, *where, "--output=json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(told) if told.strip() else {}
        return found

    def argocd(self, *arguments: str, check: bool = True) -> str:
        """What Argo CD's command line prints."""
        server = ["--server", local("argocd-server"), "--plaintext"]
        variables = {"ARGOCD_BINARY_NAME": "argocd", "HOME": str(self.folder / "home")}
        return self.run(self.binaries.argocd, *arguments, *server, check=check, **variables)

    def webhook(self, commit_before: str, commit_after: str) -> None:
        """Tell Argo CD's server and its ApplicationSet controller of a push to main as GitHub would.

        The body lists no changed files, so every Application of the repository is refreshed.
        """
        body = {
            "ref": "refs/heads/main",
            "before": commit_before,
            "after": commit_after,
            "repository": {"html_url": "http://127.0.0.1/repository", "default_branch": "main"},
            "commits": [],
        }
        with requests.Session() as session:
            session.trust_env = False
            for address in (local("argocd-server"), local("applicationset-webhook")):
                session.post(
                    f"http://{address}/api/webhook", json=body, headers={"X-GitHub-Event": "push"}, timeout=10
                ).raise_for_status()

    def add_gpg_key(self, key: Path) -> None:
        """Let Argo CD know an armoured public key, as `argocd gpg add` does."""
        self.argocd("gpg", "add", "--from", str(key))
        argo_cd.mount_gpg_keys(self)

    def kill(self, component: str) -> None:
        """End a component by SIGKILL."""
        self.processes.kill(component)

    def restart(self, component: str) -> None:
        """Start a component again and wait until it serves; one that runs is killed first."""
        self.processes.restart(component)

    def memory(self) -> dict[str, int]:
        """Resident MiB by component, `pods` together; a page that several programs share counts in each."""
        return self.processes.memory()

    def debug(self, namespace: str) -> str:
        """What one needs after a failure: Applications, a namespace's objects, its pods' and the components' logs."""

        def kubectl(*arguments: str) -> str:
            return f"$ kubectl {' '.join(arguments)}\n{self.kubectl(*arguments, check=False)}"

        parts = [f"ended components: {self.processes.ended() or 'none'}"]
        parts.append(kubectl("get", "applications,applicationsets", "--all-namespaces", "--output=wide"))
        for application in self.get("applications", namespace=argo_cd.NAMESPACE).get("items", []):
            status = application.get("status", {})
            told = {name: status.get(name) for name in ("sync", "health", "conditions", "operationState")}
            told["operationState"] = (told["operationState"] or {}).get("message")
            parts.append(f"{application['metadata']['name']}: {json.dumps(told)[:3000]}")
        parts.append(kubectl("get", DEBUG_KINDS, "--namespace", namespace, "--output=wide"))
        parts.append(kubectl("describe", "rollouts", "--namespace", namespace))
        runs = self.get("analysisruns", namespace=namespace).get("items", [])
        parts += [f"{run['metadata']['name']}: {json.dumps(run.get('status'))[:3000]}" for run in runs]
        for pod in self.get("pods", namespace=namespace).get("items", []):
            tail = ("--all-containers", f"--tail={TAIL_LINES}", "--namespace", namespace)
            parts.append(kubectl("logs", pod["metadata"]["name"], *tail))
        parts += [f"--- {name}.log\n{self.processes.tail(name)}" for name in self.components]
        return "\n\n".join(parts)

    def end_sampling(self) -> None:
        """End the thread that watches memory."""
        self._ending.set()
        if self._sampling.is_alive():
            self._sampling.join()

    def run(self, program: Path, *arguments: str, text: str | None = None, check: bool = True, **more: str) -> str:
        """What a program prints that is told where the cluster is; `more` are variables.

        Raises:
            OntimeError: it failed, unless `check` is false: then what it printed to both outputs is returned.
        """
        done = subprocess.run(
            [str(program), *arguments],
            env={"PATH": SYSTEM_PATH, "HOME": str(self.folder / "home"), "KUBECONFIG": str(self.kubeconfig), **more},
            input=text or "",
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise OntimeError(f"{program.name} {' '.join(arguments)[:300]}: {done.stderr.strip() or done.returncode}")
        return done.stdout if check else done.stdout + done.stderr

    def _make_repository(self) -> None:
        command = ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.repository)]
        subprocess.run(command, check=True, env={"PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/"})

    def _sample(self) -> None:
        while not self._ending.wait(SAMPLE_SECONDS):
            now = self.memory()
            for name, size in {**now, "total": sum(now.values())}.items():
                self.peak_mib[name] = max(size, self.peak_mib.get(name, 0))
