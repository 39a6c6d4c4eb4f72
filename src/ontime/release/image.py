"""Build the service's container image, to the same digest wherever and whenever one commit is built.

In: the signed champion, the commit and the version it is released as. Out: an image in Podman's store and where its
bytes are, or the image in a registry; its digest. Podman, because its files and history can all be given one time;
Docker's own builder cannot do that without a second one, so an image that it builds works but has a digest of its own
each time.
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
@click.option("--name", default="ontime", show_default=True, help="Repository of the image, its registry before it.")
@click.option("--version", "version_", default="0.0.0", show_default=True, help="Version of the model.")
@click.option("--base", help="Base image, in place of the one that the Dockerfile pins.")
@click.option(
    "--pip-config", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="pip.conf of a private index."
)
@click.option("--docker", is_flag=True, help="Build with Docker; works, but the digest differs each time.")
@click.option("--push", is_flag=True, help="Push to the registry that the name begins with.")
def command(name: str, version_: str, base: str | None, pip_config: Path | None, docker: bool, push: bool) -> None:
    """Build the service's image; the last line is its name by digest."""
    if not VERSION.fullmatch(version_):
        raise OntimeError(f"--version {version_}: expected MAJOR.MINOR.PATCH, as in 1.2.0")
    tool = find_tool("docker" if docker else "podman")
    linked = [path for path in sorted(paths.CHAMPION.rglob("*")) if path.is_symlink()]
    if linked:
        raise OntimeError(f"{linked[0]}: a symbolic link; an image cannot contain it; run `dvc unprotect {paths.CHAMPION}`")
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
    """The command line that builds in the current folder; Podman's makes the same bytes each time."""
    command_line = [tool, "build", f"--file={DOCKERFILE}", f"--tag={tag}"]
    command_line += [f"--build-arg={name}={value}" for name, value in arguments.items()]
    if pip_config:
        command_line.append(f"--secret=id=pip,src={pip_config}")
    if Path(tool).name == "podman":
        # Docker's format keeps the build's host name; time zero, so that the layers of two commits are shared
        command_line += ["--format=oci", "--layers", "--timestamp=0", "--identity-label=false"]
    return [*command_line, "."]


def revision(only_clean: bool = False) -> str:
    """The commit that the image's code is of, marked if a file of it was changed since.

    Raises:
        OntimeError: no commit, or a changed file while only a clean checkout will do.
    """
    commit = git("rev-parse", "--verify", "HEAD")
    changed = git("status", "--porcelain", "--", *SOURCES).splitlines()
    if changed and only_clean:
        raise OntimeError(f"{changed[0][3:]}: not committed; an image that is pushed is made of a commit")
    return f"{commit}-modified" if changed else commit


def run(command_line: list[str]) -> None:
    """Run a container tool; what it tells goes to standard error."""
    # Docker before 23 builds with BuildKit only when told to
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    if subprocess.run(command_line, env=environment, stdout=2, check=False).returncode:
        raise OntimeError(f"`{Path(command_line[0]).name} {command_line[1]}` failed; it tells above why")


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
    """Bytes of a layer by Python package, or by `otherwise` for files of none."""
    found: Counter[str] = Counter()
    with tarfile.open(layer) as archive:
        for member in archive:
            _, _, installed = member.name.partition("/site-packages/")
            # a wheel's own libraries and its metadata lie beside the package
            package = re.split(r"\.libs$|-[^-]+\.dist-info$", installed.partition("/")[0])[0]
            found[package or otherwise] += member.size
    return found
