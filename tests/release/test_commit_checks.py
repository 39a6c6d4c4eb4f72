"""A commit's lock and its outputs in the remote, looked at without checking it out."""

import shutil
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.release.commit_checks import (
    champion_files,
    check_lock,
    check_remote,
    folder_md5,
    locked_champion,
    model_sha256,
)
from tests.releases import NAME, Repository, champion, enter, lock, md5


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return enter(tmp_path, monkeypatch)


def commit(repository: Repository, **files: str) -> str:
    """Commit changed files; the commit."""
    for name, text in files.items():
        (repository.checkout / name.replace("_", ".")).write_text(text)
    repository.git("commit", "--quiet", "--all", "--message", "changed")
    return repository.git("rev-parse", "HEAD")


def test_a_lock_that_the_commit_made_is_current(repository: Repository) -> None:
    check_lock(repository.git("rev-parse", "HEAD"))


def test_neither_data_nor_cache_is_needed(repository: Repository) -> None:
    shutil.rmtree(repository.checkout / ".dvc" / "cache")
    shutil.rmtree(repository.checkout.parent / "store")
    check_lock(repository.git("rev-parse", "HEAD"))


@pytest.mark.parametrize(
    "change",
    [
        {"code_txt": "changed"},
        {"dvc_yaml": "artifacts: {flight-delay: {path: models/champion}}\nstages:\n  export:\n    cmd: other\n"
         "    deps: [code.txt]\n    outs: [models/champion]\n"},
        {"dvc_yaml": "stages:\n  export:\n    cmd: export\n    deps: [code.txt, .gto]\n    outs: [models/champion]\n"},
        {"dvc_yaml": "stages:\n  export:\n    cmd: export\n    deps: [code.txt]\n    params: [a.yaml: [x]]\n"
         "    outs: [models/champion]\n", "a_yaml": "x: 1\n"},
    ],
    ids=["code", "command", "dependency", "parameter"],
)  # fmt: skip
def test_a_stale_lock_is_refused_with_the_stage(repository: Repository, change: dict[str, str]) -> None:
    if "a_yaml" in change:
        (repository.checkout / "a.yaml").touch()
        repository.git("add", "a.yaml")
    stale = commit(repository, **change)
    with pytest.raises(OntimeError) as refused:
        check_lock(stale)
    assert str(refused.value) == (
        f"commit {stale[:12]}: dvc.lock is stale: export would run; run `dvc repro`, commit, and register that commit"
    )


def test_a_lock_whose_stages_do_not_fit_each_other_is_stale(repository: Repository) -> None:
    graph, locked = repository.checkout / "dvc.yaml", repository.checkout / "dvc.lock"
    graph.write_text(
        graph.read_text() + "  report:\n    cmd: report\n    deps: [models/champion]\n    outs: [report]\n"
    )
    folder = locked_champion("HEAD")
    entry = (
        "  report:\n    cmd: report\n    deps:\n    - path: models/champion\n      hash: md5\n"
        f"      md5: {folder}.dir\n      size: 1\n      nfiles: 3\n    outs:\n    - path: report\n"
        f"      hash: md5\n      md5: {md5(b'report')}\n      size: 6\n"
    )
    whole = locked.read_text() + entry
    check_lock(commit(repository, dvc_yaml=graph.read_text(), dvc_lock=whole))
    stale = commit(
        repository, dvc_lock=whole.replace(f"md5: {folder}.dir\n      size: 1", f"md5: {'0' * 32}.dir\n      size: 1")
    )
    with pytest.raises(OntimeError, match=r"dvc\.lock is stale: report would run"):
        check_lock(stale)


def test_a_commit_without_a_lock_is_stale(repository: Repository) -> None:
    repository.git("rm", "--quiet", "dvc.lock")
    with pytest.raises(OntimeError, match="is stale: export would run"):
        check_lock(commit(repository))


@pytest.mark.parametrize("graph", ["stages: [\n", "stages: {export: {}}\n", "stages: {export: {cmd: '${x}'}}\n"])
def test_a_graph_that_dvc_cannot_read_is_one_line(repository: Repository, graph: str) -> None:
    with pytest.raises(OntimeError, match=r"^commit \w{12}: DVC cannot read its graph: [^\n]+$"):
        check_lock(commit(repository, dvc_yaml=graph))


def test_changes_that_are_not_committed_do_not_count(repository: Repository) -> None:
    (repository.checkout / "code.txt").write_text("changed")
    check_lock(repository.git("rev-parse", "HEAD"))


def test_an_earlier_commit_is_judged_by_its_own_files(repository: Repository) -> None:
    good = repository.git("rev-parse", "HEAD")
    commit(repository, code_txt="changed")
    check_lock(good)


def test_outputs_that_are_in_the_remote_pass(repository: Repository) -> None:
    check_remote(repository.git("rev-parse", "HEAD"))


def test_a_single_file_that_the_remote_lacks_is_refused(repository: Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    missing = md5(repository.files[head]["model.onnx"])
    (repository.checkout.parent / "store" / "files" / "md5" / missing[:2] / missing[2:]).unlink()
    with pytest.raises(OntimeError) as refused:
        check_remote(head)
    assert str(refused.value) == (
        f"commit {head[:12]}: not in the DVC remote: models/champion/model.onnx; run `ontime cache --push`"
    )


def test_a_folder_that_the_remote_lacks_is_refused(repository: Repository) -> None:
    shutil.rmtree(repository.checkout.parent / "store")
    (repository.checkout.parent / "store").mkdir()
    with pytest.raises(OntimeError, match=r"not in the DVC remote: models/champion/.*; run `dvc push`$"):
        check_remote(repository.git("rev-parse", "HEAD"))


def test_a_repository_without_a_remote_is_told_how_to_go_on(repository: Repository) -> None:
    (repository.checkout / ".dvc" / "config").write_text("")
    with pytest.raises(OntimeError, match=r"^no default DVC remote; add one, or skip this check with --no-remote$"):
        check_remote(commit(repository))


def test_a_remote_that_cannot_be_asked_is_one_line(repository: Repository) -> None:
    (repository.checkout / ".dvc" / "config.local").write_text(
        "['remote \"store\"']\n    url = s3://store\n    endpointurl = http://127.0.0.1:9\n"
        "    access_key_id = a\n    secret_access_key = b\n"
    )
    with pytest.raises(OntimeError, match=r"^DVC remote store: cannot be listed: [^\n]+$"):
        check_remote(repository.git("rev-parse", "HEAD"))


@pytest.mark.parametrize("kept", ["cache", "store"])
def test_the_champion_comes_from_the_cache_or_the_remote(repository: Repository, kept: str) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.make_model("second")
    shutil.rmtree(repository.checkout.parent / "store" if kept == "cache" else repository.checkout / ".dvc" / "cache")
    files = champion_files(first)
    assert files == repository.files[first]
    assert folder_md5(files) == locked_champion(first)


def test_a_champion_that_is_nowhere_is_one_line(repository: Repository) -> None:
    shutil.rmtree(repository.checkout.parent / "store")
    shutil.rmtree(repository.checkout / ".dvc" / "cache")
    with pytest.raises(
        OntimeError,
        match=r"^commit \w{12}: output models/champion: object \w{32}\.dir: neither in DVC's cache nor in its remote; ",
    ):
        champion_files(repository.git("rev-parse", "HEAD"))


def test_a_champion_with_other_bytes_is_refused(repository: Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    name = md5(repository.files[head]["model.onnx"])
    for top in (repository.checkout / ".dvc" / "cache", repository.checkout.parent / "store"):
        (top / "files" / "md5" / name[:2] / name[2:]).write_bytes(b"other")
    with pytest.raises(
        OntimeError, match=r": output models/champion/model\.onnx: object \w{32}: the remote has other byt"
    ):
        champion_files(head)


@pytest.mark.parametrize("text", ["", "stages: {}\n", "stages: {a: {outs: [{path: b, md5: c}]}}\n"])
def test_a_lock_without_a_champion_is_one_line(repository: Repository, text: str) -> None:
    with pytest.raises(OntimeError, match=r"^commit \w{12}: dvc\.lock has no models/champion$"):
        locked_champion(commit(repository, dvc_lock=text))


def test_half_a_lock_is_named_with_its_commit(repository: Repository) -> None:
    with pytest.raises(OntimeError, match=r"^dvc\.lock of \w{12}: not a lock file; [^\n]+$"):
        locked_champion(commit(repository, dvc_lock="stages: [\n"))


def test_the_models_hash_is_the_manifests_once_every_file_fits() -> None:
    files = champion("x")
    assert len(model_sha256(files, NAME)) == 64
    for change, reason in (
        ({"model.onnx": b"other"}, "models/champion/model.onnx: not what manifest.json says"),
        ({"extra": b""}, "models/champion/extra: not what manifest.json says"),
        (
            {"manifest.json": b"{"},
            "models/champion/manifest.json: not JSON: Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1)",
        ),
        (
            {"manifest.json": b"[]"},
            "models/champion/manifest.json: not a champion's manifest: top level: "
            "input should be a valid dictionary or instance of manifest",
        ),
    ):
        with pytest.raises(OntimeError) as refused:
            model_sha256({**files, **change}, NAME)
        assert str(refused.value) == reason
    with pytest.raises(OntimeError, match=r"^models/champion/manifest\.json: of flight-delay, not of tumours$"):
        model_sha256(files, "tumours")
    del files["golden.json"]
    with pytest.raises(OntimeError, match=r"^models/champion/golden\.json: not what manifest\.json says$"):
        model_sha256(files, NAME)


def test_the_helper_locks_as_dvc_does(repository: Repository) -> None:
    before = (repository.checkout / "dvc.lock").read_text()
    lock(repository.checkout, champion("first"))
    assert (repository.checkout / "dvc.lock").read_text() == before
