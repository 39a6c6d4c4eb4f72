"""An experiment dropped: parameters, lock and outputs of the last commit, or everything as it is.

In: the last commit's `params.yaml` and `dvc.lock`. Out: both in place again, and the outputs that the lock names. First
all of those are looked for in DVC's cache and fetched from its remote. If one is nowhere, nothing changes: `dvc
checkout` would remove the outputs that are here before it found out. Code is left to git.
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
    """Go back to the parameters and outputs of the last commit."""
    committed = committed_lock(COMMIT)
    if not committed:
        raise OntimeError(f"the last commit has no {LOCK}; there is nothing to go back to")
    if next(absent(committed), None):
        fetch(COMMIT)
    for path in absent(committed):
        raise OntimeError(
            f"{path} of the last commit: neither in DVC's cache nor in its remote, so nothing was changed; to make it "
            f"again: git restore {PARAMS_FILE} {LOCK}, then `dvc repro`; or `dvc push` where it was made, then this"
        )
    put_back()
    click.echo(f"{PARAMS_FILE}, {LOCK} and {len(outputs(committed))} outputs are those of the last commit")


def absent(stages: Stages) -> Iterator[str]:
    """Outputs of which DVC's cache lacks something."""
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
    """Take the last commit's files and their outputs; if DVC refuses to remove what it has no copy of, neither."""
    names = [path for path in (PARAMS_FILE, LOCK) if bytes_of(COMMIT, path) is not None]
    before = {path: path.read_bytes() for path in names if path.exists()}
    git("restore", f"--source={COMMIT}", "--staged", "--worktree", "--", *map(str, names))
    try:
        dvc("checkout", "--quiet")
    except OntimeError as error:
        for path, content in before.items():
            with replacing(path) as temporary:
                temporary.write_bytes(content)
        # what was brought before the refusal goes back; what was refused is refused again
        with contextlib.suppress(OntimeError):
            dvc("checkout", "--quiet")
        raise OntimeError(f"{error}; nothing was dropped") from None
