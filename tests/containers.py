"""Podman with images of its own, apart from the machine's."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.checkouts import environment

KEPT = Path.home() / ".cache" / "ontime" / "containers"
"""A store that is kept between runs: an image is built again when a lock or its recipe has changed."""


def new_store(top: Path) -> dict[str, str]:
    """Variables of a store in a folder."""
    (top / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{top}/images"\nrunroot = "{top}/run"\n'
    )
    # limits that a process without CAP_SYS_RESOURCE may set, and no systemd
    runtime = "runc" if shutil.which("runc") else "crun"
    (top / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
        f'[engine]\ncgroup_manager = "cgroupfs"\nruntime = "{runtime}"\nevents_logger = "file"\n'
    )
    return environment(CONTAINERS_CONF=str(top / "containers.conf"), CONTAINERS_STORAGE_CONF=str(top / "storage.conf"))


def build(podman: Mapping[str, str], name: str, base: str, *options: str, folder: Path) -> None:
    """Build an image of a folder on a base, in the store of the variables."""
    command = ["podman", "build", "--format=oci", "--layers", f"--tag={name}", f"--build-arg=BASE={base}", *options]
    subprocess.run([*command, "."], cwd=folder, env=podman, check=True)


def push(podman: Mapping[str, str], image: str, name: str) -> str:
    """Push an image of the store by a name of a registry that speaks plain HTTP; its digest."""
    options = ("--quiet", "--tls-verify=false", "--format=oci", "--compression-format=zstd")
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as digest:
        command = ["podman", "push", *options, f"--digestfile={digest.name}", image, name]
        subprocess.run(command, env=podman, check=True)
        return digest.read().strip()
