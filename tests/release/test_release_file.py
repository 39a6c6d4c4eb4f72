"""The release file: one text per release, and any other text refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ontime.common.errors import OntimeError
from ontime.release import release_file
from ontime.release.release_file import Release, check, history, parse, path_of, ran, read, render
from tests.checkouts import TOP, git
from tests.releases import NAME, RELEASE, STAGES, Repository, enter

TEXT = render(RELEASE)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return enter(tmp_path, monkeypatch)


def test_a_release_is_a_kustomize_component_with_image_digest_and_origin() -> None:
    content = YAML(typ="safe", pure=True).load(TEXT)
    assert (content["apiVersion"], content["kind"]) == ("kustomize.config.k8s.io/v1alpha1", "Component")
    assert content["images"] == [{"name": "ontime", "newName": RELEASE.image, "digest": RELEASE.digest}]
    (patch,) = content["patches"]
    assert patch["target"] == {"kind": "Rollout"}
    template = YAML(typ="safe", pure=True).load(patch["patch"])["spec"]["template"]["metadata"]
    assert template["labels"] == {"app.kubernetes.io/version": RELEASE.version}
    assert template["annotations"] == {
        "ontime.io/git-commit": RELEASE.commit,
        "ontime.io/model-sha256": RELEASE.model_sha256,
    }


@pytest.mark.parametrize(
    "release",
    [
        RELEASE,
        replace(RELEASE, version="v1.2.0-rc.1"),
        replace(RELEASE, commit="1" * 40, model_sha256="2" * 64),
        replace(RELEASE, image="127.0.0.1:5000/ontime"),
        replace(RELEASE, image="registry.example:443/a/b_c/d-e"),
    ],
)
def test_what_is_rendered_is_read_back(release: Release) -> None:
    assert parse(render(release), "file") == release


def test_before_the_first_release_no_image_is_named_that_exists() -> None:
    assert parse(render(None), "file") is None
    assert f"digest: sha256:{'0' * 64}" in render(None)


@pytest.mark.parametrize("stage", STAGES)
def test_the_files_of_the_checkout_are_what_would_be_written(stage: str) -> None:
    text = (TOP / path_of(stage)).read_text()
    release = parse(text, stage)
    assert text == render(release)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "[]\n",
        "- {\n",
        "# Written whole\n",
        TEXT[:-1],
        TEXT + "\n",
        TEXT[: len(TEXT) // 2],
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("  - name", "- name"),
        TEXT.replace('"v1.2.0"', "v1.2.0"),
        TEXT.replace('"v1.2.0"', '"latest"'),
        TEXT.replace("digest: sha256:", "digest: sha512:"),
        TEXT.replace("    digest: ", "    newTag: v1\n    digest: "),
        TEXT.replace("images:", "images: # mine"),
        TEXT.replace(RELEASE.commit, RELEASE.commit[:39]),
        TEXT.replace(RELEASE.commit, "main"),
        TEXT.replace(RELEASE.image, f"{RELEASE.image}:v1"),
        TEXT + "replicas: []\n",
        TEXT.replace("kind: Component", "kind: Kustomization"),
        TEXT.replace("\nimages:", "\nresources: [https://example.invalid]\nimages:"),
        render(None) + "# later\n",
        TEXT.replace(RELEASE.digest, f"{RELEASE.digest}\n    newTag: &a [*a]"),
    ],
)
def test_any_other_text_is_told_to_be_edited_by_hand(text: str) -> None:
    with pytest.raises(OntimeError, match=r"^file: edited by hand; revert the edit \(git log -p file\) and write it "):
        parse(text, "file")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("version", "1.2.0", "version '1.2.0': expected vMAJOR.MINOR.PATCH, as in v1.2.0"),
        ("commit", "main", "commit 'main': expected 40 hexadecimal digits"),
        ("model_sha256", "AB" * 32, f"model SHA-256 '{'AB' * 32}': expected 64 hexadecimal digits"),
        ("digest", "cd" * 32, f"digest '{'cd' * 32}': expected sha256: and 64 hexadecimal digits"),
        ("digest", "sha256:abc", "digest 'sha256:abc': expected sha256: and 64 hexadecimal digits"),
        (
            "image",
            "ghcr.io/team/ontime:v1",
            "image 'ghcr.io/team/ontime:v1': expected registry and repository without a tag",
        ),
        ("image", "", "image '': expected registry and repository without a tag"),
        ("image", "Team/Ontime", "image 'Team/Ontime': expected registry and repository without a tag"),
        ("image", 'a"\nb', "image 'a\"\\nb': expected registry and repository without a tag"),
    ],
)
def test_a_malformed_value_is_named_in_a_line(name: str, value: str, reason: str) -> None:
    with pytest.raises(OntimeError) as refused:
        check(replace(RELEASE, **{name: value}))
    assert str(refused.value) == reason


def test_a_file_that_is_not_there_says_no_release(repository: Repository) -> None:
    (repository.checkout / path_of("staging")).unlink()
    assert read("staging") is None


def test_a_file_with_other_line_ends_or_bytes_is_told_to_be_edited(repository: Repository) -> None:
    for content in (TEXT.replace("\n", "\r\n").encode(), b"\xff" + TEXT.encode()):
        (repository.checkout / path_of("staging")).write_bytes(content)
        with pytest.raises(OntimeError, match="edited by hand"):
            read("staging")


def test_the_history_of_a_stage_is_that_of_the_branch_that_everybody_sees(repository: Repository) -> None:
    repository.tag(f"{NAME}@v1.0.0")
    first = repository.publish("staging", "v1.0.0")
    repository.publish("production", "v1.0.0")
    repository.tag(f"{NAME}@v1.1.0", repository.make_model("second"))
    second = repository.publish("staging", "v1.1.0")
    path = repository.checkout / path_of("staging")
    path.write_text(path.read_text() + "# mine\n")
    repository.git("commit", "--quiet", "--all", "--message", "by hand")
    # not pushed, so nobody sees it
    assert [one.release for one in history("staging", "main")] == [second, first, None]
    repository.git("push", "--quiet", "origin", "HEAD:main")
    found = history("staging", "main")
    assert [(one.release, one.edited) for one in found] == [
        (None, True),
        (second, False),
        (first, False),
        (None, False),
    ]
    assert [one.release for one in ran("staging", "main")] == [second, first]
    assert [one.release for one in ran("staging", "main", "v1.0.0")] == [first]
    assert [one.release.version for one in ran("production", "main") if one.release] == ["v1.0.0"]
    assert found[0].date.endswith("Z")


def test_a_release_that_came_by_a_pull_request_counts_from_its_merge(repository: Repository) -> None:
    repository.tag(f"{NAME}@v1.0.0")
    repository.git("switch", "--quiet", "--create", "promotion")
    (repository.checkout / path_of("staging")).write_text(TEXT)
    repository.git("commit", "--quiet", "--all", "--message", "promotion")
    assert not ran("staging", "main")
    repository.git("switch", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "--message", "merged", "promotion")
    repository.git("push", "--quiet", "origin", "HEAD:main")
    (one,) = ran("staging", "main")
    assert one.commit == repository.git("rev-parse", "main")


def test_a_clone_without_its_history_is_refused(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository.origin}", "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    with pytest.raises(
        OntimeError, match=r"^a shallow clone lacks the history that is needed: git fetch --unshallow --tags$"
    ):
        release_file.history("staging", "main")


def test_a_branch_that_is_nowhere_is_one_line(repository: Repository) -> None:
    del repository
    with pytest.raises(OntimeError, match=r"^branch trunk: neither here nor at origin; git fetch, or name another"):
        release_file.history("staging", "trunk")
