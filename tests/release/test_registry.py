"""Tags read into what is registered and assigned, as GTO reads them, and what is refused."""

import json
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.release.registry import Registry, read_registry, resolve, tag_assignment
from ontime.release.tags import read_event
from tests.checkouts import run
from tests.releases import NAME, STAGES, Repository, enter


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return enter(tmp_path, monkeypatch)


def registry(*tags: tuple[str, str]) -> Registry:
    """A registry of tags and their commits, a second apart."""
    events = [read_event(tag, NAME, commit, second) for second, (tag, commit) in enumerate(tags)]
    return Registry(NAME, STAGES, tuple(event for event in events if event))


REGISTERED = ((f"{NAME}@v1.0.0", "a"), (f"{NAME}@v1.1.0", "b"), (f"{NAME}@v1.2.0", "c"))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((), None),
        (((f"{NAME}#production#1", "a"),), "v1.0.0"),
        (((f"{NAME}#production#1", "a"), (f"{NAME}#production#2", "b")), "v1.1.0"),
        (((f"{NAME}#production#1", "b"), (f"{NAME}#production#2", "a")), "v1.0.0"),
        (((f"{NAME}#production#1", "a"), (f"{NAME}#staging#2", "b")), "v1.0.0"),
        (((f"{NAME}#production#1", "a"), (f"{NAME}#production#2", "b"), (f"{NAME}#production!#3", "b")), "v1.0.0"),
        (((f"{NAME}#production#1", "a"), (f"{NAME}#production!#2", "a")), None),
        (((f"{NAME}#production#1", "a"), (f"{NAME}#production#2", "b"), (f"{NAME}@v1.1.0!", "b")), "v1.0.0"),
        (((f"{NAME}#production#1", "unregistered"),), None),
    ],
)
def test_the_assignment_in_force_is_the_last_one_that_stands(
    tags: tuple[tuple[str, str], ...], expected: str | None
) -> None:
    found = registry(*REGISTERED, *tags)
    event = found.assigned("production")
    assert (found.version_of(event) if event else None) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (REGISTERED, f"{NAME}@v1.2.0"),
        ((*REGISTERED, (f"{NAME}#staging#1", "a")), f"{NAME}#staging#1"),
        ((*REGISTERED[:2], (f"{NAME}#staging#1", "a"), REGISTERED[2]), f"{NAME}@v1.2.0"),
        ((*REGISTERED, (f"{NAME}@v1.2.0!", "c")), f"{NAME}@v1.1.0"),
        ((), None),
    ],
)
def test_the_first_stage_runs_what_was_registered_or_assigned_last(
    tags: tuple[tuple[str, str], ...], expected: str | None
) -> None:
    event = registry(*tags).wanted("staging")
    assert (event.tag if event else None) == expected


@pytest.mark.attack("escaped-tag")
@pytest.mark.parametrize("place", range(1, len(REGISTERED) + 1))
def test_a_lower_version_that_came_after_a_higher_one_is_run_by_no_stage(place: int) -> None:
    tags = [*REGISTERED[:place], (f"{NAME}@v0.9.0", "d"), *REGISTERED[place:]]
    event = registry(*tags).wanted("staging")
    assert event is not None
    assert event.version == "v1.2.0"


@pytest.mark.attack("escaped-tag")
def test_tags_that_say_nothing_or_leave_the_patterns_of_the_rulesets_are_not_read() -> None:
    foreign = [f"{NAME}@created", f"{NAME}#a/b#7", f"{NAME}#production/#7", f"models/{NAME}@v9.0.0"]
    assert registry(*REGISTERED, *((tag, "x") for tag in foreign)) == registry(*REGISTERED)


@pytest.mark.attack("escaped-tag")
@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        (".gto", "stages: [staging, a/b]\n", ".gto: a/b: a name may have letters, digits, - and _ alone"),
        ("dvc.yaml", "artifacts: {a/b: {path: models/champion}}\n", "dvc.yaml: a/b: a name may have letters"),
    ],
)
def test_a_name_that_would_leave_the_patterns_of_the_rulesets_is_refused(
    repository: Repository, path: str, text: str, reason: str
) -> None:
    (repository.checkout / path).write_text(text)
    with pytest.raises(OntimeError) as refused:
        read_registry()
    assert str(refused.value).startswith(reason)


def test_another_stage_runs_what_was_assigned_alone() -> None:
    assert registry(*REGISTERED).wanted("production") is None


def test_a_version_goes_through_the_stages_in_their_order() -> None:
    found = registry()
    assert found.previous_stage("staging") is None
    assert found.previous_stage("production") == "staging"
    with pytest.raises(OntimeError, match=r"^canary: not a stage; \.gto lists staging, production$"):
        found.previous_stage("canary")


@pytest.mark.parametrize(
    ("version", "commit", "reason"),
    [
        ("v1.1.0", "d", "v1.1.0: registered already, on commit b"),
        ("v1.2.0", "c", "v1.2.0: registered already, on commit c"),
        ("v1.1.5", "d", "v1.1.5: not above v1.2.0, the newest version"),
        ("v0.9.0", "d", "v0.9.0: not above v1.2.0, the newest version"),
        ("v1.2.0-rc.1", "d", "v1.2.0-rc.1: not above v1.2.0, the newest version"),
        ("v1.3.0", "a", "v1.3.0: commit a is registered as v1.0.0 already"),
        ("v1.3", "d", "v1.3: not a version; expected vMAJOR.MINOR.PATCH, as in v1.2.0"),
    ],
)
def test_a_version_that_is_not_new_is_refused(version: str, commit: str, reason: str) -> None:
    with pytest.raises(OntimeError) as refused:
        registry(*REGISTERED).check_new(version, commit)
    assert str(refused.value) == reason


def test_a_new_version_may_be_a_major_minor_patch_or_pre_release() -> None:
    for version in ("v2.0.0", "v1.3.0", "v1.2.1", "v1.3.0-rc.1"):
        registry(*REGISTERED).check_new(version, "d")


def test_two_versions_on_one_commit_are_told_apart_and_the_second_is_refused() -> None:
    found = registry((f"{NAME}@v1.0.0", "a"), (f"{NAME}@v1.1.0", "a"))
    assert found.required("v1.0.0").commit == "a"
    with pytest.raises(OntimeError, match=r"^v1\.1\.0: on the same commit as v1\.0\.0; one of them is wrong$"):
        found.required("v1.1.0")


def test_unregistered_and_withdrawn_versions_may_not_run() -> None:
    found = registry(*REGISTERED, (f"{NAME}@v1.1.0!", "b"))
    with pytest.raises(OntimeError, match=r"^v1\.3\.0: not registered; known: v1\.0\.0, v1\.1\.0, v1\.2\.0$"):
        found.required("v1.3.0")
    with pytest.raises(OntimeError, match=r"^v1\.1\.0: withdrawn by the tag flight-delay@v1\.1\.0!$"):
        found.required("v1.1.0")
    assert [found.may_run(version) for version in ("v1.0.0", "v1.1.0", "v1.3.0")] == [True, False, False]


def test_no_version_of_a_withdrawn_artifact_may_run_or_be_made() -> None:
    found = registry(
        *REGISTERED, (f"{NAME}#production#1", "a"), (f"{NAME}@deprecated", "c"), (f"{NAME}#staging#2", "a")
    )
    line = r"^flight-delay: withdrawn with all versions by the tag flight-delay@deprecated; to undo that: git tag"
    for refuse in (lambda: found.required("v1.0.0"), lambda: found.check_new("v1.3.0", "d")):
        with pytest.raises(OntimeError, match=line):
            refuse()
    assert not found.may_run("v1.0.0")
    assert [found.wanted(stage) for stage in STAGES] == [None, None]
    assert found.assigned("production") is None


def test_lightweight_and_foreign_tags_are_not_read(repository: Repository) -> None:
    repository.tag(f"{NAME}@v1.0.0", seconds=100)
    repository.tag("other@v3.0.0")
    repository.git("tag", f"{NAME}@v2.0.0")
    repository.git("tag", "nightly")
    assert [event.tag for event in read_registry().events] == [f"{NAME}@v1.0.0"]
    assert read_registry().name == NAME


def test_a_tag_that_starts_a_workflow_is_resolved(repository: Repository) -> None:
    repository.tag(f"{NAME}@v1.0.0")
    repository.tag(f"{NAME}#production#1")
    found = read_registry()
    for tag, stage in ((f"{NAME}@v1.0.0", "staging"), (f"refs/tags/{NAME}#production#1", "production")):
        event = resolve(tag, found)
        assert (found.version_of(event), found.stage_of(event)) == ("v1.0.0", stage)


def test_a_tag_that_cannot_be_is_refused_with_the_reason(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.tag(f"{NAME}@v1.0.0")
    repository.git("commit", "--quiet", "--allow-empty", "--message", "more")
    repository.git("tag", f"{NAME}@v2.0.0")
    repository.tag(f"{NAME}#canary#1", first)
    repository.tag(f"{NAME}#production#2", "HEAD")
    repository.tag(f"{NAME}@v3.0.0", repository.git("rev-parse", "HEAD^{tree}"))
    found = read_registry()
    for tag, reason in {
        f"{NAME}@v9.0.0": "no such tag here; git fetch --tags",
        f"{NAME}@v2.0.0": "lightweight; the registry's tags are annotated, made by `ontime release`",
        f"{NAME}@v3.0.0": "of no commit; the registry's tags are annotated, made by `ontime release`",
        f"{NAME}#canary#1": "not a stage",
        f"{NAME}#production#2": "no version is registered on its commit",
        "other@v1.0.0": "of another artifact",
        "main": "neither",
    }.items():
        with pytest.raises(OntimeError) as refused:
            resolve(tag, found)
        assert reason in str(refused.value), tag


def test_assignments_are_numbered_over_all_stages_and_never_within_a_second(repository: Repository) -> None:
    repository.tag(f"{NAME}@v1.0.0")
    made = [tag_assignment(read_registry(), "v1.0.0", stage, pushed=False) for stage in [*STAGES, "staging"]]
    assert made == [f"{NAME}#staging#1", f"{NAME}#production#2", f"{NAME}#staging#3"]
    times = [event.time for event in read_registry().events]
    assert len(set(times)) == len(times)


def test_a_tagger_whose_clock_is_ahead_does_not_hide_what_comes_after(repository: Repository) -> None:
    repository.tag(f"{NAME}@v1.0.0")
    repository.tag(f"{NAME}#production#1", seconds=4_000_000_000)
    commit = repository.make_model("second")
    repository.tag(f"{NAME}@v1.1.0", commit)
    tag = tag_assignment(read_registry(), "v1.1.0", "production", pushed=False)
    event = read_registry().assigned("production")
    assert event is not None
    assert event.tag == tag


@pytest.mark.integration
def test_gto_finds_the_same_assignment(repository: Repository) -> None:
    repository.tag(f"{NAME}@v1.0.0")
    repository.tag(f"{NAME}@v1.1.0", repository.make_model("second"))
    for version in ("v1.0.0", "v1.1.0", "v1.0.0"):
        tag_assignment(read_registry(), version, "production", pushed=False)
        shown = run("gto", "show", f"{NAME}#production", "--ref", cwd=repository.checkout).stdout.strip()
        assert shown == f"{NAME}@{version}"
    run("gto", "deprecate", NAME, "v1.0.0", cwd=repository.checkout)
    shown = json.loads(run("gto", "show", f"{NAME}#production", "--json", cwd=repository.checkout).stdout)
    found = read_registry()
    event = found.assigned("production")
    assert event is not None
    assert [one["version"] for one in shown] == [found.version_of(event)] == ["v1.1.0"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("stages: []\n", ".gto: lists no stages"),
        ("", ".gto: lists no stages"),
        ("stages: [a b]\n", ".gto: GTO cannot read it"),
        ("stages: {\n", ".gto: GTO cannot read it"),
        (None, ".gto: not found; it lists the stages"),
    ],
)
def test_a_list_of_stages_that_is_none_is_one_line(repository: Repository, content: str | None, reason: str) -> None:
    path = repository.checkout / ".gto"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(OntimeError) as refused:
        read_registry()
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    "content", ["", "artifacts: {}\n", "artifacts: {a: {path: other}}\n", "stages: [", "artifacts: [1]\n"]
)
def test_a_graph_without_the_artifact_is_one_line(repository: Repository, content: str) -> None:
    (repository.checkout / "dvc.yaml").write_text(content)
    with pytest.raises(OntimeError, match=r"^dvc\.yaml: no artifact with the path models/champion$"):
        read_registry()


def test_a_fork_releases_its_own_artifact(repository: Repository) -> None:
    path = repository.checkout / "dvc.yaml"
    path.write_text(path.read_text().replace(NAME, "tumours"))
    repository.tag("tumours@v1.0.0")
    assert read_registry().name == "tumours"
    assert [event.version for event in read_registry().events] == ["v1.0.0"]
