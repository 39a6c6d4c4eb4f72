"""Attacks on the way from a tag to a release file, in the real workflows: whose code decides, whose branch, who signs.

Environments trust `main` alone, as docs/security.md says; `Forge.tagged` gives no key to what a tagged commit brings.
"""

import json
import os
import shutil

import pytest

from ontime.release.release_file import path_of
from tests.checkouts import BIN, git
from tests.forge import REPOSITORY, Forge, Run
from tests.releases import NAME, Repository, digest_of, release
from tests.sigstore_server import sigstore_server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("act", path=f"{BIN}:{os.environ['PATH']}") is None, reason="act is not installed"),
]
SIGNER = f"{REPOSITORY}/.github/workflows/sign.yml@refs/heads/main"
STOLEN = """\
name: {name}
on:
  push:
    tags: ["**"]
permissions: {{}}
concurrency: {{group: evil, cancel-in-progress: false}}
jobs:
  check:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    environment: production
    steps:
      - env:
          KEY: ${{{{ secrets.RELEASE_APP_PRIVATE_KEY }}}}
        run: echo "{name}[$KEY$ACTIONS_ID_TOKEN_REQUEST_TOKEN]" >> "$STAND_IN_FOLDER/stolen"
"""
"""A workflow that keeps what secrets it finds."""


def untouched(forge: Forge) -> None:
    """Nothing was asked of anybody that signs, builds, opens or merges."""
    assert not forge.hub.opened
    assert not forge.hub.merges
    for action in ("create-github-app-token", "configure-aws-credentials", "build-push-action", "cosign", "attest"):
        assert not forge.asked(action), action


@pytest.mark.attack("unmerged-tag")
@pytest.mark.parametrize(("workflow", "tag"), [("release", f"{NAME}@v9.0.0"), ("promote", f"{NAME}#production#9")])
def test_a_tag_on_an_unmerged_commit_starts_its_own_workflows_without_anything_to_take(
    released: tuple[Repository, Forge], workflow: str, tag: str
) -> None:
    repository, forge = released
    repository.git("switch", "--quiet", "--create", "evil")
    for name in ("release", "promote", "evil"):
        (repository.checkout / ".github" / "workflows" / f"{name}.yml").write_text(STOLEN.format(name=name))
    (repository.checkout / ".github" / "scripts" / "propose_release.sh").write_text("touch $STAND_IN_FOLDER/ran\n")
    repository.make_model("evil", pushed=False)
    repository.tag(f"{NAME}@v9.0.0")
    repository.tag(f"{NAME}#production#9")
    repository.git("push", "--quiet", "--tags", "origin")
    before = git(repository.origin, "for-each-ref", "refs/heads")
    done = forge.tagged(workflow, tag)
    assert not done.succeeded
    assert f"error: commit {repository.git('rev-parse', 'HEAD')[:12]}: not in main" in done.text
    assert sorted(forge.asked("stolen")) == ["evil[]", "promote[]", "release[]"]
    assert not (forge.folder / "ran").exists()
    assert git(repository.origin, "for-each-ref", "refs/heads") == before
    untouched(forge)


@pytest.mark.attack("unmerged-tag")
def test_a_tag_that_was_moved_since_it_was_pushed_releases_nothing(released: tuple[Repository, Forge]) -> None:
    _, forge = released
    tag = f"{NAME}#production#1"
    run_ = {"id": 1, "event": "push", "conclusion": "success", "head_branch": tag, "head_sha": "e" * 40}
    done = forge.act("workflow_run", "promote", {"workflow_run": run_}, "refs/heads/main")
    assert not done.succeeded
    assert f"error: {tag}: moved to commit " in done.text
    untouched(forge)


@pytest.mark.attack("unmerged-tag")
def test_a_branch_with_a_tags_name_releases_nothing(released: tuple[Repository, Forge]) -> None:
    repository, forge = released
    name = f"{NAME}@v9.0.0"
    repository.git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")
    head = repository.git("rev-parse", "HEAD")
    run_ = {"id": 1, "event": "push", "conclusion": "success", "head_branch": name, "head_sha": head}
    done = forge.act("workflow_run", "release", {"workflow_run": run_}, "refs/heads/main")
    assert not done.succeeded
    assert f"error: {name}: no such tag here" in done.text
    untouched(forge)


@pytest.mark.attack("squatted-branch")
def test_a_promotion_whose_branch_somebody_pushed_first_opens_nothing_and_names_it(
    released: tuple[Repository, Forge],
) -> None:
    repository, forge = released
    branch = f"promote/{NAME}-production-1"
    staged = (repository.checkout / path_of("staging")).read_text()
    repository.git("switch", "--quiet", "--create", branch)
    (repository.checkout / path_of("production")).write_text(staged.replace(digest_of("v1.0.0"), digest_of("evil")))
    repository.git("commit", "--quiet", "--all", "--message", "Release v1.0.0 to production")
    repository.git("push", "--quiet", "origin", branch)
    before = git(repository.origin, "for-each-ref")
    done = forge.tagged("promote", f"{NAME}#production#1")
    assert not done.succeeded
    assert f"error: {branch}: exists already at origin with other content, on commit " in done.text
    assert not forge.hub.opened
    assert not forge.hub.merges
    assert git(repository.origin, "for-each-ref") == before


@pytest.mark.attack("squatted-branch")
def test_a_longer_branch_that_git_takes_for_the_promotions_is_named_and_gets_nothing(
    released: tuple[Repository, Forge],
) -> None:
    """Where refs/heads/NAME is not there, git pushes to refs/heads/refs/heads/NAME, which no ruleset guards."""
    repository, forge = released
    evil = f"refs/heads/refs/heads/promote/{NAME}-production-1"
    git(repository.origin, "update-ref", evil, "main")
    before = git(repository.origin, "for-each-ref")
    done = forge.tagged("promote", f"{NAME}#production#1")
    assert not done.succeeded
    assert f"{evil} is there, which would be taken for " in done.text
    assert not forge.hub.opened
    assert git(repository.origin, "for-each-ref") == before


@pytest.mark.attack("escaped-tag")
@pytest.mark.parametrize("tag", [f"{NAME}#a/b#7", f"models/{NAME}#production#7", f"{NAME}#production#7/8"])
def test_a_tag_that_left_a_rulesets_pattern_promotes_nothing(released: tuple[Repository, Forge], tag: str) -> None:
    repository, forge = released
    repository.tag(tag, f"{NAME}@v1.0.0")
    repository.git("push", "--quiet", "--tags", "origin")
    done = forge.tagged("promote", tag)
    assert not done.succeeded
    assert f"error: {tag}: neither {NAME}@vMAJOR.MINOR.PATCH nor {NAME}#STAGE#NUMBER" in done.text
    untouched(forge)


@pytest.mark.attack("escaped-tag")
def test_a_lower_version_whose_time_was_set_back_is_not_built(released: tuple[Repository, Forge]) -> None:
    repository, forge = released
    repository.make_model("third")
    release("register", "v1.2.0", "--push")
    repository.publish("staging", "v1.2.0")
    commit = repository.make_model("fourth")
    first = int(repository.git("for-each-ref", "--format=%(taggerdate:unix)", f"refs/tags/{NAME}@v1.0.0"))
    repository.tag(f"{NAME}@v1.1.0", commit, seconds=first)
    repository.git("push", "--quiet", "--tags", "origin")
    done = forge.tagged("release", f"{NAME}@v1.1.0")
    assert not done.succeeded
    assert "error: v1.1.0: below v1.2.0, whose commit " in done.text
    untouched(forge)


@pytest.mark.attack("other-workflow")
@pytest.mark.parametrize(
    "caller",
    [
        f"{REPOSITORY}/.github/workflows/evil.yml@refs/heads/evil",
        f"{REPOSITORY}/.github/workflows/release.yml@refs/heads/evil",
        f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/{NAME}@v1.0.0",
        f"{REPOSITORY}/.github/workflows/retrain.yml@refs/heads/main",
        "mallory/ontime/.github/workflows/release.yml@refs/heads/main",
    ],
)
def test_a_workflow_that_is_not_mains_release_gets_no_signature_of_the_signer(
    released: tuple[Repository, Forge], caller: str
) -> None:
    repository, forge = released
    done = signed(repository, forge, caller, digest=digest_of("evil"))
    assert not done.succeeded
    assert f"{caller}: only release.yml of main may call {SIGNER}" in done.text
    untouched(forge)


@pytest.mark.attack("other-workflow")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("a byte", "has the MD5 "),
        ("another file", "has the MD5 "),
        ("a link", "not a plain file"),
        ("an unmerged commit", ": not in main"),
    ],
)
def test_a_champion_that_is_not_in_dvc_lock_is_not_signed_even_for_the_release(
    released: tuple[Repository, Forge], change: str, reason: str
) -> None:
    repository, forge = released
    commit = repository.git("rev-parse", f"{NAME}@v1.0.0^{{commit}}")
    folder = forge.folder / "artifacts" / "champion"
    folder.mkdir(parents=True)
    for name, content in repository.files[commit].items():
        (folder / name).write_bytes(content)
    if change == "a byte":
        (folder / "model.onnx").write_bytes(b"x" + (folder / "model.onnx").read_bytes()[1:])
    elif change == "another file":
        (folder / "evil.py").write_text("evil\n")
    elif change == "a link":
        (folder / "evil").symlink_to("/etc/passwd")
    else:
        repository.git("switch", "--quiet", "--create", "evil")
        commit = repository.make_model("evil", pushed=False)
        repository.git("push", "--quiet", "origin", "evil")
    # what main's own release would run, with a champion that somebody changed on the way
    caller = f"{REPOSITORY}/.github/workflows/release.yml@refs/heads/main"
    done = signed(repository, forge, caller, branch="main", commit=commit)
    assert not done.succeeded
    assert reason in done.text
    assert "error: " in done.text
    assert not forge.asked("actions-cache")
    assert not (forge.folder / "artifacts" / "signature").exists()


def signed(repository: Repository, forge: Forge, caller: str, branch: str = "evil", **inputs: str) -> Run:
    """Run a workflow of a branch that has main's `sign.yml` sign something."""
    repository.git("switch", "--quiet", "--force-create", "caller", "origin/main")
    content = {
        "name": "evil",
        "on": {"workflow_dispatch": None},
        "jobs": {"evil": {"uses": "./.github/workflows/sign.yml", "with": inputs}},
    }
    (repository.checkout / ".github" / "workflows" / "evil.yml").write_text(json.dumps(content))
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "evil")
    repository.git("push", "--quiet", "--force", "origin", f"caller:refs/heads/{branch}")
    with sigstore_server(f"https://github.com/{SIGNER}", caller) as sigstore:
        forge.environment.update(sigstore.variables)
        return forge.act("workflow_dispatch", "evil", {}, f"refs/heads/{branch}")
