"""Drop an experiment: restore parameters, lock and outputs of the last commit, or change nothing.

In: the last commit's `params.yaml` and `dvc.lock`. Out: both restored, with the outputs in the lock. First it makes
sure that DVC's cache has every output, or fetches it from the remote. If one is missing in both, nothing changes,
because `dvc checkout` would remove the current outputs before it fails. Code is not touched; use git for that.
"""

import contextlib

import click

from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.common.params import PARAMS_FILE
from ontime.repository.dvc import dvc
from ontime.repository.git import bytes_of, git
from ontime.repository.lock_file import LOCK, committed_lock
from ontime.repository.pull import all_outputs, fetch, forget_listings

COMMIT = "HEAD"


@click.command(name="drop")
def command() -> None:
    """Restore the parameters and outputs of the last commit."""
    committed = committed_lock(COMMIT)
    if not committed:
        raise OntimeError(f"the last commit has no {LOCK}; there is nothing to go back to")
    made = all_outputs(committed)
    try:
        fetch(made)
    except OntimeError as error:
        raise OntimeError(
            f"{error}; nothing was changed; to recreate it: git restore {PARAMS_FILE} {LOCK}, then `dvc repro`"
        ) from None
    put_back()
    click.echo(f"{PARAMS_FILE}, {LOCK} and {len(made)} outputs are those of the last commit")


def put_back() -> None:
    """Restore the last commit's files and outputs, or nothing if DVC refuses to remove a file without a copy."""
    names = [path for path in (PARAMS_FILE, LOCK) if bytes_of(COMMIT, path) is not None]
    before = {path: path.read_bytes() for path in names if path.exists()}
    git("restore", f"--source={COMMIT}", "--staged", "--worktree", "--", *map(str, names))
    forget_listings()
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
