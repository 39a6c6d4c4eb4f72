"""Programs of the cluster: built once from the Go modules that the folders beside this file lock, or Debian's.

In: `go.mod`, `go.sum` and the few Go sources. Out: `~/.cache/ontime/cluster/<part>-<hash of those>/`, whole or not at
all, with `bin/` and what the cluster needs of the modules' other files, so that a later run needs no Go.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.manifests.schemas import DEFINITIONS, GO_TOOLCHAIN, Definitions, download
from ontime.manifests.tools import find_go, last_line
from tests.rehearsal.cluster.processes import MIB, SYSTEM_PATH
from tests.rehearsal.cluster.settings import CACHE, HERE

ARGO_CD, ROLLOUTS, PROMETHEUS_OPERATOR = DEFINITIONS
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "docker-registry": "docker-registry",
    "git": "git",
    "gpg": "gpg",
    "ip": "iproute2",
    "modprobe": "kmod",
    "nft": "nftables",
    "podman": "podman",
    "prometheus": "prometheus",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "runc": "runc",
    "unshare": "util-linux",
}
"""Debian's package by program."""
NETWORK_PLUGINS = Path("/usr/lib/cni")


@dataclass(frozen=True)
class Part:
    """A folder with a go.mod: the programs to build from it, and files to take from its modules or from others."""

    name: str
    programs: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    definitions: Mapping[str, Definitions] = field(default_factory=dict)
    toolchain: str | None = None
    whole: Definitions | None = None
    """A module that is built by its own go.mod, as it is released, in place of the folder."""


PARTS = (
    Part(
        "kubernetes",
        {
            "etcd": "go.etcd.io/etcd/server/v3",
            **{
                name: f"k8s.io/kubernetes/cmd/{name}"
                for name in (
                    "kube-apiserver",
                    "kube-controller-manager",
                    "kube-scheduler",
                    "kubelet",
                    "kube-proxy",
                    "kubectl",
                )
            },
        },
    ),
    Part("coredns", {"coredns": ".", "pause": "./pause"}),
    Part(
        "metrics-server",
        {"metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server"},
        files={"manifests/metrics-server": "sigs.k8s.io/metrics-server manifests/base"},
    ),
    Part(
        "argo",
        {
            "argocd": "github.com/argoproj/argo-cd/v3/cmd",
        },
        files={
            "argo-cd/base": f"{ARGO_CD.module} manifests/base",
            "argo-cd/bin/gpg-wrapper.sh": f"{ARGO_CD.module} hack/gpg-wrapper.sh",
            "argo-cd/bin/git-verify-wrapper.sh": f"{ARGO_CD.module} hack/git-verify-wrapper.sh",
            "definitions/argo-cd": f"{ARGO_CD.module} {ARGO_CD.folder}",
        },
        definitions={"definitions/prometheus-operator": PROMETHEUS_OPERATOR},
        toolchain=GO_TOOLCHAIN,
    ),
    # with another version of Kubernetes' libraries it refuses what the released one takes
    Part(
        "argo-rollouts",
        {"rollouts-controller": "./cmd/rollouts-controller"},
        definitions={"definitions/rollouts": ROLLOUTS},
        toolchain=GO_TOOLCHAIN,
        whole=ROLLOUTS,
    ),
)
CLUSTER = ("kubernetes", "coredns", "metrics-server")
"""The parts of a cluster without Argo CD and Argo Rollouts."""


@dataclass(frozen=True)
class Binaries:
    """Folders of the parts."""

    folders: Mapping[str, Path]

    def program(self, name: str) -> Path:
        """Path of a program that was built."""
        (part,) = (part for part in PARTS if name in part.programs)
        return self.folders[part.name] / "bin" / name

    def files(self, name: str) -> Path:
        """Path of a file or a folder that was taken from a module."""
        (part,) = (part for part in PARTS if name in (*part.files, *part.definitions))
        return self.folders[part.name] / name

    @property
    def kubectl(self) -> Path:
        """Kubernetes' command line."""
        return self.program("kubectl")

    @property
    def argocd(self) -> Path:
        """Every component of Argo CD, by ARGOCD_BINARY_NAME."""
        return self.program("argocd")


def require_programs() -> None:
    """Refuse to begin where a program of Debian's is missing, or without root.

    Raises:
        OntimeError: with the one command that installs all that is missing.
    """
    missing = missing_packages()
    if missing:
        raise OntimeError(f"the rehearsal lacks programs: apt-get install --no-install-recommends {' '.join(missing)}")
    if os.geteuid() != 0:
        raise OntimeError("the rehearsal runs containers, a bridge and firewall rules: run it as root")


def missing_packages() -> list[str]:
    """Debian packages whose programs are not there."""
    missing = {package for program, package in PACKAGES.items() if shutil.which(program, path=SYSTEM_PATH) is None}
    if not (NETWORK_PLUGINS / "bridge").is_file():
        missing.add("containernetworking-plugins")
    return sorted(missing)


def debian(program: str) -> str:
    """Path of a program of Debian's."""
    path = shutil.which(program, path=SYSTEM_PATH)
    if path is None:
        raise OntimeError(f"{program}: not found; apt-get install {PACKAGES[program]}")
    return path


def find_binaries(*names: str) -> Binaries:
    """All parts, or those of the names, built where they are not yet there.

    Raises:
        OntimeError: Go is missing, or a build fails.
    """
    return Binaries(find_parts(*(part for part in PARTS if not names or part.name in names)))


def find_parts(*parts: Part) -> dict[str, Path]:
    """Folder of each part by its name, built where it is not yet there; one process at a time.

    Raises:
        OntimeError: Go is missing, or a build fails.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return {part.name: find_part(part) for part in parts}


def find_part(part: Part) -> Path:
    """Folder of a part."""
    folder = CACHE / f"{part.name}-{key(HERE / part.name, part)}"
    if folder.is_dir():
        return folder
    with replacing(folder) as temporary, sources(part) as source:
        (temporary / "bin").mkdir(parents=True)
        for name, package in part.programs.items():
            build(part, source, name, package, temporary / "bin" / name)
        for target, place in part.files.items():
            module, path = place.split()
            copy(Path(_go(part, source, "list", "-m", "-f", "{{.Dir}}", module).strip()) / path, temporary / target)
        for target, definitions in part.definitions.items():
            copy(download(definitions) / definitions.folder, temporary / target)
    return folder


@contextlib.contextmanager
def sources(part: Part) -> Iterator[Path]:
    """The folder to build in."""
    if part.whole is None:
        yield HERE / part.name
        return
    with tempfile.TemporaryDirectory(prefix="ontime-rehearsal-") as folder:
        copy(download(part.whole), Path(folder) / part.name)
        yield Path(folder) / part.name


def key(folder: Path, part: Part) -> str:
    """Hash of everything that a part is built from and how."""
    text = hashlib.sha256(repr(part).encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            text.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return text.hexdigest()[:16]


def build(part: Part, source: Path, name: str, package: str, target: Path) -> None:
    """Build one program, with a line before and one after."""
    click.echo(f"rehearsal: building {name}, once", err=True)
    begun = time.monotonic()
    flags = ["-trimpath", "-mod=readonly", "-ldflags", link_flags(part.name)]
    _go(part, source, "build", *flags, "-o", str(target), package)
    size, seconds = target.stat().st_size // MIB, time.monotonic() - begun
    click.echo(f"rehearsal: built {name}: {size} MiB, {seconds:.0f} s", err=True)


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder of a module, which is read-only and which Go has checked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copyfile(source, target)
        target.chmod(0o755)
    else:
        shutil.copytree(source, target, copy_function=shutil.copyfile)


def link_flags(part: str) -> str:
    """Flags of the linker; a program that does not know its version refuses others or is refused."""
    if part == "kubernetes":
        version = locked_version(part, "k8s.io/kubernetes")
        major, minor, _ = version.removeprefix("v").split(".")
        facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        facts["gitCommit"] = "gomod"
        packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        stamps = [f"-X {package}.{fact}={value}" for package in packages for fact, value in facts.items()]
        return " ".join(["-s -w", *stamps])
    if part == "argo":
        version = locked_version(part, ARGO_CD.module).removeprefix("v")
        return f"-s -w -X {ARGO_CD.module}/common.version={version}"
    return "-s -w"


def locked_version(part: str, module: str) -> str:
    """Version of a module in a part's go.mod."""
    text = (HERE / part / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^\s+{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise OntimeError(f"{part}/go.mod: no {module}")
    return found[1]


def _go(part: Part, folder: Path, *arguments: str) -> str:
    go_cache = Path.home() / ".cache" / "ontime" / "go"
    variables = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOWORK": "off",
        # the cache can be removed as any other
        "GOFLAGS": "-modcacherw",
        "GOMODCACHE": str(go_cache / "mod"),
        "GOCACHE": str(go_cache / "build"),
    }
    if part.toolchain:
        variables["GOTOOLCHAIN"] = part.toolchain
    done = subprocess.run(
        [find_go(), *arguments], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OntimeError(f"{part.name}: go {arguments[0]} {arguments[-1]}: {last_line(done)}")
    return done.stdout
