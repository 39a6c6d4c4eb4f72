"""Builds an image again from its commit and compares every file and setting with the one in the registry.

In: the commit's files from git, packages by the hashes in its lock, the base image by the digest in its Dockerfile, the
model that its `dvc.lock` names, and the signature, which has other bytes each time and is verified by itself. What
Podman and Docker's builder write differs in the form of an archive, so the files in it are compared, not its bytes.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.model_deployment.inference import signing
from ontime.release.image import build_command, find_tool, run
from ontime.release.image_layers import FOLDER, Entry, parents
from ontime.release.registry_image import Image, read_folder
from ontime.repository.git import clone

TAG = "localhost/ontime-rebuilt"
PLAIN = 0o755
"""Mode of a folder that a builder makes on the way to a file."""


def rebuild(
    commit: str, files: Mapping[str, bytes], arguments: Mapping[str, str], pip_config: Path | None = None
) -> Image:
    """Build the image of a commit with Podman.

    Args:
        files: of `models/`, by path.
        arguments: of the build.

    Raises:
        OntimeError: Podman is not there, or the build fails.
    """
    tool = find_tool("podman")
    tag = f"{TAG}:{commit}"
    with tempfile.TemporaryDirectory(prefix="ontime-rebuild-") as top:
        checkout, exported = Path(top) / "checkout", Path(top) / "image"
        clone(checkout, commit, "--shared")
        if (checkout / paths.CHAMPION.parent).is_symlink():
            raise OntimeError(f"{paths.CHAMPION.parent}: a symbolic link")
        for name, content in files.items():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_bytes(content)
        config = pip_config.resolve() if pip_config else None
        run(build_command(tool, tag, dict(arguments), config), checkout)
        run([tool, "push", "--quiet", "--format=oci", tag, f"dir:{exported}"])
        run([tool, "untag", tag])
        return read_folder(exported)


def check_same(found: Image, built: Image) -> str:
    """Compare two images' root filesystems, path by path.

    Returns:
        What was compared.

    Raises:
        OntimeError: a path differs; the message names it.
    """
    diff_ids = built.configuration["rootfs"]["diff_ids"]
    same = sum(one in diff_ids for one in found.configuration["rootfs"]["diff_ids"])
    ours, theirs = built.root.entries, found.root.entries
    above = {parent for name in ours for parent in parents(name)}
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = theirs.get(name), ours.get(name)
        if one == other or (name in above and _plain(one) and _plain(other)):
            continue
        if other is None:
            raise OntimeError(f"{name}: not in what the commit builds")
        if one is None:
            raise OntimeError(f"{name}: missing")
        raise OntimeError(f"{name}: differs from what the commit builds in {_difference(one, other)}")
    files = sum(entry.kind != FOLDER for entry in theirs.values())
    return f"{files} files as the commit builds them, {same} of {len(diff_ids)} layers to the byte"


def beside(signature: str, signer: signing.Signer) -> str:
    """Path of the file beside a signature that holds the signer's keys."""
    ending = signing.KEY_ENDING if signer.public_key else signing.TRUST_ENDING
    return Path(signature).with_suffix(ending).as_posix()


def _plain(entry: Entry | None) -> bool:
    """Whether a folder is as a builder makes it that does not note it."""
    return entry is None or entry == Entry(FOLDER, PLAIN, (0, 0), "")


def _difference(one: Entry, other: Entry) -> str:
    return ", ".join(name for name, value in vars(one).items() if value != getattr(other, name))
