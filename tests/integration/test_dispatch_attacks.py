"""Attacks on what runs by itself, carried out in the workflows under act: retraining, comments, reports."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.checkouts import BIN, commit, git
from tests.forge import Forge, Run

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
        ("train.seed=" + "9" * 9_000, "longer than 500 characters"),
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
        ("ln -s /etc proposal/data", "not a regular file"),
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
