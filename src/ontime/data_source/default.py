"""Bring a dataset of the code back, such as the flights, as the newest commit of this history has it.

In: git's history. Out: `data/schema`, `data/features.yaml`, the data card, `params.yaml` and `dvc.yaml` with that
commit's bytes, and the model's name wherever a file names it. So nothing is kept twice, and `git diff` shows what came
back.
"""

from pathlib import Path

import click
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.common.params import PARAMS_FILE
from ontime.data_source.data_card import CARD
from ontime.data_source.unsaved import confirm_loss
from ontime.datasets.features import FEATURES_FILE
from ontime.parameters import check_params
from ontime.repository.git import bytes_of, git, tried
from ontime.repository.ownership import event_in, name_model

FILES = (PARAMS_FILE, Path("dvc.yaml"), FEATURES_FILE, CARD)
README = Path("README.md")


def bring_back(source: str, agreed: bool) -> None:
    """Write the files of a dataset as the newest commit that uses it has them.

    Args:
        source: the dataset's name in `data.source`; agreed: whether a person agreed to lose what is not committed.

    Raises:
        OntimeError: no commit uses it, its parameters are none of this code, or files would be lost and nobody is there
            to ask; nothing is written.
    """
    commit = commit_with(source)
    wanted = {path: found for path in FILES if (found := bytes_of(commit, path)) is not None}
    schemas = {path: content for path in _schemas_of(commit) if (content := bytes_of(commit, path)) is not None}
    where = f"{PARAMS_FILE} of {commit[:10]}"
    params = check_params(YAML(typ="safe").load(wanted[PARAMS_FILE]), where)
    _ask_before_losing({**wanted, **schemas}, agreed)
    with replacing(paths.SCHEMA) as folder:
        folder.mkdir()
        for path, content in schemas.items():
            (folder / path.name).write_bytes(content)
    for path, content in wanted.items():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    if event := event_in((bytes_of(commit, README) or b"").decode(errors="replace")):
        name_model(params.export.name, event)
    click.echo(f"{source}: {', '.join(map(str, wanted))} and {paths.SCHEMA} are those of commit {commit[:10]}")


def commit_with(source: str) -> str:
    """The newest commit before this one, or this one, whose parameters name a source."""
    commits = git("rev-list", "HEAD").split()
    named = "".join(f"{commit}:./{PARAMS_FILE}\n" for commit in commits)
    blobs = git("cat-file", "--batch-check=%(objectname)", content=named).splitlines()
    seen = set[str]()
    for commit, blob in zip(commits, blobs, strict=True):
        if blob not in seen and _source_of(bytes_of(commit, PARAMS_FILE)) == source:
            return commit
        seen.add(blob)
    shallow = git("rev-parse", "--is-shallow-repository") == "true"
    then = "git fetch --unshallow" if shallow else "fetch the repository that this one was forked from"
    raise OntimeError(f"--source {source}: no commit of this history uses it; {then}")


def _source_of(content: bytes | None) -> object:
    try:
        return YAML(typ="safe").load(content or b"")["data"]["source"]
    except (YAMLError, TypeError, KeyError):
        return None


def _schemas_of(commit: str) -> list[Path]:
    listed = git("ls-tree", "--name-only", "-z", commit, f"{paths.SCHEMA}/")
    return [Path(name) for name in listed.split("\0") if name]


def _ask_before_losing(wanted: dict[Path, bytes], agreed: bool) -> None:
    status = tried("status", "--porcelain", "--untracked-files=all", "-z", "--", *map(str, (*FILES, paths.SCHEMA)))
    changed = [Path(entry[3:]) for entry in (status or "").split("\0") if entry]
    lost = [str(path) for path in changed if path.is_file() and path.read_bytes() != wanted.get(path)]
    if lost:
        confirm_loss(f"{', '.join(lost)}: not committed, and would be lost", agreed)
