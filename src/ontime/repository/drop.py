"""Drop an experiment: restore parameters, lock and outputs of the last commit, or change nothing.

In: the last commit's `params.yaml` and `dvc.lock`. Out: both restored, with the outputs in the lock. First it makes
sure that DVC's cache has every output, or fetches it from the remote. If one is missing in both, nothing changes,
because `dvc checkout` would remove the current outputs before it fails. Code is not touched; use git for that.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import click

from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.common.params import PARAMS_FILE
from ontime.repository.dvc import cache_folder, dvc, fetch
from ontime.repository.git import bytes_of, git
from ontime.repository.lock_file import LOCK, Stages, committed_lock, outputs

COMMIT = "HEAD"


@click.command(name="drop")
def command() -> None:
    """Restore the parameters and outputs of the last commit."""
    committed = committed_lock(COMMIT)
    if not committed:
        raise OntimeError(f"the last commit has no {LOCK}; there is nothing to go back to")
    if next(absent(committed), None):
        fetch(COMMIT)
    for path in absent(committed):
        raise OntimeError(
            f"{path} of the last commit: neither in DVC's cache nor in its remote, so nothing was changed; to "
            f"recreate it: git restore {PARAMS_FILE} {LOCK}, then `dvc repro`; or `dvc push` on the machine that has it"
        )
    put_back()
    click.echo(f"{PARAMS_FILE}, {LOCK} and {len(outputs(committed))} outputs are those of the last commit")


def absent(stages: Stages) -> Iterator[str]:
    """Outputs that are not complete in DVC's cache."""
    cache = cache_folder()
    for path, md5 in outputs(stages).items():
        if not all((cache / one[:2] / one[2:]).is_file() for one in _objects(cache, md5)):
            yield path


def _objects(cache: Path, md5: str) -> list[str]:
    """Names of an output's objects: a file's, or a folder's listing and the files in it."""
    listing = cache / md5[:2] / md5[2:]
    if not md5.endswith(".dir") or not listing.is_file():
        return [md5]
    return [md5, *(entry["md5"] for entry in json.loads(listing.read_bytes()))]


def put_back() -> None:
    """Restore the last commit's files and outputs, or nothing if DVC refuses to remove a file without a copy."""
    names = [path for path in (PARAMS_FILE, LOCK) if bytes_of(COMMIT, path) is not None]
    before = {path: path.read_bytes() for path in names if path.exists()}
    git("restore", f"--source={COMMIT}", "--staged", "--worktree", "--", *map(str, names))
    try:
        dvc("checkout", "--quiet")
    except OntimeError as error:
        for path, content in before.items():
            with replacing(path) as temporary:
                temporary.write_bytes(content)
        # undoes the part of the checkout before the refusal; DVC refuses the same file again
        with contextlib.suppress(OntimeError):
            dvc("checkout", "--quiet")
        raise OntimeError(f"{error}; nothing was dropped") from None
