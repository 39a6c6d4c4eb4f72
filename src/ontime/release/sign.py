"""Sign the champion's folder, if its bytes are those that `dvc.lock` of the commit says.

In: the folder, and a private key or, keyless, an OIDC token. Out: the signature beside it, and the folder's MD5. Every
byte is read right before it is signed, so that what came from elsewhere than the graph, such as a changed object of the
DVC remote, gets no signature.
"""

import os
from pathlib import Path

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.manifest import read_manifest
from ontime.model_deployment.inference.signing import PRIVATE_KEY, SIGNATURE, make_key, sign, trust_option
from ontime.repository.git import commit_of
from ontime.repository.lock_file import LOCK, committed_lock, outputs
from ontime.repository.objects import LISTING, folder_md5_of, hashes_of
from ontime.repository.pull import listed_files_of


@click.command(name="sign")
@click.option("--model", type=click.Path(path_type=Path), default=paths.CHAMPION, show_default=True)
@click.option("--signature", type=click.Path(path_type=Path), default=SIGNATURE, show_default=True)
@click.option(
    "--key", type=click.Path(path_type=Path), default=PRIVATE_KEY, show_default=True, help="Private key, PEM."
)
@click.option("--new-key", is_flag=True, help="Make the key pair first, unless it exists.")
@click.option("--keyless", is_flag=True, help="Sign with this job's OIDC token (Sigstore) instead of a key.")
@click.option("--commit", default="HEAD", show_default=True, help="Whose dvc.lock the folder is compared with.")
@trust_option
def command(
    model: Path, signature: Path, key: Path, new_key: bool, keyless: bool, commit: str, trust_config: Path | None
) -> None:
    """Sign the champion's folder."""
    if keyless and new_key:
        raise click.UsageError("--keyless signs without a key; leave out --new-key")
    read_manifest(model)
    md5 = check_locked(model, commit)
    if new_key and not key.exists():
        make_key(key)
    sign(model, signature, None if keyless else key, trust_config)
    click.echo(f"signed {model}, MD5 {md5}: {signature}")


def check_locked(model: Path, commit: str = "HEAD") -> str:
    """Compare a folder with what the commit's lock says of it; a folder that no lock names is not compared.

    Returns:
        The MD5 that DVC gives the folder, without its ending .dir.

    Raises:
        OntimeError: a file is changed, missing or extra.
    """
    hashes = hashes_of(model)
    found, locked = folder_md5_of(hashes), locked_md5(model, commit)
    if locked is not None and found != locked.removesuffix(LISTING):
        raise OntimeError(
            f"{model}{_changed(hashes, str(model), locked)}: not what {LOCK} of {commit} says, so not signed; "
            f"run `ontime pull {model}`, or, if the graph made it here, commit {LOCK} first"
        )
    return found


def locked_md5(model: Path, commit: str) -> str | None:
    """MD5 of a folder in the commit's lock; None outside a repository, or if it is no output there."""
    if commit_of(commit) is None:
        return None
    # links are not followed: what a link at the output's path leads to is compared too
    return outputs(committed_lock(commit)).get(os.path.relpath(model))


def _changed(hashes: dict[str, str], path: str, locked: str) -> str:
    """The first file that differs, where the listing is known; otherwise nothing."""
    listed = listed_files_of(path, locked)
    names = sorted(name for name in hashes.keys() | listed if hashes.get(name) != listed.get(name))
    return f"/{names[0]}" if listed and names else ""
