"""Releases by the command, end to end: a graph's model to production and back, and two people at once."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ontime.release.release_file import parse, path_of
from tests.checkouts import TOP, commit, environment, git, reproduce, run
from tests.releases import (
    IMAGE,
    IMAGE_LINKS,
    LINKS,
    NAME,
    Repository,
    digest_of,
    identify,
    make_repository,
    push_release,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("isolation")]
RACES = int(os.environ.get("ONTIME_RACES", "2"))
FORK = "tumours"
UNCHECKED = "--no-registry"
"""For an image that no registry has."""
RECORDS = {"v1.0.0": 64, "v1.1.0": 32}
"""Golden records of each version, so that the export alone runs again."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, copy_of_run: Callable[[Path], Path]) -> Path:
    """A small fork whose graph has run, with an origin and a DVC remote."""
    top = tmp_path_factory.mktemp("release")
    checkout = copy_of_run(top / "checkout")
    identify(checkout)
    git(top, "init", "--quiet", "--bare", "--initial-branch=main", str(top / "origin.git"))
    git(checkout, "remote", "add", "origin", str(top / "origin.git"))
    run("dvc", "remote", "add", "--default", "store", str(top / "store"), cwd=checkout)
    run("ontime", "sign", "--new-key", cwd=checkout)
    commit(checkout, "graph")
    return checkout


def ontime(*arguments: str, cwd: Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run a command of this checkout in another folder."""
    return run("ontime", *arguments, cwd=cwd, check=check, PYTHONPATH=str(TOP / "src"))


def test_a_graphs_model_goes_to_production_and_back(checkout: Path, host: str) -> None:
    def release(*arguments: str) -> str:
        return ontime("release", *arguments, cwd=checkout).stdout.strip()

    def refused(*arguments: str) -> str:
        done = ontime("release", *arguments, cwd=checkout, check=False)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        return done.stderr

    origin, image = checkout.parent / "origin.git", f"{host}/team/ontime"
    commits, digests = {}, {}
    for version, records in RECORDS.items():
        tag = f"{FORK}@{version}"
        path = checkout / "params.yaml"
        text = re.sub(r"golden_records: \d+", f"golden_records: {records}", path.read_text())
        if text != path.read_text():
            path.write_text(text)
            git(checkout, "commit", "--quiet", "--all", "--message", "fewer golden records")
            assert "dvc.lock is stale: export would run" in refused("register", version)
            reproduce(checkout)
            commit(checkout, "export")
            run("ontime", "sign", cwd=checkout)
        assert "not in the DVC remote: " in refused("register", version)
        run("dvc", "push", "--quiet", cwd=checkout)
        git(checkout, "push", "--quiet", "origin", "main")
        commits[version] = git(checkout, "rev-parse", "HEAD").strip()
        digests[version] = push_release(checkout, host, version)
        release("register", version, "--push")
        assert f"version={version}" in release("check", tag).splitlines()
        assert "never ran in staging" in refused("assign", version, "production", "--push")
        assert "not in the registry" in refused("write", "--tag", tag, "--digest", digest_of(version), "--image", image)
        release("write", "--tag", tag, "--digest", digests[version], "--image", image)
        release("publish", "--tag", tag)
        assert "never ran in production" in refused("rollback", "production", "--to", version)
        release("assign", version, "production", "--push")
        release("write", "production")
        release("publish", "production")
        assert "is on main already" in release("publish", "production")
    release("rollback", "production", "--push")
    release("write", "production")
    release("publish", "production")

    assert git(checkout, "tag", "--sort=taggerdate").split() == [
        *(f"{FORK}@v1.0.0", f"{FORK}#production#1", f"{FORK}@v1.1.0", f"{FORK}#production#2", f"{FORK}#production#3")
    ]
    assert git(origin, "tag") == git(checkout, "tag")
    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "rev-parse", "HEAD") == git(origin, "rev-parse", "main")
    assert git(origin, "log", "--merges", "--format=%h", "main") == ""
    rows = {stage: json.loads(release("history", stage, "--json")) for stage in ("staging", "production")}
    assert [(row["version"], row["tag"]) for row in rows["staging"]] == [
        ("v1.1.0", f"{FORK}@v1.1.0"),
        ("v1.0.0", f"{FORK}@v1.0.0"),
    ]
    assert [(row["version"], row["tag"]) for row in rows["production"]] == [
        ("v1.0.0", f"{FORK}#production#3"),
        ("v1.1.0", f"{FORK}#production#2"),
        ("v1.0.0", f"{FORK}#production#1"),
    ]
    assert run("gto", "show", f"{FORK}#production", "--ref", cwd=checkout).stdout == f"{FORK}@v1.0.0\n"
    for stage, version in (("staging", "v1.1.0"), ("production", "v1.0.0")):
        found = parse((checkout / path_of(stage)).read_text(), stage)
        assert found is not None
        assert (found.version, found.commit, found.digest) == (version, commits[version], digests[version])
        done = ontime("verify", "release", stage, cwd=checkout, check=False)
        assert [line[:16].strip() for line in done.stdout.splitlines()] == [*LINKS, *IMAGE_LINKS]
        assert done.stderr.startswith("error: layers: a key signs the model, not the image; add --rebuild")


@pytest.fixture
def two(tmp_path: Path) -> tuple[Repository, Repository]:
    """Two checkouts of one repository, in which v1.0.0 ran in staging and v1.1.0 is to follow."""
    repository = make_repository(tmp_path)
    repository.tag(f"{NAME}@v1.0.0")
    repository.publish("staging", "v1.0.0")
    repository.tag(f"{NAME}@v1.1.0", repository.make_model("second"))
    repository.git("push", "--quiet", "--tags", "origin")
    return repository, repository.clone(tmp_path / "other")


def at_once(two: tuple[Repository, Repository], *commands: list[str]) -> list[tuple[int, str]]:
    """Run a command in each checkout at the same time; their statuses and what they said."""
    running = [
        subprocess.Popen(
            ["ontime", "release", *arguments],
            cwd=one.checkout,
            env=environment(PYTHONPATH=str(TOP / "src")),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for one, arguments in zip(two, commands, strict=True)
    ]
    said = [process.communicate()[0] for process in running]
    return [(process.returncode, text.strip()) for process, text in zip(running, said, strict=True)]


def one_won(ended: list[tuple[int, str]]) -> tuple[str, str]:
    """What the one that won and the one that was refused said, the latter in a line."""
    assert sorted(status for status, _ in ended) == [0, 1], ended
    (won,), (lost,) = ([text for status, text in ended if status == wanted] for wanted in (0, 1))
    assert "\n" not in lost
    return won, lost


def is_linear(repository: Repository, commits: int) -> None:
    """Check that the branch grew by so many commits of one file each, one after the other."""
    lines = git(repository.origin, "log", f"-{commits + 1}", "--format=%s:%p", "main").splitlines()
    assert [line.startswith("Release ") for line in lines] == [*[True] * commits, False]
    assert all(" " not in line.rpartition(":")[2] for line in lines)


@pytest.mark.parametrize("race", range(RACES))
def test_of_two_builds_of_one_version_published_at_once_one_wins(two: tuple[Repository, Repository], race: int) -> None:
    for number, one in enumerate(two):
        digest = digest_of(f"build {number} of race {race}")
        ontime("release", "write", "staging", "--digest", digest, UNCHECKED, cwd=one.checkout)
    before = git(two[0].origin, "rev-parse", "main")
    won, lost = one_won(at_once(two, ["publish", "staging", UNCHECKED], ["publish", "staging", UNCHECKED]))
    assert won.startswith("staging: v1.1.0 published on main, commit ")
    assert "not the image and model that v1.1.0 was released with before" in lost
    is_linear(two[0], 1)
    assert git(two[0].origin, "rev-parse", "main^") == before


@pytest.mark.parametrize("race", range(RACES))
def test_of_two_promotions_at_once_one_wins(two: tuple[Repository, Repository], race: int) -> None:
    del race
    two[0].git("pull", "--quiet", "origin", "main")
    two[0].publish("staging", "v1.1.0")
    ended = at_once(two, ["assign", "v1.0.0", "production", "--push"], ["assign", "v1.1.0", "production", "--push"])
    tags = git(two[0].origin, "tag", "--list", "*production*").split()
    if len(tags) == 2:
        # one came wholly before the other
        assert [status for status, _ in ended] == [0, 0]
        return
    won, lost = one_won(ended)
    assert won.startswith(f"{NAME}#production#1: ")
    assert lost.startswith(f"error: {NAME}#production#1: not pushed, and not kept here: ")


@pytest.mark.parametrize("race", range(RACES))
def test_two_stages_published_at_once_are_both_there(two: tuple[Repository, Repository], race: int) -> None:
    two[0].tag(f"{NAME}#production#1", f"{NAME}@v1.0.0")
    two[0].git("push", "--quiet", "--tags", "origin")
    two[1].git("fetch", "--quiet", "--tags")
    digest = digest_of(str(race))
    ontime("release", "write", "staging", "--digest", digest, UNCHECKED, cwd=two[0].checkout)
    ontime("release", "write", "production", cwd=two[1].checkout)
    ended = at_once(two, ["publish", "staging", UNCHECKED], ["publish", "production"])
    assert [status for status, _ in ended] == [0, 0], ended
    is_linear(two[0], 2)
    for stage, wanted in (("staging", digest), ("production", digest_of("v1.0.0"))):
        found = parse(git(two[0].origin, "show", f"main:{path_of(stage)}"), stage)
        assert found is not None
        assert (found.digest, found.image) == (wanted, IMAGE)
