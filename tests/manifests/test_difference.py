"""The part of the report that shows what a branch changes in the manifests."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.manifests.difference import report_difference
from tests.kubernetes import commit_sources

pytestmark = pytest.mark.xdist_group("manifests")


def test_the_report_shows_the_rendered_difference_once(
    kustomize: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del kustomize
    commit_sources(tmp_path)
    monkeypatch.chdir(tmp_path)
    report = tmp_path / "report" / "report.md"
    assert report_difference("HEAD", report) == "no manifest differs from HEAD"
    assert not report.exists()
    autoscaler = tmp_path / "deployment" / "kubernetes" / "base" / "autoscaler.yaml"
    autoscaler.write_text(autoscaler.read_text().replace("maxReplicas: 4", "maxReplicas: 5"))
    for _ in range(2):
        assert report_difference("HEAD", report).endswith("manifests differ: overlays/staging")
    text = report.read_text()
    assert text.startswith("<!-- ontime report -->\n")
    assert text.count("\n-  maxReplicas: 4\n+  maxReplicas: 5\n") == 1
    autoscaler.write_text("a: [")
    report_difference("HEAD", report)
    assert "+does not render: " in report.read_text()


def test_an_unknown_base_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_sources(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OntimeError, match=r"^git diff: .*absent") as refused:
        report_difference("absent", tmp_path / "report.md")
    assert "\n" not in str(refused.value)
