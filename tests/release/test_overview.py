"""`ontime release status` and `history`: from tags and from the history of release files."""

import json
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.release.release_file import path_of
from tests.releases import IMAGE, NAME, Repository, digest_of, enter, release


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """v1.0.0 went to production, v1.1.0 to staging, and v1.2.0 is registered."""
    repository = enter(tmp_path, monkeypatch)
    for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
        repository.tag(f"{NAME}@{version}", repository.make_model(version))
        if version != "v1.2.0":
            repository.publish("staging", version)
        if version == "v1.0.0":
            repository.tag(f"{NAME}#production#1", f"{NAME}@v1.0.0")
            repository.publish("production", version)
    return repository


def test_status_says_what_is_to_run_and_what_was_released(repository: Repository) -> None:
    found = json.loads(release("status", "--json"))
    assert found["name"] == NAME
    assert [one["version"] for one in found["versions"]] == ["v1.0.0", "v1.1.0", "v1.2.0"]
    staging, production = found["stages"]["staging"], found["stages"]["production"]
    assert staging["wanted"] == {"version": "v1.2.0", "tag": f"{NAME}@v1.2.0"}
    assert (staging["released"]["version"], staging["released"]["digest"]) == ("v1.1.0", digest_of("v1.1.0"))
    assert production["wanted"] == {"version": "v1.0.0", "tag": f"{NAME}#production#1"}
    assert production["released"]["version"] == "v1.0.0"
    assert production["released"]["git_commit"] == repository.git("rev-parse", f"{NAME}@v1.0.0^{{}}")


def test_status_for_people(repository: Repository) -> None:
    del repository
    assert release("status").splitlines() == [
        "staging:",
        f"  to run    v1.2.0 by {NAME}@v1.2.0",
        f"  released  v1.1.0  {digest_of('v1.1.0')}",
        "production:",
        f"  to run    v1.0.0 by {NAME}#production#1",
        f"  released  v1.0.0  {digest_of('v1.0.0')}",
        "versions: v1.0.0, v1.1.0, v1.2.0",
    ]


def test_status_before_the_first_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path / "fresh", monkeypatch)
    nothing = ["  to run    -", "  released  -"]
    assert release("status").splitlines() == ["staging:", *nothing, "production:", *nothing, "versions: -"]
    assert json.loads(release("history", "--json")) == []


def test_history_has_a_row_per_release_with_its_commit_and_tag(repository: Repository) -> None:
    rows = json.loads(release("history", "staging", "--json"))
    assert [(row["version"], row["tag"]) for row in rows] == [
        ("v1.1.0", f"{NAME}@v1.1.0"),
        ("v1.0.0", f"{NAME}@v1.0.0"),
    ]
    assert repository.git("show", "--no-patch", "--format=%s", rows[0]["commit"]) == "staging v1.1.0"
    assert set(rows[0]) == {
        *("date", "stage", "version", "image", "digest", "model_sha256", "git_commit", "commit", "tag"),
    }
    assert rows[0]["image"] == IMAGE
    (line,) = release("history", "production").splitlines()
    (row,) = json.loads(release("history", "production", "--json"))
    assert line.split() == [row[name] for name in ("date", "stage", "version", "digest", "commit", "tag")]
    assert row["tag"] == f"{NAME}#production#1"


def test_the_history_of_all_stages_is_newest_first(repository: Repository) -> None:
    rows = json.loads(release("history", "--json"))
    assert sorted((row["stage"], row["version"]) for row in rows) == [
        ("production", "v1.0.0"),
        ("staging", "v1.0.0"),
        ("staging", "v1.1.0"),
    ]
    assert [row["date"] for row in rows] == sorted((row["date"] for row in rows), reverse=True)
    del repository


def test_a_release_that_was_edited_by_hand_is_shown_as_such(repository: Repository) -> None:
    path = repository.checkout / path_of("staging")
    path.write_text(path.read_text() + "# mine\n")
    repository.git("commit", "--quiet", "--all", "--message", "by hand")
    repository.git("push", "--quiet", "origin", "HEAD:main")
    assert "edited by hand" in release("history", "staging").splitlines()[0]
    assert release("status").splitlines()[2] == "  released  edited by hand"
    assert json.loads(release("status", "--json"))["stages"]["staging"]["released"]["version"] is None


def test_a_stage_that_is_none_is_one_line(repository: Repository) -> None:
    del repository
    with pytest.raises(OntimeError, match=r"^canary: not a stage; \.gto lists staging, production$"):
        release("history", "canary")
