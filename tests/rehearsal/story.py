"""A team's checkout and what it does with it: change, train, release, promote, watch. Each step is the workflows' own.

The checkout is a small fork of this one. What differs from a user's is in `furnish`, and nowhere else.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ontime.common.files import read_json, write_json
from ontime.encoder import Encoder
from ontime.model_deployment.inference.manifest import GOLDEN, VOCABULARY
from ontime.release.release_file import parse, path_of, render
from ontime.repository.yaml_files import editing
from tests.checkouts import TOP, commit, environment, git, run, small_fork
from tests.containers import new_store
from tests.integration.local_base import kept_base
from tests.owned import owned
from tests.rehearsal.cluster.rig import Rig
from tests.releases import identify

CACHE = Path.home() / ".cache" / "ontime" / "rehearsal"
"""Kept between runs: the base image and Podman's layers."""
ARGO_CD = "argocd"
POLL_SECONDS = 0.5
WEBFLOW_KEY = "B5690EEEBB952194"
FAST: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 1},
    "gradient_boosting": {"max_iter": 1},
    "neural_network": {"epochs": 1},
}
"""Parameters of the families that are not to be champion, so that the regression is, and training is quick."""
TWO_PODS = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: ontime
spec:
  minReplicas: 2
  maxReplicas: 2
"""
ROWS = 4
"""Of a request."""


@dataclass(frozen=True)
class Fork:
    """What the team predicts: the model's name, and what makes the checkout in a folder."""

    name: str
    make: Callable[[Path], Path]


TUMOURS = Fork("tumours", small_fork)


@dataclass
class Load:
    """Clients of a service that run."""

    process: "subprocess.Popen[bytes]"
    output: Path

    def now(self) -> dict[str, Any]:
        """What they saw so far; at the end, all."""
        found: dict[str, Any] = read_json(self.output)
        return found

    def stop(self) -> dict[str, Any]:
        """End them and tell what they saw."""
        self.process.terminate()
        self.process.wait()
        return self.now()


@dataclass
class Story:
    """Where the story is: the cluster, the checkout, and the image that each version became."""

    rig: Rig
    folder: Path
    full: bool
    new_cluster: Callable[[], Rig]
    """Ends the cluster that runs and starts another."""
    fork: Fork = TUMOURS
    podman: dict[str, str] = field(default_factory=dict)
    base: str = ""
    key: str = ""
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        """The team's."""
        return self.folder / "checkout"

    @property
    def image(self) -> str:
        """Registry and repository."""
        return f"{self.rig.registry}/team/ontime"

    def git(self, *arguments: str) -> str:
        """Run git in the checkout; without the end of the last line."""
        return git(self.checkout, *arguments).removesuffix("\n")

    def run(self, *command: str, cwd: Path | None = None, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a program in the checkout or a clone of it, by the user's own access to the cluster and the registry."""
        variables = {
            **self.podman,
            "KUBECONFIG": str(self.rig.kubeconfig),
            "PATH": f"{self.rig.binaries.kubectl.parent}:{environment()['PATH']}",
        }
        return run(*command, cwd=cwd or self.checkout, check=check, **variables)

    def ontime(self, *arguments: str) -> str:
        """What a command of the checkout's own `ontime` prints."""
        return self.run("ontime", *arguments).stdout.strip()

    def begin(self) -> None:
        """Make the checkout, a key to sign commits with, and find a base for the image."""
        self.fork.make(self.checkout)
        identify(self.checkout)
        self.git("remote", "add", "origin", str(self.rig.repository))
        self.key = make_gpg_key(self.folder)
        self.git("config", "user.signingKey", self.key)
        self.git("config", "commit.gpgSign", "true")
        furnish(self.checkout, self.rig.repository_url, self.key, self.full)
        commit(self.checkout, "Say where we are")
        CACHE.mkdir(parents=True, exist_ok=True)
        names = ("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF")
        self.podman = {name: value for name, value in new_store(CACHE).items() if name in names}
        (CACHE / "registries.conf").write_text(f'[[registry]]\nlocation = "{self.rig.registry}"\ninsecure = true\n')
        self.podman["CONTAINERS_REGISTRIES_CONF"] = str(CACHE / "registries.conf")
        self.base = kept_base("podman", environment(**self.podman))

    def clone(self, name: str) -> Path:
        """A new clone of the team's repository, with its tags."""
        target = self.folder / "clones" / name
        target.parent.mkdir(exist_ok=True)
        git(self.folder, "clone", "--quiet", str(self.rig.repository), str(target))
        git(target, "fetch", "--quiet", "--tags", "origin")
        return target

    def lose_the_cluster(self) -> None:
        """Replace the cluster by an empty one; of all that was in it, its forge's repository and its registry stay."""
        kept = self.folder / "kept"
        git(self.folder, "clone", "--quiet", "--mirror", str(self.rig.repository), str(kept / "repository.git"))
        shutil.copytree(self.rig.folder / "registry", kept / "registry")
        self.rig = self.new_cluster()
        git(kept / "repository.git", "push", "--quiet", "--mirror", str(self.rig.repository))
        shutil.copytree(kept / "registry", self.rig.folder / "registry", dirs_exist_ok=True)
        self.git("remote", "set-url", "origin", str(self.rig.repository))

    def set(self, section: str, **values: Any) -> None:
        """Change parameters of a section by its dotted name."""
        with editing(self.checkout / "params.yaml") as content:
            for name in section.split("."):
                content = content[name]
            content.update(values)

    def train(self, message: str) -> None:
        """Run what a change touches, push what came out, commit."""
        self.run("dvc", "repro", "--quiet")
        self.run("dvc", "push", "--quiet")
        commit(self.checkout, message)

    def push(self) -> str:
        """Push main; the commit."""
        self.git("push", "--quiet", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def make(self, version: str, message: str) -> None:
        """Train what a change touches, push it, and make a version of it."""
        self.train(message)
        self.push()
        self.register(version)

    def register(self, version: str) -> None:
        """Do what the release workflow does for the checkout's commit: tag, check, sign, build, push."""
        tag = f"{self.fork.name}@{version}"
        self.ontime("release", "register", version, "--push")
        self.run("ontime", "pull", "models/champion")
        self.ontime("proof")
        self.ontime("sign", "--new-key")
        self.ontime("release", "check", tag)
        self.digests[version] = self.build(version)

    def publish(self, version: str) -> float:
        """Do what the release workflow does with the image, and what GitHub merges after it; when that was."""
        return self._propose(
            f"{self.fork.name}@{version}", "staging", f"--image={self.image}", f"--digest={self.digests[version]}"
        )

    def say(self, stage: str, digest: str) -> str:
        """Write another digest into a release file, around `ontime release`, and push it; the commit."""
        path = self.checkout / path_of(stage)
        release = parse(path.read_text(), path)
        assert release is not None
        path.write_text(render(replace(release, digest=digest)))
        return self.commit(f"Run {digest} in {stage}")

    def commit(self, message: str) -> str:
        """Commit everything, push it and tell Argo CD; the commit."""
        commit(self.checkout, message)
        self.push()
        return self.hook()

    def revert(self, revision: str = "HEAD") -> str:
        """Take a commit back by another one, push it and tell Argo CD; the new commit."""
        self.git("revert", "--no-edit", revision)
        self.push()
        return self.hook()

    def build(self, version: str) -> str:
        """Build and push the version's image; its digest."""
        options = [f"--name={self.image}", f"--version={version.removeprefix('v')}", f"--base={self.base}", "--push"]
        return self.run("ontime", "image", *options).stdout.strip().rpartition("@")[2]

    def build_on(self, version: str, tag: str, *lines: str) -> str:
        """Build and push an image on a version's, with lines of a Dockerfile more; its digest."""
        folder = self.folder / tag
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text("\n".join([f"FROM {self.image}@{self.digests[version]}", *lines, ""]))
        name, place = f"{self.image}:{tag}", folder / "digest"
        for arguments in (
            ["build", "--quiet", "--format=oci", f"--tag={name}", str(folder)],
            ["push", "--quiet", "--format=oci", f"--digestfile={place}", name],
        ):
            self.run("podman", *arguments)
        return place.read_text().strip()

    def promote(self, tag: str) -> float:
        """Do what the promotion workflow does for a tag, and merge its pull request; when it was pushed."""
        self.git("fetch", "--quiet", "--tags", "origin")
        self.ontime("release", "check", "--no-remote", tag)
        return self._propose(tag, "production")

    def _propose(self, tag: str, stage: str, *image: str) -> float:
        """Push a stage's release file to its branch, and merge that as its pull request is merged; when it was."""
        branch = "promote/" + re.sub("[@#]", "-", tag)
        self.ontime("release", "write", "--tag", tag, *image)
        self.ontime("release", "publish", "--tag", tag, "--to-branch", branch)
        self.git("checkout", "--quiet", "--", str(path_of(stage)))
        self.git("fetch", "--quiet", "origin")
        self.git("merge", "--quiet", "--squash", f"origin/{branch}")
        self.git("commit", "--quiet", "--message", f"Release by {tag}")
        self.push()
        return time.time()

    def hook(self) -> str:
        """Tell Argo CD of the newest commit, as the forge does; the commit."""
        head = self.git("rev-parse", "HEAD")
        self.rig.webhook(self.git("rev-parse", "HEAD^"), head)
        return head

    def application(self, stage: str) -> dict[str, Any]:
        """The status of a stage's Application, or of one by its name."""
        name = stage if stage not in ("staging", "production") else f"ontime-{stage}"
        status: dict[str, Any] = self.rig.get("application.argoproj.io", name, ARGO_CD).get("status", {})
        return status

    def state(self, stage: str) -> tuple[str, str, str, str]:
        """Commit, sync, health and phase of the last operation."""
        status = self.application(stage)
        sync, operation = status.get("sync", {}), status.get("operationState", {})
        return (
            sync.get("revision", ""),
            sync.get("status", ""),
            status.get("health", {}).get("status", ""),
            operation.get("phase", ""),
        )

    def wait(self, what: str, found: Callable[[], Any], seconds: float) -> Any:
        """Ask until there is something, and return it."""
        end = time.monotonic() + seconds
        while not (value := found()):
            assert time.monotonic() < end, f"{what}: not so in {seconds:.0f} s"
            time.sleep(POLL_SECONDS)
        return value

    def wait_synced(self, stage: str, commit: str, seconds: float = 120) -> float:
        """Wait until a commit is applied, healthy and its hooks are through; when that was."""
        wanted = (commit, "Synced", "Healthy", "Succeeded")
        end = time.monotonic() + seconds
        while (found := self.state(stage)) != wanted:
            assert time.monotonic() < end, f"{stage}: {found}, not {wanted}, in {seconds:.0f} s"
            time.sleep(POLL_SECONDS)
        return time.time()

    def rollout(self, stage: str) -> dict[str, Any]:
        """The Rollout of a stage."""
        return self.rig.get("rollout.argoproj.io", "ontime", f"ontime-{stage}")

    def pods(self, stage: str) -> dict[str, str]:
        """Digest that each running pod of the service runs."""
        listed = self.rig.get("pods", namespace=f"ontime-{stage}").get("items", [])
        return {
            pod["metadata"]["name"]: status["imageID"].rpartition("@")[2]
            for pod in listed
            if pod["metadata"]["labels"].get("app.kubernetes.io/component") == "service"
            and "deletionTimestamp" not in pod["metadata"]
            for status in pod["status"].get("containerStatuses", ())
            if "running" in status["state"]
        }

    def address(self, stage: str) -> str:
        """Host and port of a stage's Service, as the cluster's own clients use it."""
        service = self.rig.get("service", "ontime", f"ontime-{stage}")
        return f"{service['spec']['clusterIP']}:80"

    @contextlib.contextmanager
    def load(self, stage: str, rate: float = 500, records: Sequence[Mapping[str, Any]] | None = None) -> Iterator[Load]:
        """Clients of a stage's Service, which ask about records, or the golden ones, while the block runs."""
        bodies, output = self.folder / "bodies.json", self.folder / "load.json"
        if records is not None or not bodies.exists():
            write_json(bodies, list(requests_of(self.checkout / "models" / "champion", records)))
        output.unlink(missing_ok=True)
        program = [sys.executable, str(TOP / "tests" / "rehearsal" / "load.py")]
        arguments = [
            self.address(stage),
            f"/v2/models/{self.fork.name}/infer",
            str(bodies),
            str(output),
            f"--rate={rate}",
        ]
        with (self.folder / "load.log").open("ab") as log:
            process = subprocess.Popen([*program, *arguments], stdout=log, stderr=log, env=environment())
        made = Load(process, output)
        try:
            self.wait("load", lambda: output.exists() and made.now()["requests"] > 0, 30)
            yield made
        finally:
            process.terminate()
            process.wait()

    def debug(self) -> str:
        """What one needs after a failure."""
        return "\n\n".join(self.rig.debug(f"ontime-{stage}") for stage in ("staging", "production"))


def requests_of(champion: Path, records: Sequence[Mapping[str, Any]] | None = None) -> Iterator[dict[str, Any]]:
    """Bodies of requests: records, or the golden ones, some at a time, as the model's own matrix."""
    asked = records or read_json(champion / GOLDEN)["records"]
    encoder = Encoder.from_vocabulary(read_json(champion / VOCABULARY))
    matrix = encoder.transform({name: [record[name] for record in asked] for name in encoder.features})
    rows = [[None if value != value else value for value in row] for row in matrix.tolist()]
    for place in range(0, len(rows) - ROWS + 1, ROWS):
        data = [value for row in rows[place : place + ROWS] for value in row]
        shape = [ROWS, len(encoder.features)]
        yield {"inputs": [{"name": "features", "shape": shape, "datatype": "FP32", "data": data}]}


def furnish(checkout: Path, address: str, key: str, full: bool) -> None:
    """Put in what a team has to: its repository's address and key. And what a rehearsal needs besides.

    - The platform's charts come from the internet; the rig runs Rollouts and Prometheus itself.
    - The window without syncs is taken out, so that the story can be told on a weekend.
    - Components for kustomize, which say what they are for, and an autoscaler that keeps two pods beside them.
    """
    repository = f"https://github.com/{owned()['repository']}.git"
    exchange(checkout / "argocd" / "bootstrap.yaml", repository, address)
    exchange(checkout / "argocd" / "bootstrap.yaml", WEBFLOW_KEY, key)
    production = checkout / "argocd" / "projects" / "model" / "production" / "kustomization.yaml"
    text, windows = re.subn(
        r" +# nothing new from Friday.*?description: Weekend\n", "", production.read_text(), flags=16
    )
    assert windows == 1
    production.write_text(text)
    with editing(checkout / "argocd" / "platform" / "kustomization.yaml") as content:
        content["resources"] = ["namespaces.yaml", "admission.yaml"]
    components = ["node"] if full else ["node", "short"]
    for stage in ("staging", "production"):
        with editing(checkout / "deployment" / "kubernetes" / "overlays" / stage / "kustomization.yaml") as content:
            content["components"] += [f"../../../../tests/rehearsal/manifests/{name}" for name in components]
            # after the overlay's own patch of it
            content.setdefault("patches", []).append({"patch": TWO_PODS})
    for family, values in FAST.items():
        with editing(checkout / "params.yaml") as content:
            content["train"][family].update(values)


def exchange(path: Path, old: str, new: str) -> None:
    """Replace text that must be there."""
    text = path.read_text()
    assert old in text, f"{path}: no {old}"
    path.write_text(text.replace(old, new))


def make_gpg_key(folder: Path) -> str:
    """Make a key that signs commits in `GNUPGHOME`, and export its public half; the key's number."""
    home = Path(os.environ["GNUPGHOME"])
    home.mkdir(mode=0o700, exist_ok=True)
    user = "test <test@example.invalid>"
    gpg = ["gpg", "--batch", "--quiet", "--no-tty", "--pinentry-mode=loopback", "--passphrase="]
    subprocess.run([*gpg, "--quick-generate-key", user, "ed25519", "sign", "never"], check=True, capture_output=True)
    listed = subprocess.run([*gpg, "--list-keys", "--with-colons"], check=True, capture_output=True, text=True).stdout
    (number,) = re.findall(r"^pub:(?:[^:]*:){3}([0-9A-F]{16}):", listed, re.MULTILINE)
    exported = subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True).stdout
    (folder / "key.asc").write_bytes(exported)
    return str(number)


@contextlib.contextmanager
def clean(folder: Path) -> Iterator[None]:
    """An empty folder for the block; servers that this or a killed run left there are ended."""

    def end() -> None:
        if (folder / "checkout" / ".s3" / "server.json").exists():
            run("ontime", "s3", "--off", cwd=folder / "checkout", check=False)
        if (folder / "gnupg").exists():
            command = ["gpgconf", "--homedir", str(folder / "gnupg"), "--kill", "gpg-agent"]
            subprocess.run(command, check=False, capture_output=True)

    end()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield
    finally:
        end()
