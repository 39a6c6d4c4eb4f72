"""A cluster's answers, and a repository that released to it."""

import shutil
from pathlib import Path

import pytest

from tests.checkouts import TOP
from tests.releases import NAME, Repository, enter


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubectl that prints a file, and writes down how it was asked; it renders manifests as the real one."""
    folder = tmp_path / "programs"
    folder.mkdir()
    program = folder / "kubectl"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = kustomize ] && exec {shutil.which("kubectl")} "$@"\n'
        f'echo "$@" > {folder}/asked\ncat {folder}/answer || {{ echo "refused" >&2; exit 1; }}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository that released v1.0.0 to staging."""
    repository = enter(tmp_path, monkeypatch)
    for folder in ("base", "overlays"):
        shutil.copytree(TOP / "deployment/kubernetes" / folder, repository.checkout / "deployment/kubernetes" / folder)
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "manifests")
    repository.files[repository.git("rev-parse", "HEAD")] = next(iter(repository.files.values()))
    repository.tag(f"{NAME}@v1.0.0")
    repository.publish("staging", "v1.0.0")
    return repository
