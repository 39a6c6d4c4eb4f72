"""Programs that are not there are told in one line."""

import shutil
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.manifests import tools
from ontime.manifests.difference import report_difference
from ontime.manifests.tools import find_kustomize
from tests.checkouts import TOP
from tests.kubernetes import commit_sources

pytestmark = pytest.mark.xdist_group("manifests")


def test_without_go_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_sources(tmp_path)
    (tmp_path / "deployment" / "kubernetes" / "base" / "autoscaler.yaml").write_text("")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setattr(tools, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.chdir(TOP)
    with pytest.raises(OntimeError, match=r"^go: not found; install Go 1\.26 or later \(https"):
        find_kustomize()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tools, "TOOLS", TOP / tools.TOOLS)
    report = tmp_path / "report.md"
    assert report_difference("HEAD", report).startswith("manifests not compared: kustomize: not built")
    assert not report.exists()
