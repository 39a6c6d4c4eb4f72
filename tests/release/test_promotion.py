"""`ontime release register`, `assign`, `rollback` and `check`: the tags that they make, and what they refuse."""

import shutil
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from tests.checkouts import git, run
from tests.releases import NAME, STAGES, Repository, enter, refused, release


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return enter(tmp_path, monkeypatch)


def released(repository: Repository, *versions: str, production: bool = False) -> None:
    """Register versions of new models and publish them in staging, and in production if wanted."""
    for version in versions:
        repository.tag(f"{NAME}@{version}", repository.make_model(version))
        repository.publish("staging", version)
        if production:
            release("assign", version, "production")
            repository.publish("production", version)
    repository.git("push", "--quiet", "--tags", "origin")


def test_a_version_is_an_annotated_tag_on_the_commit(repository: Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    assert release("register", "v1.0.0") == (
        f"{NAME}@v1.0.0: commit {head[:12]}; push it: git push origin '{NAME}@v1.0.0'"
    )
    assert repository.git("cat-file", "-t", f"{NAME}@v1.0.0") == "tag"
    assert repository.git("rev-parse", f"{NAME}@v1.0.0^{{commit}}") == head
    assert git(repository.origin, "tag") == ""


def test_a_pushed_version_is_at_the_remote(repository: Repository) -> None:
    release("register", "v1.0.0", "--push")
    assert git(repository.origin, "tag").split() == [f"{NAME}@v1.0.0"]


def test_an_earlier_commit_is_registered_whatever_the_checkout_has(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.make_model("second")
    (repository.checkout / "code.txt").write_text("changed")
    release("register", "v1.0.0", "--rev", first)
    assert repository.git("rev-parse", f"{NAME}@v1.0.0^{{commit}}") == first


def test_a_tag_that_was_not_pushed_before_is_pushed_by_the_same_command(repository: Repository) -> None:
    release("register", "v1.0.0")
    assert release("register", "v1.0.0", "--push") == f"{NAME}@v1.0.0: existed already, now pushed"
    assert git(repository.origin, "tag").split() == [f"{NAME}@v1.0.0"]
    assert "registered already" in refused(repository, "register", "v1.0.0", "--push")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["1.0.0"], "1.0.0: not a version; expected vMAJOR.MINOR.PATCH, as in v1.2.0"),
        (["v1.0"], "v1.0: not a version; expected vMAJOR.MINOR.PATCH, as in v1.2.0"),
        (["v1.5.0"], "v1.5.0: registered already, on commit "),
        (["v1.4.9"], "v1.4.9: not above v1.5.0, the newest version"),
        (["v2.0.0", "--rev", "HEAD~1"], " is registered as v1.5.0 already"),
        (["v2.0.0", "--rev", "nowhere"], "--rev nowhere: no such commit"),
        (["v2.0.0", "--rev", "--all"], "--rev --all: no such commit"),
        (["v2.0.0", "--branch", "trunk"], "branch trunk: neither here nor at origin"),
    ],
)
def test_what_is_no_new_version_is_refused(repository: Repository, arguments: list[str], reason: str) -> None:
    repository.tag(f"{NAME}@v1.5.0", "HEAD")
    repository.make_model("second")
    assert reason in refused(repository, "register", *arguments)


def test_a_checkout_that_is_not_committed_is_refused(repository: Repository) -> None:
    (repository.checkout / "code.txt").write_text("changed")
    assert refused(repository, "register", "v1.0.0") == (
        "code.txt: not committed; commit or remove it, or name a commit with --rev"
    )
    repository.git("checkout", "--quiet", "code.txt")
    (repository.checkout / "new.txt").touch()
    assert refused(repository, "register", "v1.0.0").startswith("new.txt: not committed")


def test_a_commit_with_a_stale_lock_is_refused(repository: Repository) -> None:
    (repository.checkout / "code.txt").write_text("changed")
    repository.git("commit", "--quiet", "--all", "--message", "without dvc repro")
    assert "dvc.lock is stale: export would run" in refused(repository, "register", "v1.0.0")


def test_outputs_that_are_not_in_the_remote_are_refused_unless_there_is_none(repository: Repository) -> None:
    shutil.rmtree(repository.checkout.parent / "store")
    (repository.checkout.parent / "store").mkdir()
    assert "not in the DVC remote: models/champion/" in refused(repository, "register", "v1.0.0")
    release("register", "v1.0.0", "--no-remote")


def test_a_commit_outside_the_branch_is_refused(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "experiment")
    commit = repository.make_model("experiment", pushed=False)
    assert refused(repository, "register", "v1.0.0") == f"commit {commit[:12]}: not in main"


def test_a_commit_that_is_not_pushed_is_registered_here_and_not_there(repository: Repository) -> None:
    commit = repository.make_model("second", pushed=False)
    assert refused(repository, "register", "v1.0.0", "--push") == (
        f"commit {commit[:12]}: not in main at origin; push it first"
    )
    release("register", "v1.0.0")


def test_a_version_that_another_checkout_registered_is_refused(repository: Repository, tmp_path: Path) -> None:
    other = repository.clone(tmp_path / "other")
    other.tag(f"{NAME}@v1.0.0")
    other.git("push", "--quiet", "--tags")
    repository.make_model("second")
    with pytest.raises(OntimeError, match=r"^v1\.0\.0: registered already"):
        release("register", "v1.0.0", "--push")


def test_a_tag_that_the_remote_refuses_is_not_kept(repository: Repository) -> None:
    hook = repository.origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho no releases on friday >&2\nexit 1\n")
    hook.chmod(0o755)
    assert refused(repository, "register", "v1.0.0", "--push") == (
        f"{NAME}@v1.0.0: not pushed, and not kept here: "
        "[remote rejected] (pre-receive hook declined); no releases on friday"
    )


def test_a_remote_that_does_not_answer_is_one_line(repository: Repository) -> None:
    repository.git("remote", "set-url", "origin", str(repository.origin / "nowhere"))
    assert refused(repository, "register", "v1.0.0", "--push").startswith("git fetch: ")
    repository.git("remote", "remove", "origin")
    assert refused(repository, "register", "v1.0.0", "--push") == "no remote origin: git remote add origin ADDRESS"


def test_a_tag_that_says_something_else_at_the_remote_is_refused(repository: Repository, tmp_path: Path) -> None:
    other = repository.clone(tmp_path / "other")
    other.tag(f"{NAME}@v1.0.0", seconds=1000)
    other.git("push", "--quiet", "--tags")
    repository.tag(f"{NAME}@v1.0.0", seconds=2000)
    repository.make_model("second")
    assert "would clobber existing tag" in refused(repository, "register", "v1.1.0", "--push")


def test_an_assignment_is_an_annotated_tag_on_the_versions_commit(repository: Repository) -> None:
    released(repository, "v1.0.0", "v1.1.0")
    assert release("assign", "v1.0.0", "production", "--push") == f"{NAME}#production#1: v1.0.0, pushed"
    assert repository.git("cat-file", "-t", f"{NAME}#production#1") == "tag"
    versions = [repository.git("rev-parse", f"{tag}^{{commit}}") for tag in (f"{NAME}#production#1", f"{NAME}@v1.0.0")]
    assert versions[0] == versions[1]
    assert f"{NAME}#production#1" in git(repository.origin, "tag").split()


def test_assigning_what_is_assigned_does_nothing_and_says_so(repository: Repository) -> None:
    released(repository, "v1.0.0")
    release("assign", "v1.0.0", "production")
    before = repository.state()
    assert release("assign", "v1.0.0", "production") == (
        f"production: v1.0.0 is assigned already ({NAME}#production#1)"
    )
    assert repository.state() == before
    assert release("assign", "v1.0.0", "production", "--push") == f"{NAME}#production#1: existed already, now pushed"
    assert "is assigned already" in release("assign", "v1.0.0", "production", "--push")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["v3.0.0", "production"], "v3.0.0: not registered; known: v1.0.0, v2.0.0"),
        (["v2.0.0", "production"], "v2.0.0: never ran in staging according to main; release it there first"),
        (["v1.0.0", "canary"], "canary: not a stage; .gto lists staging, production"),
        (["1.0.0", "production"], "1.0.0: not a version"),
        (["v1.0.0", ""], ": not a stage"),
    ],
)
def test_what_may_not_be_assigned_is_refused(repository: Repository, arguments: list[str], reason: str) -> None:
    released(repository, "v1.0.0")
    repository.tag(f"{NAME}@v2.0.0", repository.make_model("second"))
    assert reason in refused(repository, "assign", *arguments)


def test_of_two_assignments_at_once_the_second_is_refused(repository: Repository, tmp_path: Path) -> None:
    released(repository, "v1.0.0", "v1.1.0")
    other = repository.clone(tmp_path / "other")
    other.tag(f"{NAME}#production#1", f"{NAME}@v1.1.0")
    hook = repository.checkout / ".git" / "hooks" / "pre-push"
    # the other one's arrives between our fetch and our push
    hook.write_text(f"#!/bin/sh\nenv -u GIT_DIR git -C {other.checkout} push --quiet --tags\n")
    hook.chmod(0o755)
    with pytest.raises(OntimeError, match=r"^flight-delay#production#1: not pushed, and not kept here: \[re"):
        release("assign", "v1.0.0", "production", "--push")
    hook.unlink()
    assert release("assign", "v1.0.0", "production", "--push") == f"{NAME}#production#2: v1.0.0, pushed"


def test_a_rollback_assigns_the_older_version_that_ran_last(repository: Repository) -> None:
    released(repository, "v1.0.0", "v1.1.0", "v1.2.0", production=True)
    assert release("rollback", "production") == (
        f"{NAME}#production#4: v1.1.0; push it: git push origin '{NAME}#production#4'"
    )
    repository.publish("production", "v1.1.0")
    # twice in a row goes further back, not forth again
    assert "v1.0.0" in release("rollback", "production")
    repository.publish("production", "v1.0.0")
    assert refused(repository, "rollback", "production") == "production: ran no version that is older than v1.0.0"


def test_a_rollback_skips_a_version_that_was_withdrawn(repository: Repository) -> None:
    released(repository, "v1.0.0", "v1.1.0", "v1.2.0", production=True)
    repository.tag(f"{NAME}@v1.1.0!", f"{NAME}@v1.1.0")
    assert "v1.0.0" in release("rollback", "production")


@pytest.mark.parametrize(
    "arguments",
    [
        ("register", "v1.2.0"),
        ("assign", "v1.0.0", "staging"),
        ("assign", "v1.1.0", "production", "--push"),
        ("rollback", "staging"),
        ("rollback", "staging", "--to", "v1.0.0"),
        ("check", "--no-remote", f"{NAME}@v1.1.0"),
        ("write", "staging"),
        ("write", "staging", "v1.1.0"),
        ("publish", "staging"),
    ],
)
def test_a_withdrawn_artifact_is_released_no_more_until_its_tag_is_gone(
    repository: Repository, arguments: tuple[str, ...]
) -> None:
    released(repository, "v1.0.0", "v1.1.0")
    release("write", "staging")
    repository.make_model("third")
    run("gto", "deprecate", NAME, cwd=repository.checkout)
    tag = f"{NAME}@deprecated"
    assert refused(repository, *arguments) == (
        f"{NAME}: withdrawn with all versions by the tag {tag}; to undo that: git tag --delete {tag}, "
        f"and git push --delete origin {tag} if it was pushed"
    )
    status = release("status")
    assert status.count("to run    -") == len(STAGES)
    repository.git("tag", "--delete", tag)
    release("assign", "v1.1.0", "production")


def test_a_rollback_names_any_version_that_ran_there(repository: Repository) -> None:
    released(repository, "v1.0.0", "v1.1.0", "v1.2.0", production=True)
    assert "v1.0.0" in release("rollback", "production", "--to", "v1.0.0", "--push")
    assert git(repository.origin, "tag", "--list", "*production#4").strip() == f"{NAME}#production#4"
    assert "assigned already" in release("rollback", "production", "--to", "v1.0.0")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["production"], "production: nothing is assigned to it"),
        (["staging"], "staging: ran no version that is older than v1.0.0"),
        (["canary"], "canary: not a stage; .gto lists staging, production"),
        (["production", "--to", "v1.0.0"], "v1.0.0: never ran in production; it ran nothing"),
        (["staging", "--to", "v9.0.0"], "v9.0.0: not registered; known: v1.0.0"),
        (["staging", "--to", "9"], "9: not a version"),
    ],
)
def test_what_cannot_be_rolled_back_is_refused(repository: Repository, arguments: list[str], reason: str) -> None:
    released(repository, "v1.0.0")
    assert reason in refused(repository, "rollback", *arguments)


def test_staging_is_rolled_back_by_an_assignment(repository: Repository) -> None:
    released(repository, "v1.0.0", "v1.1.0")
    assert f"{NAME}#staging#1: v1.0.0" in release("rollback", "staging")


def test_a_tag_made_by_hand_is_checked_like_one_made_here(repository: Repository) -> None:
    commit = repository.git("rev-parse", "HEAD")
    repository.tag(f"{NAME}@v1.0.0")
    lines = ["name=flight-delay", "version=v1.0.0", "stage=staging", f"commit={commit}"]
    assert release("check", f"{NAME}@v1.0.0").splitlines() == lines
    repository.publish("staging", "v1.0.0")
    repository.tag(f"{NAME}#production#1", commit)
    lines[2] = "stage=production"
    assert release("check", f"refs/tags/{NAME}#production#1").splitlines() == lines


def test_a_tag_that_would_not_have_been_made_is_refused(repository: Repository) -> None:
    repository.tag(f"{NAME}@v2.0.0", seconds=1000)
    second = repository.make_model("second")
    repository.tag(f"{NAME}@v1.0.0", second, seconds=1001)
    repository.tag(f"{NAME}#production#1", second, seconds=1002)
    (repository.checkout / "code.txt").write_text("changed")
    repository.git("commit", "--quiet", "--all", "--message", "stale")
    repository.tag(f"{NAME}@v3.0.0", seconds=1003)
    repository.git("push", "--quiet", "origin", "HEAD:main")
    repository.git("switch", "--quiet", "--create", "experiment")
    repository.tag(f"{NAME}@v4.0.0", repository.make_model("experiment", pushed=False), seconds=1004)
    repository.git("tag", f"{NAME}@v5.0.0")
    for tag, reason in {
        f"{NAME}@v1.0.0": "v1.0.0: not above v2.0.0, the newest version",
        f"{NAME}#production#1": "v1.0.0: never ran in staging",
        f"{NAME}@v3.0.0": "dvc.lock is stale: export would run",
        f"{NAME}@v4.0.0": "not in main",
        f"{NAME}@v5.0.0": "lightweight",
        "v1.0.0": "neither",
    }.items():
        assert reason in refused(repository, "check", tag), tag
    shutil.rmtree(repository.checkout.parent / "store")
    assert "not in the DVC remote" in refused(repository, "check", f"{NAME}@v2.0.0")
    release("check", f"{NAME}@v2.0.0", "--no-remote")


@pytest.mark.attack("unmerged-tag")
def test_a_version_on_a_commit_that_was_never_merged_goes_nowhere(repository: Repository) -> None:
    released(repository, "v1.0.0")
    repository.git("switch", "--quiet", "--create", "evil")
    commit = repository.make_model("evil", pushed=False)
    repository.tag(f"{NAME}@v9.0.0")
    repository.tag(f"{NAME}#staging#7")
    repository.tag(f"{NAME}#production#8")
    repository.git("switch", "--quiet", "main")
    line = f"commit {commit[:12]}: not in main"
    digest = ("--digest", f"sha256:{'e' * 64}")
    for arguments in (
        ("check", f"{NAME}@v9.0.0"),
        ("check", f"{NAME}#staging#7"),
        ("check", f"{NAME}#production#8"),
        ("assign", "v9.0.0", "staging"),
        ("assign", "v9.0.0", "production"),
        ("write", "staging", "v9.0.0", *digest),
        ("write", "production", *digest),
    ):
        assert refused(repository, *arguments) == line, arguments


@pytest.mark.attack("unmerged-tag")
def test_a_tag_that_was_moved_after_the_push_is_refused(repository: Repository) -> None:
    released(repository, "v1.0.0")
    head = repository.git("rev-parse", f"{NAME}@v1.0.0^{{commit}}")
    release("check", f"{NAME}@v1.0.0", "--commit", head)
    line = refused(repository, "check", f"{NAME}@v1.0.0", "--commit", "e" * 40)
    assert line == f"{NAME}@v1.0.0: moved to commit {head[:12]} from {'e' * 12}"


@pytest.mark.attack("escaped-tag")
def test_a_lower_version_is_refused_whatever_time_its_tag_has(repository: Repository) -> None:
    released(repository, "v1.0.0", "v1.2.0")
    times = [
        int(repository.git("for-each-ref", "--format=%(taggerdate:unix)", f"refs/tags/{NAME}@{version}"))
        for version in ("v1.0.0", "v1.2.0")
    ]
    commit = repository.make_model("third")
    repository.tag(f"{NAME}@v1.1.0", commit, seconds=times[0])
    assert "v1.1.0: below v1.2.0, whose commit " in refused(repository, "check", f"{NAME}@v1.1.0")
    assert refused(repository, "write", "staging", "v1.1.0").startswith("staging: should run v1.2.0 by ")
    repository.git("tag", "--delete", f"{NAME}@v1.1.0")
    repository.tag(f"{NAME}@v1.1.0", commit, seconds=times[1] + 1000)
    assert refused(repository, "check", f"{NAME}@v1.1.0") == "v1.1.0: not above v1.2.0, the newest version"
    assert refused(repository, "write", "staging", "v1.1.0").startswith("staging: should run v1.2.0 by ")


def test_a_release_that_runs_again_after_the_next_one_still_passes_the_check(repository: Repository) -> None:
    released(repository, "v1.0.0", "v1.1.0")
    assert "version=v1.0.0" in release("check", f"{NAME}@v1.0.0")
