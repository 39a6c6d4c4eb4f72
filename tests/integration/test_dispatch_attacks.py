"""Attacks on what runs by itself, carried out in the workflows under act: retraining, comments, reports."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.checkouts import BIN, commit, git
from tests.forge import MARKER, NUMBER, Forge, Run, write_report

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("act", path=f"{BIN}:{os.environ['PATH']}") is None, reason="act is not installed"),
]
KEY = {"RELEASE_APP_PRIVATE_KEY": "private-key"}
TAKEN_OVER = """#!/usr/bin/env bash
# what runs in the job that trains, once something in the DVC remote has run there
set -euo pipefail
mkdir -p proposal/.github/workflows
cp dvc.lock params.yaml proposal
{change}
echo "token: ${{GITHUB_TOKEN:-none}} ${{RELEASE_APP_PRIVATE_KEY:-none}}"
env | grep -E "app-token|job-token|private-key" && echo "found a token"
grep -rE "app-token|job-token|extraheader" .git/config && echo "found a token"
echo "changed=true" >> "$GITHUB_OUTPUT"
"""


def refs(forge: Forge) -> str:
    """All branches and tags of the repository with their commits."""
    return git(forge.origin, "for-each-ref")


def dispatched(forge: Forge, settings: str) -> Run:
    """Run `retrain` as a member starts it by hand."""
    forge.variables["RELEASE_APP_CLIENT_ID"] = "Iv1"
    content: dict[str, Any] = {"ref": "refs/heads/main", "inputs": {"settings": settings}}
    return forge.act("workflow_dispatch", "retrain", content, "refs/heads/main", **KEY)


@pytest.mark.attack("dispatch-input")
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('dvc.yaml:stages.ingest.cmd="touch {owned}; echo $GITHUB_TOKEN"', "expected KEY=VALUE"),
        ("split.test_from=${{oc.env:GITHUB_TOKEN}}", "a text may have"),
        ("+stages.ingest.cmd=touch {owned}", "expected KEY=VALUE"),
        ("train.seed=1\n~gate", "expected KEY=VALUE"),
        ("train.seed=1 --set-param=dvc.yaml:stages.ingest.cmd=touch {owned}", "a text may have"),
        ("gate.confidence=0.5", "gate.confidence: not set for a retraining"),
        ("train.seed=" + "9" * 9_000, "longer than 8,000 characters"),
    ],
    ids=["other file", "interpolation", "new key", "deletion", "option", "gate", "huge"],
)
def test_a_setting_that_is_no_parameter_ends_the_job_before_anything_runs(
    forge: Forge, tmp_path: Path, settings: str, reason: str
) -> None:
    owned, before = tmp_path / "owned", refs(forge)
    done = dispatched(forge, settings.format(owned=owned))
    assert not done.succeeded
    assert reason in done.text
    assert not owned.exists()
    assert "Running stage" not in done.text
    assert "app-token" not in done.text
    assert not forge.asked("create-github-app-token")
    assert refs(forge) == before
    assert not forge.hub.requests


@pytest.mark.attack("dispatch-input")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("echo 'on: push' > proposal/.github/workflows/owned.yml", "retraining changes dvc.lock, params.yaml and"),
        ("ln -s /etc/passwd proposal/data", "retraining changes dvc.lock, params.yaml and"),
        ("sed -i 's/cmd: ontime ingest/cmd: id/' proposal/dvc.lock", "not as in main"),
        ("sed -i 's/absolute: 0.004/absolute: 1.0/' proposal/params.yaml", "not what the settings say"),
    ],
    ids=["workflow", "link", "command", "gate"],
)
def test_a_job_that_trains_and_is_taken_over_has_no_token_and_gets_nothing_but_hashes_pushed(
    forge: Forge, work: Path, change: str, reason: str
) -> None:
    (work / ".github" / "scripts" / "retrain.sh").write_text(TAKEN_OVER.format(change=change))
    commit(work, "taken over")
    git(work, "push", "--quiet", "origin", "HEAD:main")
    before = refs(forge)
    done = dispatched(forge, "")
    assert not done.succeeded
    assert reason in done.text
    assert "token: none none" in done.text
    assert "found a token" not in done.text
    assert not forge.asked("create-github-app-token")
    assert refs(forge) == before
    assert not forge.hub.requests


@pytest.mark.attack("forged-comment")
@pytest.mark.parametrize("marker", ["<!-- review by a maintainer -->", MARKER])
def test_a_report_of_a_fork_leaves_the_comments_of_others(forge: Forge, work: Path, marker: str) -> None:
    body = f"{marker}\n\nDo not merge.\n"
    user = {"login": "maintainer", "type": "User"}
    forge.hub.comments.append({"id": 1, "body": body, "html_url": "", "user": user})
    head = forge.open_pull_request(work)
    folder = write_report(forge, str(NUMBER), "")
    (folder / "report.md").write_text(f"{marker}\n\nApproved.\n")
    forge.hub.files.append({"filename": "Makefile"})
    done = forge.comment(head)
    assert done.succeeded == (marker == MARKER), done.text
    assert forge.hub.comments[0]["body"] == body
    if marker == MARKER:
        assert "> This pull request changes files that its own checks run" in forge.hub.comments[1]["body"]
    else:
        assert len(forge.hub.comments) == 1
        assert "the report does not begin with its marker" in done.text


@pytest.mark.attack("report-storage")
def test_the_images_of_many_pull_requests_are_one_small_commit(forge: Forge, work: Path) -> None:
    """Earlier reports are there already, as an older version kept them: one commit above the other, without a bound."""
    (work / "blob.png").write_bytes(os.urandom(100_000))
    blob = git(work, "hash-object", "-w", "blob.png").strip()
    parent: list[str] = []
    for _ in range(2):
        inner = tree(work, f"100644 blob {blob}\troc.png\n")
        numbers = "".join(f"040000 tree {inner}\t{number}\n" for number in (*range(100, 190), "f" * 40))
        made = git(work, "commit-tree", tree(work, numbers), *parent, "-m", "old").strip()
        parent = ["-p", made]
    git(work, "push", "--quiet", "origin", f"{made}:refs/heads/reports")
    (work / "blob.png").unlink()
    head = forge.open_pull_request(work)
    folder = write_report(forge, str(NUMBER), "text")
    Image.new("RGB", (4, 4)).save(folder / "roc.png")
    with (folder / "roc.png").open("ab") as stream:
        stream.write(os.urandom(100_000))
    (folder / "calibration.png").write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(100_000))
    done = forge.comment(head)
    assert done.succeeded, done.text
    assert "calibration.png: left out, not a PNG image" in done.text
    assert len(git(forge.origin, "rev-list", "reports").split()) == 1
    kept = git(forge.origin, "ls-tree", "--name-only", "reports").split()
    assert sorted(map(int, kept)) == [NUMBER, *range(141, 190)]
    (mine,) = git(forge.origin, "ls-tree", "-r", "-l", "reports", f"{NUMBER}/").splitlines()
    assert mine.endswith(f"\t{NUMBER}/{head}/roc.png")
    assert int(mine.split()[3]) < 300


@pytest.mark.attack("report-storage")
@pytest.mark.parametrize("number", ["8", "../../heads/main"])
def test_a_report_with_the_number_of_another_pull_request_stores_nothing(forge: Forge, work: Path, number: str) -> None:
    head = forge.open_pull_request(work)
    forge.hub.heads[8] = "f" * 40
    Image.new("RGB", (4, 4)).save(write_report(forge, number, "text") / "roc.png")
    before = refs(forge)
    assert not forge.comment(head).succeeded
    assert refs(forge) == before


def tree(work: Path, entries: str) -> str:
    """Write a tree of lines as `git ls-tree` prints them."""
    done = subprocess.run(["git", "mktree"], cwd=work, input=entries, capture_output=True, text=True, check=True)
    return done.stdout.strip()
