"""`ontime release write` and `publish`: the file, the commit, and what somebody else did meanwhile."""

import errno
import os
from pathlib import Path

import click
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import write_text
from ontime.release.commit_checks import model_sha256
from ontime.release.release_file import Release, path_of, read, render
from tests.checkouts import git
from tests.releases import IMAGE, NAME, Repository, digest_of, enter, refused, release

DIGEST = digest_of("v1.0.0")
FIRST = ("--digest", DIGEST, "--image", IMAGE)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with v1.0.0 registered and pushed."""
    repository = enter(tmp_path, monkeypatch)
    register(repository, "v1.0.0")
    return repository


def register(repository: Repository, version: str, commit: str = "HEAD") -> None:
    """Register a version by hand and push it."""
    repository.tag(f"{NAME}@{version}", commit)
    repository.git("push", "--quiet", "--tags", "origin")


def assign(repository: Repository, version: str, tag: str) -> None:
    """Assign a version by hand and push it."""
    repository.tag(f"{NAME}#{tag}", f"{NAME}@{version}")
    repository.git("push", "--quiet", "--tags", "origin")


def test_a_release_is_written_whole_from_tag_lock_and_digest(repository: Repository) -> None:
    commit = repository.git("rev-parse", "HEAD")
    assert release("write", "staging", "v1.0.0", *FIRST) == f"{path_of('staging')}: v1.0.0"
    written = read("staging")
    assert written is not None
    model = model_sha256(repository.files[commit], NAME)
    assert written == Release("v1.0.0", commit, model, IMAGE, DIGEST)
    assert repository.git("status", "--porcelain") == f" M {path_of('staging')}"


def test_writing_the_same_release_twice_changes_nothing(repository: Repository) -> None:
    release("write", "staging", *FIRST)
    path = repository.checkout / path_of("staging")
    os.utime(path, (1, 1))
    assert release("write", "staging", *FIRST) == f"{path_of('staging')}: v1.0.0, unchanged"
    assert path.stat().st_mtime == 1


def test_a_write_that_fails_leaves_the_file_as_it_was(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (repository.checkout / path_of("staging")).read_text()

    def full(path: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path), None, str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        release("write", "staging", *FIRST)
    assert (repository.checkout / path_of("staging")).read_text() == before
    assert not list(repository.checkout.rglob(".*.partial"))


def test_the_tag_that_started_a_workflow_says_stage_and_version(repository: Repository) -> None:
    release("write", "--tag", f"{NAME}@v1.0.0", *FIRST)
    release("publish", "--tag", f"{NAME}@v1.0.0")
    assign(repository, "v1.0.0", "production#1")
    assert release("write", "--tag", f"refs/tags/{NAME}#production#1") == f"{path_of('production')}: v1.0.0"
    assert read("production") == read("staging")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["staging"], "v1.0.0: never ran in staging; name its image's digest with --digest"),
        (["staging", "--digest", DIGEST], "staging: nothing was released there yet; name the image with --image"),
        (
            ["staging", "--digest", "sha256:1", "--image", IMAGE],
            "digest 'sha256:1': expected sha256: and 64 hexadecimal digits",
        ),
        (
            ["staging", "--digest", DIGEST, "--image", f"{IMAGE}:1"],
            f"image '{IMAGE}:1': expected registry and repository without a tag",
        ),
        (["staging", "v1.1.0", *FIRST], "v1.1.0: not registered; known: v1.0.0"),
        (["staging", "1.0.0", *FIRST], "1.0.0: not a version"),
        (["canary", *FIRST], "canary: not a stage; .gto lists staging, production"),
        (
            ["production", *FIRST],
            "production: nothing is assigned to it; run `ontime release assign VERSION production`",
        ),
        (
            ["production", "v1.0.0", *FIRST],
            "production: nothing is assigned to it; run `ontime release assign v1.0.0 pr",
        ),
        (["--tag", "v1.0.0", *FIRST], "v1.0.0: neither "),
        (["--tag", f"{NAME}@v9.9.9", *FIRST], "no such tag here"),
        (["production", "--tag", f"{NAME}@v1.0.0", *FIRST], "says v1.0.0 for staging"),
        (["staging", "v1.1.0", "--tag", f"{NAME}@v1.0.0", *FIRST], "says v1.0.0 for staging"),
    ],
)
def test_what_cannot_be_written_is_refused(repository: Repository, arguments: list[str], reason: str) -> None:
    assert reason in refused(repository, "write", *arguments)


def test_a_version_that_is_not_the_registrys_last_word_is_refused(repository: Repository) -> None:
    register(repository, "v1.1.0", repository.make_model("second"))
    assert refused(repository, "write", "staging", "v1.0.0", *FIRST) == (
        f"staging: should run v1.1.0 by {NAME}@v1.1.0, not v1.0.0"
    )


def test_production_takes_the_digest_that_staging_ran(repository: Repository) -> None:
    staged = repository.publish("staging", "v1.0.0")
    assign(repository, "v1.0.0", "production#1")
    assert refused(repository, "write", "production", "--digest", digest_of("another")) == (
        f"v1.0.0: released as {DIGEST} before; a version has one image"
    )
    release("write", "production", "--digest", staged.digest)
    assert read("production") == staged
    release("write", "production", "--image", "mirror.example/ontime")
    written = read("production")
    assert written is not None
    assert (written.image, written.digest) == ("mirror.example/ontime", staged.digest)


def test_a_version_that_never_ran_in_staging_has_no_digest_for_production(repository: Repository) -> None:
    assign(repository, "v1.0.0", "production#1")
    assert refused(repository, "write", "production", *FIRST) == (
        "v1.0.0: never ran in staging, so its digest is unknown"
    )


def test_a_digest_of_another_commits_release_is_not_taken(repository: Repository) -> None:
    register(repository, "v1.1.0", repository.make_model("second"))
    repository.publish("staging", "v1.1.0", commit=repository.git("rev-parse", f"{NAME}@v1.0.0^{{}}"))
    assign(repository, "v1.1.0", "production#1")
    assert "never ran in staging" in refused(repository, "write", "production")


def test_staging_goes_back_with_the_digest_that_it_ran(repository: Repository) -> None:
    staged = repository.publish("staging", "v1.0.0")
    register(repository, "v1.1.0", repository.make_model("second"))
    repository.publish("staging", "v1.1.0")
    assign(repository, "v1.0.0", "staging#1")
    release("write", "staging")
    assert read("staging") == staged


@pytest.mark.parametrize("command", ["write", "publish"])
def test_a_file_that_was_edited_is_refused(repository: Repository, command: str) -> None:
    release("write", "staging", *FIRST)
    path = repository.checkout / path_of("staging")
    path.write_text(path.read_text().replace(DIGEST, f"{DIGEST} # checked by me"))
    extra = FIRST if command == "write" else ()
    assert "edited by hand" in refused(repository, command, "staging", *extra)


def test_publishing_commits_the_file_alone_on_top_of_the_remote(repository: Repository) -> None:
    release("write", "staging", *FIRST)
    before = repository.git("rev-parse", "HEAD")
    said = release("publish", "staging")
    top = git(repository.origin, "rev-parse", "main").strip()
    assert said == f"staging: v1.0.0 published on main, commit {top[:12]}"
    assert git(repository.origin, "rev-parse", "main^").strip() == before
    assert git(repository.origin, "show", "--format=", "--name-only", "main").split() == [str(path_of("staging"))]
    message = git(repository.origin, "show", "--no-patch", "--format=%an <%ae>%n%B", "main").strip().splitlines()
    assert message == [
        "test <test@example.invalid>",
        f"Release {NAME} v1.0.0 to staging",
        "",
        f"Tag: {NAME}@v1.0.0",
        f"Image: {IMAGE}@{DIGEST}",
    ]
    # the checkout follows, for it is on main and had nothing else
    assert repository.git("rev-parse", "HEAD") == top
    assert repository.git("status", "--porcelain") == ""


def test_publishing_twice_says_so_and_changes_nothing(repository: Repository) -> None:
    release("write", "staging", *FIRST)
    release("publish", "staging")
    before = repository.state()
    assert release("publish", "staging") == "staging: v1.0.0 is on main already"
    assert repository.state() == before


def test_a_workflow_publishes_from_the_tags_commit(repository: Repository) -> None:
    repository.make_model("second")
    top = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "--quiet", "--detach", f"{NAME}@v1.0.0")
    release("write", "--tag", f"{NAME}@v1.0.0", *FIRST)
    release("publish", "--tag", f"{NAME}@v1.0.0")
    assert git(repository.origin, "rev-parse", "main^").strip() == top
    assert repository.git("rev-parse", "HEAD") == repository.git("rev-parse", f"{NAME}@v1.0.0^{{}}")


def test_other_changes_in_the_checkout_are_neither_committed_nor_touched(repository: Repository) -> None:
    (repository.checkout / "code.txt").write_text("mine")
    (repository.checkout / "new.txt").write_text("mine")
    repository.git("add", "new.txt")
    release("write", "staging", *FIRST)
    release("publish", "staging")
    assert git(repository.origin, "show", "--format=", "--name-only", "main").split() == [str(path_of("staging"))]
    assert (repository.checkout / "code.txt").read_text() == "mine"
    assert "A  new.txt" in repository.git("status", "--porcelain")


def test_a_pull_requests_branch_is_made_on_top_of_main(repository: Repository) -> None:
    release("write", "staging", *FIRST)
    before = git(repository.origin, "rev-parse", "main")
    assert "published on promotion, commit" in release("publish", "staging", "--to-branch", "promotion")
    assert git(repository.origin, "rev-parse", "main") == git(repository.origin, "rev-parse", "promotion^") == before
    assert repository.git("rev-parse", "main") == before.strip()
    assert release("publish", "staging", "--to-branch", "promotion") == "staging: v1.0.0 is on promotion already"
    repository.git("push", "--quiet", "origin", "main:taken")
    head = repository.git("rev-parse", "main")
    assert refused(repository, "publish", "staging", "--to-branch", "taken") == (
        f"taken: exists already at origin with other content, on commit {head[:12]}; find out who pushed it, "
        "then remove it: git push origin --delete refs/heads/taken"
    )


@pytest.mark.attack("squatted-branch")
@pytest.mark.parametrize("squatted", ["another digest", "another file too", "not from main", "a link", "two commits"])
def test_a_branch_that_somebody_else_pushed_first_is_named_and_left(
    repository: Repository, squatted: str, tmp_path: Path
) -> None:
    evil = repository.clone(tmp_path / "evil")
    release("write", "staging", *FIRST)
    path = evil.checkout / path_of("staging")
    content = (repository.checkout / path_of("staging")).read_text()
    if squatted == "not from main":
        evil.git("switch", "--quiet", "--orphan", "evil")
        path.parent.mkdir(parents=True)
    if squatted == "two commits":
        (evil.checkout / "Makefile").write_text("evil:\n")
        evil.git("add", "--all")
        evil.git("commit", "--quiet", "--message", "evil")
        (evil.checkout / "Makefile").unlink()
    if squatted == "another file too":
        (evil.checkout / "Makefile").write_text("evil:\n")
    if squatted == "a link":
        path.unlink()
        path.symlink_to(content)
    else:
        path.write_text(content.replace(DIGEST, digest_of("evil")) if squatted == "another digest" else content)
    evil.git("add", "--all")
    evil.git("commit", "--quiet", "--message", "evil")
    evil.git("push", "--quiet", "origin", "HEAD:refs/heads/promotion")
    head = evil.git("rev-parse", "HEAD")
    line = refused(repository, "publish", "staging", "--to-branch", "promotion")
    assert line.startswith(f"promotion: exists already at origin with other content, on commit {head[:12]}")


@pytest.mark.attack("squatted-branch")
def test_a_longer_reference_that_git_would_push_to_instead_is_named(repository: Repository) -> None:
    evil = "refs/heads/refs/heads/promotion"
    git(repository.origin, "update-ref", evil, "main")
    release("write", "staging", *FIRST)
    line = refused(repository, "publish", "staging", "--to-branch", "promotion")
    assert line == (
        f"promotion: origin refused it: {evil} is there, which would be taken for refs/heads/promotion; remove it"
    )
    git(repository.origin, "update-ref", "-d", evil)
    git(repository.origin, "update-ref", "refs/heads/evil/promotion", "main")
    assert "published on promotion" in release("publish", "staging", "--to-branch", "promotion")


def test_what_others_pushed_meanwhile_comes_first(repository: Repository, tmp_path: Path) -> None:
    release("write", "staging", *FIRST)
    other = repository.clone(tmp_path / "other")
    (other.checkout / "note.txt").write_text("other")
    other.git("add", "--all")
    other.git("commit", "--quiet", "--message", "other")
    push_in_between(repository, other, times=1)
    release("publish", "staging")
    names = git(repository.origin, "log", "--first-parent", "--format=%s", "main").splitlines()
    assert names[:2] == [f"Release {NAME} v1.0.0 to staging", "other"]
    assert git(repository.origin, "log", "--merges", "main") == ""


def test_a_branch_that_moves_twice_is_left_alone(repository: Repository, tmp_path: Path) -> None:
    release("write", "staging", *FIRST)
    other = repository.clone(tmp_path / "other")
    push_in_between(repository, other, times=9)
    with pytest.raises(OntimeError, match=r"^main: changed again while staging was published; run the command again$"):
        release("publish", "staging")
    assert "Release" not in git(repository.origin, "log", "--format=%s", "main")


def push_in_between(repository: Repository, other: Repository, times: int) -> None:
    """Let another checkout push a commit whenever this one is about to, at most some times."""
    hook, count = repository.checkout / ".git" / "hooks" / "pre-push", repository.checkout.parent / "count"
    count.write_text("0")
    hook.write_text(
        f"#!/bin/sh\nn=$(cat {count})\n[ $n -lt {times} ] || exit 0\necho $((n + 1)) > {count}\n"
        f"unset GIT_DIR\ncd {other.checkout}\n[ $n = 0 ] || git commit --quiet --allow-empty --message more\n"
        "[ -n \"$(git log origin/main..HEAD)\" ] || git commit --quiet --allow-empty --message more\n"
        "git push --quiet origin HEAD:main\n"
    )  # fmt: skip
    hook.chmod(0o755)


def test_another_release_of_the_stage_since_the_write_is_refused(repository: Repository, tmp_path: Path) -> None:
    release("write", "staging", *FIRST)
    other = repository.clone(tmp_path / "other")
    theirs = other.publish("staging", "v1.0.0", digest=digest_of("another build"))
    line = refused(repository, "publish", "staging")
    assert line == f"{path_of('staging')}: not the image and model that v1.0.0 was released with before"
    assert render(theirs) == git(repository.origin, "show", f"main:{path_of('staging')}")


def test_a_newer_release_of_the_stage_since_the_write_is_refused(repository: Repository, tmp_path: Path) -> None:
    release("write", "staging", *FIRST)
    other = repository.clone(tmp_path / "other")
    register(other, "v1.1.0", other.make_model("second"))
    other.publish("staging", "v1.1.0")
    with pytest.raises(OntimeError, match=r"^staging: should run v1\.1\.0 by flight-delay@v1\.1\.0, not v1\.0\.0$"):
        release("publish", "staging")


def test_a_change_by_hand_on_main_since_the_write_is_refused(repository: Repository, tmp_path: Path) -> None:
    release("write", "staging", *FIRST)
    other = repository.clone(tmp_path / "other")
    (other.checkout / path_of("staging")).write_text("mine\n")
    other.git("commit", "--quiet", "--all", "--message", "by hand")
    other.git("push", "--quiet", "origin", "HEAD:main")
    assert refused(repository, "publish", "staging") == (
        "staging: its file was changed by hand since this file was written; "
        "run `ontime release write staging` again, or keep that release"
    )


def test_a_stale_file_of_an_older_write_is_refused(repository: Repository, tmp_path: Path) -> None:
    register(repository, "v1.1.0", repository.make_model("second"))
    release("write", "staging", *FIRST)
    other = repository.clone(tmp_path / "other")
    other.publish("staging", "v1.1.0", digest=DIGEST, image="registry.example/other")
    assert refused(repository, "publish", "staging").startswith("staging: v1.1.0 was published in commit ")


def test_a_remote_that_refuses_is_one_line(repository: Repository) -> None:
    release("write", "staging", *FIRST)
    hook = repository.origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho main is protected >&2\nexit 1\n")
    hook.chmod(0o755)
    assert refused(repository, "publish", "staging") == (
        "main: origin refused it: [remote rejected] (pre-receive hook declined); main is protected"
    )


def test_a_file_that_was_not_written_here_is_refused(repository: Repository) -> None:
    repository.publish("staging", "v1.0.0")
    assert refused(repository, "publish", "staging") == (
        f"{path_of('staging')}: not written in this checkout; run `ontime release write staging`"
    )
    assert refused(repository, "publish", "production").startswith(f"{path_of('production')}: contains no release")


def test_facts_that_are_not_the_registrys_are_refused(repository: Repository) -> None:
    release("write", "staging", *FIRST)
    written = read("staging")
    assert written is not None
    repository.make_model("second")
    forged = Release(written.version, repository.git("rev-parse", "HEAD"), written.model_sha256, IMAGE, DIGEST)
    write_text(repository.checkout / path_of("staging"), render(forged))
    assert f"is not that of {NAME}@v1.0.0" in refused(repository, "publish", "staging")


def test_an_author_who_is_unknown_is_one_line(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    release("write", "staging", *FIRST)
    repository.git("config", "--unset", "user.email")
    repository.git("config", "user.useConfigOnly", "true")
    assert refused(repository, "publish", "staging").startswith("git commit-tree: no email was given")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "a@example.invalid")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "a@example.invalid")
    release("publish", "staging")


def test_a_stage_or_a_tag_must_be_named(repository: Repository) -> None:
    del repository
    for command in ("write", "publish"):
        with pytest.raises(click.UsageError, match="name the stage, or the tag with --tag"):
            release(command)
