"""Runs git: returns its output as text or bytes, and turns a failure into one line.

A branch means the remote's branch as of the last fetch, if there is a remote.

In a hook, git sets environment variables for its repository, work tree and index. In the current folder they are kept,
because a commit hook must see the changes to be committed. In any other folder they would point back to this
repository, so they are removed.
"""

import functools
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ontime.common.errors import OntimeError

REMOTE = "origin"
NOISE = ("hint: ", "To ", "From ", "warning: ", "error: failed to push some refs")


def git(*arguments: str, folder: Path | None = None, content: str | None = None, **variables: str) -> str:
    """What git prints, without the final newline.

    Args:
        folder: where it runs; otherwise the current one.
        content: what git reads from its standard input.
        variables: of its environment.

    Raises:
        OntimeError: git failed; its first line says why.
    """
    done = _run(arguments, folder, content, variables)
    if done.returncode:
        reason = first_line(_text(done.stderr)) or f"exit status {done.returncode}"
        raise OntimeError(f"git {arguments[0]}: {reason}")
    return _text(done.stdout).removesuffix("\n")


def tried(*arguments: str, folder: Path | None = None) -> str | None:
    """What git prints; None if it fails."""
    done = _run(arguments, folder)
    return None if done.returncode else _text(done.stdout).removesuffix("\n")


def tried_bytes(*arguments: str) -> bytes | None:
    """What git prints, as bytes; None if it fails."""
    done = _run(arguments)
    return None if done.returncode else done.stdout


def environment(folder: Path | None = None) -> dict[str, str]:
    """The environment of a program that runs in a folder; without git's own variables outside the current folder."""
    if folder is None or folder.resolve() == Path.cwd():
        return dict(os.environ)
    return {name: value for name, value in os.environ.items() if name not in local_variables()}


@contextmanager
def elsewhere() -> Iterator[None]:
    """Unset git's own variables in the block, for a library that works on another repository in this process."""
    kept = {name: os.environ.pop(name) for name in local_variables() if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@functools.cache
def local_variables() -> frozenset[str]:
    """Names of the variables with which git identifies its repository."""
    return frozenset(git("rev-parse", "--local-env-vars").split())


def clone(folder: Path, commit: str, *options: str) -> None:
    """Clone the current folder's repository and check out one of its commits there, on no branch."""
    # from a folder of its own, so that no variable says which repository is meant
    with elsewhere():
        git("clone", "--quiet", "--no-checkout", *options, ".", str(folder))
    git("checkout", "--quiet", "--detach", commit, folder=folder)


def listed_files(checkout: Path) -> set[str]:
    """Paths of the files there that git tracks or would add, relative to the checkout."""
    done = _run(("ls-files", "-z", "--cached", "--others", "--exclude-standard"), checkout)
    if done.returncode:
        raise OntimeError(f"{checkout}: not a git repository")
    return {name for name in os.fsdecode(done.stdout).split("\0") if name and (checkout / name).is_file()}


def push(refspec: str) -> str | None:
    """Push to a full reference at the remote, and return None or the reason why it failed."""
    target = refspec.rpartition(":")[2]
    names = _listed(target)
    if names and target not in names:
        # where the target is not there yet, git would push to one like refs/heads/refs/heads/main instead
        return f"{min(names)} is there, which would be taken for {target}; remove it"
    done = _run(("push", "--porcelain", REMOTE, refspec))
    if done.returncode == 0:
        return None
    output, errors = _text(done.stdout), _text(done.stderr)
    messages = [line.removeprefix("remote: ").strip() for line in errors.splitlines() if line.startswith("remote: ")]
    refused = [line.rpartition("\t")[2] for line in output.splitlines() if line.startswith("!")]
    if not refused:
        return first_line(errors) or "unreachable"
    return "; ".join([refused[0], *filter(None, messages[:1])])


def has_remote() -> bool:
    """Whether there is a remote to push to."""
    return tried("remote", "get-url", REMOTE) is not None


def fetch(branch: str) -> None:
    """Fetch the remote's tags and branch; a tag that differs there is an error."""
    if not has_remote():
        raise OntimeError(f"no remote {REMOTE}: git remote add {REMOTE} ADDRESS")
    git("fetch", "--tags", REMOTE, f"+refs/heads/{branch}:refs/remotes/{REMOTE}/{branch}")


def tip(branch: str) -> str:
    """The newest commit of a branch: the remote's as of the last fetch, else the local one."""
    for reference in (f"refs/remotes/{REMOTE}/{branch}", f"refs/heads/{branch}"):
        if (commit := commit_of(reference)) is not None:
            return commit
    raise OntimeError(f"branch {branch}: neither here nor at {REMOTE}; git fetch, or name another with --branch")


def remote_hash(reference: str) -> str | None:
    """What a full reference, as in refs/heads/main, names at the remote; None if it does not exist."""
    return _listed(reference).get(reference)


def remote_commit(reference: str) -> str | None:
    """Fetch a branch by its full reference and return its current commit at the remote; None if it does not exist."""
    found = remote_hash(reference)
    if found is not None:
        git("fetch", "--no-tags", REMOTE, reference)
    return found


def check_whole() -> None:
    """Refuse a shallow clone, whose history of releases is incomplete."""
    if git("rev-parse", "--is-shallow-repository") == "true":
        raise OntimeError("a shallow clone lacks the history that is needed: git fetch --unshallow --tags")


def commit_of(revision: str) -> str | None:
    """The commit that a revision names."""
    return tried("rev-parse", "--quiet", "--verify", "--end-of-options", f"{revision}^{{commit}}")


def content_of(commit: str, path: Path | str) -> str | None:
    """A text file at a commit; None if it does not exist there."""
    content = bytes_of(commit, path)
    # line ends stay as they are
    return None if content is None else _text(content)


def bytes_of(commit: str, path: Path | str) -> bytes | None:
    """A file, relative to the current folder, at a commit; None if it does not exist there."""
    return tried_bytes("cat-file", "blob", f"{commit}:./{Path(path).as_posix()}")


def every_file() -> Iterator[tuple[str, bytes]]:
    """Path and bytes of each version of each file in the history of every branch and tag."""
    listed = [line.partition(" ") for line in git("rev-list", "--all", "--objects").splitlines()]
    names = {found: path for found, _, path in listed if path}
    done = _run(("cat-file", "--batch", "--buffer"), content="".join(f"{found}\n" for found in names))
    if done.returncode:
        raise OntimeError(f"git cat-file: {first_line(_text(done.stderr))}")
    output, at = done.stdout, 0
    while at < len(output):
        end = output.index(b"\n", at)
        found, kind, size = output[at:end].decode().split()
        at = end + 1 + int(size) + 1
        if kind == "blob":
            yield names[found], output[end + 1 : at - 1]


def blob_of(commit: str, path: Path) -> str | None:
    """Git's hash of a file at a commit."""
    return tried("rev-parse", "--quiet", "--verify", f"{commit}:{path.as_posix()}")


def is_ancestor(commit: str, of: str) -> bool:
    """Whether a commit is in the history of another one."""
    return tried("merge-base", "--is-ancestor", commit, of) is not None


def first_line(errors: str) -> str:
    """The line with the reason in git's standard error."""
    lines = [line for line in errors.splitlines() if line.strip() and not line.startswith(NOISE)]
    chosen = next((line for line in lines if line.startswith(("fatal: ", "error: ", " ! "))), lines[0] if lines else "")
    for beginning in ("fatal: ", "error: ", "remote: ", " ! "):
        chosen = chosen.removeprefix(beginning)
    if ".lock': File exists" in chosen:
        return f"{chosen} Another git process is running; if it was killed, remove that file"
    return " ".join(chosen.split())


def _listed(reference: str) -> dict[str, str]:
    """What the remote has under a reference's name or a longer one that ends with it, as git lists both."""
    lines = (line.split("\t") for line in git("ls-remote", REMOTE, reference).splitlines())
    return {name: found for found, name in lines}


def _text(output: bytes) -> str:
    return output.decode(errors="replace")


def _run(
    arguments: tuple[str, ...],
    folder: Path | None = None,
    content: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            input=(content or "").encode(),
            env={**environment(folder), "LC_ALL": "C", **(variables or {})},
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        reason = "git is not on PATH" if folder is None or folder.is_dir() else f"{folder}: not found"
        raise OntimeError(reason) from None
