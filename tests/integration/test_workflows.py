"""The workflows, run by act on this machine against a bare repository, an S3 server, a registry and GitHub's API.

Stand-ins of third-party actions are in `tests/workflow_actions`. What act does not carry out (filters of `on`,
permissions, concurrency, time limits, environments) is read from the files by `tests/test_workflows.py`.
"""

import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from ruamel.yaml import YAML

from ontime.release.release_file import path_of
from tests.checkouts import BIN, commit, git, locked_hashes, reproduce, run
from tests.forge import (
    LEFT,
    MARKER,
    NUMBER,
    REPOSITORY,
    ROLE,
    Forge,
    set_parameters,
    write_report,
)
from tests.releases import NAME, Repository, digest_of, registry_server, release
from tests.sigstore_server import PROVIDER, sigstore_server
from tests.teams import Team, train

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("act", path=f"{BIN}:{os.environ['PATH']}") is None, reason="act is not installed"),
]


def test_a_pull_request_that_changes_no_pipeline_file_runs_nothing_and_is_not_commented_on(
    forge: Forge, work: Path
) -> None:
    (work / "README.md").write_text("# words\n")
    commit(work, "words")
    done, head = forge.judge(work)
    assert done.succeeded, done.text
    assert re.search(r"no pipeline file differs from [0-9a-f]{40}: nothing to prove", done.text)
    assert "Running stage" not in done.text
    assert not (forge.folder / "artifacts").exists()
    commented = forge.comment(head)
    assert commented.succeeded, commented.text
    assert not forge.hub.comments


def test_a_stale_lock_fails_and_names_the_stage_in_the_log_and_in_the_comment(forge: Forge, work: Path) -> None:
    set_parameters(work, "train.gradient_boosting", max_leaf_nodes=7)
    commit(work, "without repro")
    done, head = forge.judge(work)
    assert not done.succeeded
    reason = "stage train@gradient_boosting: stale, changed: params.yaml train.gradient_boosting"
    assert f"error: {reason}" in done.text
    assert "Running stage" not in done.text
    assert forge.comment(head).succeeded
    (found,) = forge.hub.comments
    assert found["body"].startswith(f"{MARKER}\n")
    assert f"- {reason};" in found["body"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("7; curl example.invalid", "not the number of a pull request"),
        ("$(id)", "not the number of a pull request"),
        ("07", "not the number of a pull request"),
        ("", "not the number of a pull request"),
        ("8", "is at ffffffffffffffffffffffffffffffffffffffff, not at"),
        ("9", "error: 404"),
    ],
)
def test_a_number_that_is_not_that_of_the_runs_commit_is_not_commented_on(
    forge: Forge, work: Path, number: str, reason: str
) -> None:
    head = git(work, "rev-parse", "HEAD").strip()
    forge.hub.heads.update({NUMBER: head, 8: "f" * 40})
    write_report(forge, number, "## Approved\n")
    done = forge.comment(head)
    assert not done.succeeded
    assert reason in done.text
    assert not forge.hub.comments


def test_a_second_report_takes_the_place_of_the_first_ones_comment_and_images(forge: Forge, work: Path) -> None:
    heads = []
    for place, text in enumerate(("first", "second")):
        (work / "README.md").write_text(text)
        commit(work, text)
        heads.append(forge.open_pull_request(work))
        shutil.rmtree(forge.folder / "artifacts", ignore_errors=True)
        folder = write_report(forge, str(NUMBER), f"{text}\n")
        Image.new("RGB", (4, 4), (place, 0, 0)).save(folder / "roc.png")
        done = forge.comment(heads[-1])
        assert done.succeeded, done.text
    (found,) = forge.hub.comments
    assert found["body"] == f"{MARKER}\n\nsecond\n"
    assert {token for _, _, token in forge.hub.requests} == {"Bearer job-token"}
    assert git(forge.origin, "ls-tree", "-r", "--name-only", "reports").split() == [f"{NUMBER}/{heads[1]}/roc.png"]
    shown = ["git", "show", f"reports:{NUMBER}/{heads[1]}/roc.png"]
    image = subprocess.run(shown, cwd=forge.origin, capture_output=True, check=True).stdout
    assert Image.open(io.BytesIO(image)).convert("RGB").getpixel((0, 0)) == (1, 0, 0)
    # nothing of the repository is in that branch, and nothing of it in main
    assert git(forge.origin, "log", "--format=%s", "main").split() == ["copy"]


def test_a_run_that_was_no_pull_requests_is_not_commented_on(forge: Forge, work: Path) -> None:
    write_report(forge, str(NUMBER), "text\n")
    head = forge.open_pull_request(work)
    assert forge.comment(head, event="push").succeeded
    assert not forge.hub.requests


def test_a_promotion_opens_a_pull_request_that_changes_the_stages_release_alone(
    released: tuple[Repository, Forge],
) -> None:
    repository, forge = released
    tag = f"{NAME}#production#1"
    done = forge.tagged("promote", tag)
    assert done.succeeded, done.text
    (opened,) = forge.hub.opened
    assert opened["title"] == "Release v1.0.0 to production"
    assert (opened["base"], opened["head"]) == ("main", f"promote/{NAME}-production-1")
    assert tag in opened["body"]
    # a person merges what goes to production
    assert not forge.hub.merges
    repository.git("fetch", "--quiet", "origin")
    changed = repository.git("diff", "--name-only", "origin/main", f"origin/{opened['head']}")
    assert changed == str(path_of("production"))
    staged, proposed = (
        repository.git("show", f"origin/{branch}:{path_of(stage)}")
        for branch, stage in (("main", "staging"), (opened["head"], "production"))
    )
    assert proposed == staged
    assert f"digest: {digest_of('v1.0.0')}" in proposed
    assert forge.asked("create-github-app-token") == ["Iv1 contents:write pull-requests:write"]
    assert {token for _, _, token in forge.hub.requests} == {"Bearer app-token"}
    assert not forge.asked("actions-cache")


def test_a_promotion_that_runs_again_keeps_its_branch_and_its_pull_request(released: tuple[Repository, Forge]) -> None:
    repository, forge = released
    assert forge.tagged("promote", f"{NAME}#production#1").succeeded
    before = git(repository.origin, "for-each-ref")
    done = forge.tagged("promote", f"{NAME}#production#1")
    assert done.succeeded, done.text
    assert len(forge.hub.opened) == 1
    assert git(repository.origin, "for-each-ref") == before


def test_a_tag_that_promotes_what_never_ran_before_opens_nothing(released: tuple[Repository, Forge]) -> None:
    repository, forge = released
    repository.make_model("third")
    release("register", "v1.1.0", "--push")
    repository.tag(f"{NAME}#production#2", f"{NAME}@v1.1.0")
    repository.git("push", "--quiet", "--tags", "origin")
    done = forge.tagged("promote", f"{NAME}#production#2")
    assert not done.succeeded
    assert "error: v1.1.0: never ran in staging" in done.text
    assert not forge.hub.opened
    assert not forge.asked("create-github-app-token")


@pytest.mark.rehearsal
def test_ci_runs_the_tasks_of_the_makefile(forge: Forge) -> None:
    done = forge.act("push", "ci", {"ref": "refs/heads/main"}, "refs/heads/main", "--matrix=task:lint")
    assert done.succeeded, done.text
    assert "Success: no issues found" in done.text


@pytest.mark.rehearsal
def test_a_pull_request_that_improves_is_proven_judged_and_commented_on(team: Team, trusted: Forge) -> None:
    set_parameters(team.clone, "train.gradient_boosting", max_iter=60)
    train(team)
    done, head = trusted.judge(team.clone)
    assert done.succeeded, done.text
    of_boosting = ", ".join(f"{stage}@gradient_boosting" for stage in ("train", "evaluate", "cross-validate"))
    stages = f"{of_boosting}, select, refit, forward, export"
    assert f"7 of 21 stages run again: {stages}" in done.text
    assert trusted.asked("configure-aws-credentials") == [ROLE]
    assert trusted.comment(head).succeeded
    (found,) = trusted.hub.comments
    assert "## Gate passed" in found["body"]
    assert "`train.gradient_boosting.max_iter`: `5` → `60`" in found["body"]
    assert "- deleted:" not in found["body"]
    for name in ("roc", "calibration"):
        assert f"](https://github.com/{REPOSITORY}/raw/reports/{NUMBER}/{head}/{name}.png)" in found["body"]
        assert git(team.origin, "cat-file", "-t", f"reports:{NUMBER}/{head}/{name}.png").strip() == "blob"


@pytest.mark.rehearsal
def test_a_pull_request_that_regresses_fails_and_its_comment_says_metric_and_slice(team: Team, trusted: Forge) -> None:
    numbers = json.loads((team.clone / "data" / "processed" / "feature_layout.json").read_text())["numbers"]
    set_parameters(team.clone, "data.options", exclude=[name for name in numbers if name not in LEFT])
    set_parameters(team.clone, "export", page_features=[*LEFT, "clinic"])
    train(team)
    done, head = trusted.judge(team.clone)
    assert not done.succeeded
    assert "error: gate: failed: roc_auc from 0." in done.text
    assert trusted.comment(head).succeeded
    (found,) = trusted.hub.comments
    assert "## Gate failed" in found["body"]
    for name in ("roc_auc", "clinic=[ab]"):
        assert re.search(rf"^\| {name} \|.*\*\*regressed\*\* \|$", found["body"], re.MULTILINE), found["body"]


@pytest.mark.rehearsal
def test_outputs_that_were_not_pushed_fail_by_name(team: Team, trusted: Forge) -> None:
    set_parameters(team.clone, "train.gradient_boosting", max_iter=7)
    reproduce(team.clone)
    commit(team.clone, "not pushed")
    done, head = trusted.judge(team.clone)
    assert not done.succeeded
    assert "error: output models/training_runs/gradient_boosting/model: not in the remote; run `dvc push`" in done.text
    assert "Running stage" not in done.text
    assert trusted.comment(head).succeeded
    assert "not in the remote" in trusted.hub.comments[0]["body"]


@pytest.mark.rehearsal
def test_a_forks_pull_request_is_proven_without_secrets_and_commented_on_by_the_second_workflow(
    team: Team, trusted: Forge
) -> None:
    set_parameters(team.clone, "train.gradient_boosting", max_iter=40)
    reproduce(team.clone)
    commit(team.clone, "boosting")
    done, head = trusted.judge(team.clone, owner="stranger")
    assert done.succeeded, done.text
    assert not trusted.asked("configure-aws-credentials")
    assert "AWS_" not in done.text
    assert "7 of 21 stages run again" in done.text
    assert not trusted.hub.requests
    assert trusted.comment(head).succeeded
    (found,) = trusted.hub.comments
    assert "## Gate passed" in found["body"]


@pytest.mark.rehearsal
def test_a_version_is_built_signed_and_released_to_staging_by_digest(
    team: Team, trusted: Forge, tmp_path: Path
) -> None:
    name = YAML(typ="safe").load(team.clone / "params.yaml")["export"]["name"]
    git(team.clone, "switch", "--quiet", "--force-create", "main", "origin/main")
    run("ontime", "release", "register", "v1.0.0", "--push", cwd=team.clone)
    identity = f"https://github.com/{REPOSITORY}/.github/workflows/sign.yml@refs/heads/main"
    trust_config = tmp_path / "sigstore.json"
    with registry_server(tmp_path) as host, sigstore_server(identity) as sigstore:
        trusted.variables["REGISTRY"] = host
        trust_config.write_text(sigstore.trust_config)
        trusted.environment.update(sigstore.variables, ONTIME_TRUST_CONFIG=str(trust_config))
        done = trusted.tagged("release", f"{name}@v1.0.0")
        assert done.succeeded, done.text
        (opened,) = trusted.hub.opened
        assert (opened["title"], opened["head"]) == ("Release v1.0.0 to staging", f"promote/{name}-v1.0.0")
        git(team.clone, "fetch", "--quiet", "origin")
        head = git(team.clone, "rev-parse", f"origin/{opened['head']}").strip()
        (merge,) = trusted.hub.merges
        assert "enablePullRequestAutoMerge" in merge["query"]
        assert merge["variables"] == {"id": "PR_1", "head": head}
        git(team.clone, "merge", "--quiet", "--ff-only", head)
        git(team.clone, "push", "--quiet", "origin", "HEAD:main")
        text = (team.clone / path_of("staging")).read_text()
        (digest,) = re.findall(r"digest: (sha256:[0-9a-f]{64})", text)
        assert f"newName: {host}/{REPOSITORY}" in text
        image = f"{host}/{REPOSITORY}"
        assert trusted.asked("build-push-action") == [f"{image}:1.0.0 sbom: true, provenance: mode=max"]
        assert trusted.asked("cosign") == [f"sign --yes {image}@{digest}"]
        assert trusted.asked("attest") == [f"{image}@{digest}"]
        assert not trusted.asked("actions-cache")
        assert trusted.asked("create-github-app-token") == ["Iv1 contents:write pull-requests:write"]
        assert git(team.clone, "diff", "--name-only", "HEAD~1").split() == [str(path_of("staging"))]
        options = [f"--identity-provider={PROVIDER}", f"--trust-config={trust_config}", "staging"]
        verified = run("ontime", "verify", "release", f"--identity={identity}", *options, cwd=team.clone).stdout
        assert verified.splitlines()[-1] == f"signature       models/champion.sig: by {identity}"
        run("ontime", "release", "assign", "v1.0.0", "production", "--push", cwd=team.clone)
        assert trusted.tagged("promote", f"{name}#production#1").succeeded
    assert trusted.hub.opened[1]["title"] == "Release v1.0.0 to production"
    assert len(trusted.hub.merges) == 1


@pytest.mark.rehearsal
def test_retraining_on_new_data_pushes_its_outputs_and_opens_a_pull_request(team: Team, trusted: Forge) -> None:
    table = team.clone / "data" / "external" / "tumours.csv"
    lines = table.read_text().splitlines(keepends=True)
    git(team.clone, "switch", "--quiet", "--force-create", "main", "origin/main")
    table.write_text("".join(lines[:-30]))
    commit(team.clone, "new rows came")
    git(team.clone, "push", "--quiet", "origin", "main")
    content = {"action": "drift", "client_payload": {"feature": "worst_area"}}
    key = {"RELEASE_APP_PRIVATE_KEY": "private-key"}
    done = trusted.act("repository_dispatch", "retrain", content, "refs/heads/main", **key)
    assert done.succeeded, done.text
    (opened,) = trusted.hub.opened
    assert "worst_area" in opened["body"]
    git(team.clone, "fetch", "--quiet", "origin")
    changed = git(team.clone, "diff", "--name-only", "origin/main", f"origin/{opened['head']}").split()
    assert changed == ["dvc.lock", "params.yaml"]
    git(team.clone, "switch", "--quiet", "--detach", f"origin/{opened['head']}")
    missing = run("dvc", "data", "status", "--not-in-remote", "--json", cwd=team.clone).stdout
    assert not json.loads(missing).get("not_in_remote")
    assert locked_hashes(team.clone)
