"""git, asked the same way everywhere here: its answer as text, its refusal as one line.

A branch means what everybody sees of it: the remote's, as of the last fetch, where there is a remote.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ontime.common.errors import OntimeError

REMOTE = "origin"
NOISE = ("hint: ", "To ", "From ", "warning: ", "error: failed to push some refs")


def git(*arguments: str, content: str | None = None, **variables: str) -> str:
    """What git prints, without the last line's end.

    Args:
        content: what git reads from its standard input.
        variables: of its environment.

    Raises:
        OntimeError: git failed; its first line says why.
    """
    done = _run(arguments, content, variables)
    if done.returncode:
        raise OntimeError(f"git {arguments[0]}: {first_line(done.stderr) or f'exit status {done.returncode}'}")
    return done.stdout.removesuffix("\n")


def tried(*arguments: str) -> str | None:
    """What git prints, or None where it fails."""
    done = _run(arguments)
    return None if done.returncode else done.stdout.removesuffix("\n")


def push(refspec: str) -> str | None:
    """Push to the remote; None if it took it, else why it did not."""
    done = _run(("push", "--porcelain", REMOTE, refspec))
    if done.returncode == 0:
        return None
    told = [line.removeprefix("remote: ").strip() for line in done.stderr.splitlines() if line.startswith("remote: ")]
    refused = [line.rpartition("\t")[2] for line in done.stdout.splitlines() if line.startswith("!")]
    if not refused:
        return first_line(done.stderr) or "unreachable"
    return "; ".join([refused[0], *filter(None, told[:1])])


def has_remote() -> bool:
    """Whether there is a remote to push to."""
    return tried("remote", "get-url", REMOTE) is not None


def fetch(branch: str) -> None:
    """Fetch the remote's tags and branch; a tag that says something else there is an error."""
    if not has_remote():
        raise OntimeError(f"no remote {REMOTE}: git remote add {REMOTE} ADDRESS")
    git("fetch", "--tags", REMOTE, f"+refs/heads/{branch}:refs/remotes/{REMOTE}/{branch}")


def tip(branch: str) -> str:
    """The newest commit of a branch, the remote's as of the last fetch before the local one."""
    for reference in (f"refs/remotes/{REMOTE}/{branch}", f"refs/heads/{branch}"):
        if (commit := commit_of(reference)) is not None:
            return commit
    raise OntimeError(f"branch {branch}: neither here nor at {REMOTE}; git fetch, or name another with --branch")


def remote_commit(reference: str) -> str | None:
    """The commit that a branch has at the remote now, fetched; None where it is absent."""
    listed = git("ls-remote", REMOTE, reference).split()
    if not listed:
        return None
    git("fetch", "--no-tags", REMOTE, reference)
    return listed[0]


def check_whole() -> None:
    """Refuse a clone without its history, in which what ran before cannot be seen."""
    if git("rev-parse", "--is-shallow-repository") == "true":
        raise OntimeError("a shallow clone has no history to go by: git fetch --unshallow --tags")


def commit_of(revision: str) -> str | None:
    """The commit that a revision names."""
    return tried("rev-parse", "--quiet", "--verify", "--end-of-options", f"{revision}^{{commit}}")


def content_of(commit: str, path: Path | str) -> str | None:
    """A text file as a commit has it, to the byte; None where it has none."""
    done = _run(("cat-file", "blob", f"{commit}:{Path(path).as_posix()}"))
    return None if done.returncode else done.stdout


def blob_of(commit: str, path: Path) -> str | None:
    """Git's hash of a file as a commit has it."""
    return tried("rev-parse", "--quiet", "--verify", f"{commit}:{path.as_posix()}")


def is_ancestor(commit: str, of: str) -> bool:
    """Whether a commit is in the history of another one."""
    return tried("merge-base", "--is-ancestor", commit, of) is not None


def first_line(errors: str) -> str:
    """The line that says why, of what git wrote to standard error."""
    lines = [line for line in errors.splitlines() if line.strip() and not line.startswith(NOISE)]
    chosen = next((line for line in lines if line.startswith(("fatal: ", "error: ", " ! "))), lines[0] if lines else "")
    for beginning in ("fatal: ", "error: ", "remote: ", " ! "):
        chosen = chosen.removeprefix(beginning)
    if ".lock': File exists" in chosen:
        return f"{chosen} Another git is at work, or was killed: then remove that file"
    return " ".join(chosen.split())


def _run(
    arguments: tuple[str, ...], content: str | None = None, variables: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    try:
        done = subprocess.run(
            ["git", *arguments],
            input=(content or "").encode(),
            env={**os.environ, "LC_ALL": "C", **(variables or {})},
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise OntimeError("git is not on PATH") from None
    # not by text=True, which would make other line ends the same
    output, errors = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, output, errors)
