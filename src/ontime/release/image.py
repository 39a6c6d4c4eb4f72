"""Build the service's container image reproducibly: the same commit always gives the same digest.

In: the signed champion, its commit and version. Out: an image in Podman's local store, with the sizes of its parts, or
in a registry; its digest. Podman can set all timestamps of files and history to a fixed value. Docker's default builder
cannot, so an image built by Docker works, but has another digest each time.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.model_deployment.inference import signing
from ontime.model_deployment.inference.manifest import read_manifest
from ontime.repository.git import git

DOCKERFILE = Path("deployment/docker/Dockerfile")
SOURCES = ("src/ontime", "deployment/docker", ".dockerignore")
LAYERS = ("runtime", "dependencies", "code", "model")
VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
LARGEST = 12
MB = 1e6


@click.command(name="image")
@click.option("--name", default="ontime", show_default=True, help="Name of the image, as in [REGISTRY/]REPOSITORY.")
@click.option("--version", "version_", default="0.0.0", show_default=True, help="Version of the model.")
@click.option("--base", help="Base image (default: the one pinned in the Dockerfile).")
@click.option(
    "--pip-config", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="pip.conf of a private index."
)
@click.option("--docker", is_flag=True, help="Build with Docker; works, but the digest differs each time.")
@click.option("--push", is_flag=True, help="Push the image to the registry in its name.")
def command(name: str, version_: str, base: str | None, pip_config: Path | None, docker: bool, push: bool) -> None:
    """Build the service's image; the last line printed is NAME@DIGEST."""
    if not VERSION.fullmatch(version_):
        raise OntimeError(f"--version {version_}: expected MAJOR.MINOR.PATCH, as in 1.2.0")
    tool = find_tool("docker" if docker else "podman")
    linked = [path for path in sorted(paths.CHAMPION.rglob("*")) if path.is_symlink()]
    if linked:
        raise OntimeError(
            f"{linked[0]}: a symbolic link; an image cannot contain it; run `dvc unprotect {paths.CHAMPION}`"
        )
    signer = signing.Signer(signing.SIGNATURE.with_suffix(signing.KEY_ENDING))
    signing.verify(paths.CHAMPION, signing.SIGNATURE, signer)
    arguments = {
        "GIT_COMMIT": revision(only_clean=push),
        "MODEL_VERSION": version_,
        "MODEL_SHA256": read_manifest(paths.CHAMPION).model_sha256,
    }
    if base:
        arguments["BASE"] = base
    tag = f"{name}:{version_}"
    run(build_command(tool, tag, arguments, pip_config))
    if docker:
        if push:
            run([tool, "push", tag])
        click.echo(tag)
        return
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "image"
        if push:
            run([tool, "push", "--quiet", "--format=oci", f"--digestfile={exported}", tag])
            digest = exported.read_text(encoding="utf-8").strip()
        else:
            run([tool, "push", "--quiet", "--format=oci", "--compress", tag, f"dir:{exported}"])
            digest = describe(exported)
    click.echo(f"{name}@{digest}")


def find_tool(name: str) -> str:
    """Path of the container tool."""
    tool = shutil.which(name)
    if tool is None:
        raise OntimeError(f"{name}: not installed (Debian and Ubuntu: `apt-get install podman`); or try --docker")
    return tool


def build_command(tool: str, tag: str, arguments: dict[str, str], pip_config: Path | None = None) -> list[str]:
    """The command line that builds in the current folder; with Podman the image is reproducible."""
    command_line = [tool, "build", f"--file={DOCKERFILE}", f"--tag={tag}"]
    command_line += [f"--build-arg={name}={value}" for name, value in arguments.items()]
    if pip_config:
        command_line.append(f"--secret=id=pip,src={pip_config}")
    if Path(tool).name == "podman":
        # Docker's format would store the host name; with timestamp 0 two commits share unchanged layers
        command_line += ["--format=oci", "--layers", "--timestamp=0", "--identity-label=false"]
    return [*command_line, "."]


def revision(only_clean: bool = False) -> str:
    """The commit of the image's code, with the suffix -modified if a file differs from it.

    Raises:
        OntimeError: there is no commit, or `only_clean` is set and a file differs.
    """
    commit = git("rev-parse", "--verify", "HEAD")
    changed = git("status", "--porcelain", "--", *SOURCES).splitlines()
    if changed and only_clean:
        raise OntimeError(f"{changed[0][3:]}: not committed; commit it before you build with --push")
    return f"{commit}-modified" if changed else commit


def run(command_line: list[str], folder: Path | None = None) -> None:
    """Run a container tool, in the current folder or another one, with its output on standard error."""
    # before version 23 Docker uses BuildKit only if this variable is set
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    if subprocess.run(command_line, cwd=folder, env=environment, stdout=2, check=False).returncode:
        raise OntimeError(f"`{Path(command_line[0]).name} {command_line[1]}` failed; see its output above")


def describe(exported: Path) -> str:
    """Print the sizes of an image in a folder (Podman's `dir:` form) and return its digest."""
    content = (exported / "manifest.json").read_bytes()
    layers: list[dict[str, Any]] = read_json(exported / "manifest.json")["layers"]
    parts: Counter[str] = Counter()
    for name, layer in zip(LAYERS, layers, strict=True):
        click.echo(f"{name:<16}{layer['size'] / MB:8.2f} MB compressed")
        parts.update(sizes(exported / layer["digest"].removeprefix("sha256:"), name))
    click.echo(f"{'image':<16}{sum(layer['size'] for layer in layers) / MB:8.2f} MB compressed")
    click.echo(f"{'image':<16}{parts.total() / MB:8.2f} MB, of which")
    for name, size in parts.most_common(LARGEST):
        click.echo(f"  {name:<14}{size / MB:8.2f} MB")
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def sizes(layer: Path, otherwise: str) -> Counter[str]:
    """Bytes of a layer by Python package; files outside packages are counted as `otherwise`."""
    by_package: Counter[str] = Counter()
    with tarfile.open(layer) as archive:
        for member in archive:
            _, _, installed = member.name.partition("/site-packages/")
            # a wheel's own libraries and its metadata lie beside the package
            package = re.split(r"\.libs$|-[^-]+\.dist-info$", installed.partition("/")[0])[0]
            by_package[package or otherwise] += member.size
    return by_package
