"""A repository whose watched model is in production, for what checks the days of its log."""

import shutil
from pathlib import Path

import pytest

from ontime.model_deployment.inference.manifest import MANIFEST
from tests.forge import ROLE, Forge, Hub, copy_workflows
from tests.live import PARAMS
from tests.releases import champion, enter, lock, release

VERSION = "1.1.0"


def released_forge(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, top: Path) -> Forge:
    """A repository with a watched model in production."""
    (tmp_path / "repository").mkdir()
    repository = enter(tmp_path / "repository", monkeypatch)
    copy_workflows(repository.checkout)
    shutil.copy(PARAMS, repository.checkout)
    model = {path.name: path.read_bytes() for path in (top / "model").iterdir() if path.name != MANIFEST}
    files = {**champion("watched"), **model}
    lock(repository.checkout, files)
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "a model that is watched")
    commit = repository.git("rev-parse", "HEAD")
    repository.files[commit] = files
    repository.git("push", "--quiet", "origin", "HEAD:main")
    release("register", f"v{VERSION}", "--push")
    repository.publish("production", f"v{VERSION}")
    addresses = {"PREDICTION_LOG": str(top / "log"), "MONITORING": str(tmp_path / "results"), "REMOTE_ROLE": ROLE}
    forge = Forge(repository.origin, hub, tmp_path / "runs", addresses)
    forge.folder.mkdir()
    (forge.folder / "aws.env").touch()
    return forge
