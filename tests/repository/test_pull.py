"""Outputs from the remote: checked before they are used, named if they are not what git says."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ontime.cli import commands
from ontime.common.errors import OntimeError
from ontime.repository.lock_file import read_lock
from ontime.repository.pull import bring, fetch_listings, pull, remote_settings
from tests.checkouts import TOP, commit, git, run
from tests.releases import isolated, md5
from tests.remote import with_file

GRAPH = """\
stages:
  first: {cmd: "mkdir folder && cp code folder/code && echo 1 > folder/one", deps: [code], outs: [folder]}
  each:
    foreach: [a, b]
    do: {cmd: "echo ${item} > ${item}", deps: [folder], outs: ["${item}"]}
  kept: {cmd: echo 1 > score.json, deps: [code], metrics: [score.json: {cache: false}]}
"""
PULLS = re.compile(r"\bdvc (pull|fetch)\b|--pull(?![-\w])|--run-cache\b")
CALLS = re.compile(r"DVCFileSystem|dvc\.api|\b(dvc|show)\(\"(pull|fetch)\"|\b(repo|cloud)\.(fetch|pull)\(")
EVIL = b"print('evil')\n"
Objects = Callable[[str], Path]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A graph that has run, with data tracked beside it and a folder as remote."""
    top = tmp_path_factory.mktemp("pull") / "team"
    top.mkdir()
    patch = pytest.MonkeyPatch()
    for name, value in isolated(top.parent / "home").items():
        patch.setenv(name, value)
    git(top, "init", "--quiet", "--initial-branch=main")
    run("dvc", "init", "--quiet", cwd=top)
    run("dvc", "remote", "add", "--quiet", "--default", "remote", str(top.parent / "remote"), cwd=top)
    (top / "dvc.yaml").write_text(GRAPH)
    (top / "code").write_text("1\n")
    (top / "data").mkdir()
    (top / "data" / "table").write_text("rows\n")
    run("dvc", "add", "--quiet", "data/table", cwd=top)
    run("dvc", "repro", "--quiet", cwd=top)
    run("dvc", "push", "--quiet", cwd=top)
    commit(top, "graph")
    yield top
    patch.undo()


@pytest.fixture
def clone(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone without data and a remote of its own; the test is there."""
    shutil.copytree(finished.parent / "remote", tmp_path / "remote")
    top = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(finished), str(top))
    (top / ".dvc" / "config.local").write_text(f"['remote \"remote\"']\n    url = {tmp_path / 'remote'}\n")
    monkeypatch.chdir(top)
    return top


def stored(clone: Path, name: str) -> Path:
    """An object in the remote, which can be written."""
    path = clone.parent / "remote" / "files" / "md5" / name[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.chmod(0o644)
    return path


def cached(clone: Path, name: str) -> Path:
    """An object in the cache."""
    return clone / ".dvc" / "cache" / "files" / "md5" / name[:2] / name[2:]


def locked(clone: Path, stage: str) -> str:
    """MD5 of a stage's output."""
    (out,) = read_lock(clone / "dvc.lock")[stage]["outs"]
    return str(out["md5"])


def state(clone: Path) -> dict[str, bytes]:
    """Every file of the checkout outside git's and DVC's own folders."""
    files = (path for path in clone.rglob("*") if path.is_file())
    found = {str(path.relative_to(clone)): path for path in files}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith((".git/", ".dvc/"))}


def refused(clone: Path, *targets: str) -> str:
    """The line with which a pull is refused; the checkout is as it was."""
    before = state(clone)
    with pytest.raises(OntimeError) as error:
        pull(targets)
    assert state(clone) == before
    assert "\n" not in str(error.value)
    assert not list((clone / ".dvc" / "cache").rglob(".ontime-pull-*"))
    return str(error.value)


def test_all_outputs_come_back_with_their_bytes(clone: Path, finished: Path, capfd: pytest.CaptureFixture[str]) -> None:
    commands.main(["pull"], standalone_mode=False)
    assert capfd.readouterr().out == "4 outputs checked, 5 objects fetched\n"
    assert {name: content for name, content in state(clone).items() if ".git" not in name} == {
        name: content for name, content in state(finished).items() if ".git" not in name
    }
    assert run("dvc", "status", cwd=clone).stdout == "Data and pipelines are up to date.\n"
    assert pull() == (4, 0)


def test_objects_are_brought_to_a_folder_without_a_checkout_and_checked(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, folder = remote_settings(), tmp_path / "objects"
    monkeypatch.chdir(tmp_path)
    one = md5(b"1\n")
    kept = folder / one[:2] / one[2:]
    found = bring({"/any/folder/one": one, "/any/code": one}, folder, settings)
    assert found == {"/any/folder/one": kept, "/any/code": kept}
    assert kept.read_bytes() == b"1\n"
    for path in (kept, stored(clone, one)):
        path.chmod(0o644)
        path.write_bytes(EVIL)
    with pytest.raises(OntimeError, match=rf"^output /any/code: object {one}: the remote has other bytes by that name"):
        bring({"/any/code": one}, folder, settings)
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    with pytest.raises(OntimeError, match=r"^/any/code: not an MD5: "):
        bring({"/any/code": "../../etc/passwd"}, folder, settings)


def test_another_machine_is_told_where_the_remote_is_and_no_secret(clone: Path) -> None:
    run("dvc", "remote", "add", "--quiet", "--default", "--force", "team", "s3://bucket/prefix", cwd=clone)
    secrets = ("access_key_id", "secret_access_key", "session_token", "profile")
    for name in secrets:
        run("dvc", "remote", "modify", "--local", "team", name, "hidden", cwd=clone)
    for name, value in (("endpointurl", "http://127.0.0.1:9"), ("region", "eu-west-1")):
        run("dvc", "remote", "modify", "team", name, value, cwd=clone)
    assert remote_settings() == {
        "url": "s3://bucket/prefix",
        "endpointurl": "http://127.0.0.1:9",
        "region": "eu-west-1",
        "use_ssl": True,
    }


def test_a_checkout_without_a_remote_has_none_to_tell(clone: Path) -> None:
    run("dvc", "remote", "default", "--unset", cwd=clone)
    with pytest.raises(OntimeError, match=r"^DVC remote: config file error: no remote specified in [^\n]+$"):
        remote_settings()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("folder", {"folder/code", "folder/one"}),
        ("folder/", {"folder/code", "folder/one"}),
        ("first", {"folder/code", "folder/one"}),
        ("each", {"a", "b"}),
        ("each@a", {"a"}),
        ("data/table", {"data/table"}),
        ("data/table.dvc", {"data/table"}),
    ],
)
def test_a_target_is_an_output_a_stage_or_a_dvc_file(clone: Path, target: str, expected: set[str]) -> None:
    before = state(clone).keys()
    pull([target])
    assert state(clone).keys() - before == expected


def test_an_unknown_target_is_named(clone: Path) -> None:
    assert refused(clone, "fly") == "fly: neither an output nor a stage in dvc.lock, nor a .dvc file in git"


def test_what_the_remote_lacks_is_named(clone: Path) -> None:
    name = locked(clone, "each@a")
    stored(clone, name).unlink()
    assert refused(clone).startswith(f"output a: object {name}: neither in DVC's cache nor in its remote;")


@pytest.mark.attack("remote-code")
@pytest.mark.parametrize("path", ["../../src/sitecustomize.py", "../sitecustomize.py", ".git/hooks/post-checkout"])
def test_a_listing_with_one_more_file_is_refused_before_it_is_read(clone: Path, path: str) -> None:
    name = locked(clone, "first")
    stored(clone, md5(EVIL)).write_bytes(EVIL)
    stored(clone, name).write_bytes(with_file(stored(clone, name).read_bytes(), path, md5(EVIL)))
    assert refused(clone).startswith(f"output folder: object {name}: the remote has other bytes by that name")
    assert not list(clone.parent.rglob("sitecustomize.py"))


@pytest.mark.attack("remote-code")
def test_a_listing_that_git_agrees_with_may_not_lead_elsewhere_either(clone: Path) -> None:
    name = locked(clone, "first")
    listing = with_file(stored(clone, name).read_bytes(), "../code", md5(EVIL))
    stored(clone, md5(EVIL)).write_bytes(EVIL)
    stored(clone, f"{md5(listing)}.dir").write_bytes(listing)
    lock = clone / "dvc.lock"
    lock.write_text(lock.read_text().replace(name, f"{md5(listing)}.dir"))
    assert refused(clone) == "output folder: its listing: a path that leaves its folder: '../code'"


@pytest.mark.attack("remote-code")
@pytest.mark.parametrize("name", ["../../src/x", "../../../../code", "ab/../../x.dir", "", "0" * 31])
@pytest.mark.parametrize("path", ["dvc.lock", "data/table.dvc"])
def test_an_md5_that_is_none_is_refused(clone: Path, path: str, name: str) -> None:
    file = clone / path
    real = locked(clone, "each@a") if path == "dvc.lock" else md5(b"rows\n")
    file.write_text(file.read_text().replace(real, f'"{name}"'))
    assert f": not an MD5: {name!r}; restore the file with git" in refused(clone)


@pytest.mark.attack("remote-code")
@pytest.mark.parametrize("out", ["../out", "/tmp/out", ".git/hooks/pre-commit", "x/../../out"])
def test_an_output_that_leaves_the_checkout_is_refused(clone: Path, out: str) -> None:
    file = clone / "data" / "table.dvc"
    file.write_text(
        file.read_text().replace("path: table", f"path: {out}" if out.startswith("/") else f"path: ../{out}")
    )
    assert refused(clone).startswith("output: ")


@pytest.mark.attack("remote-code")
@pytest.mark.parametrize("more", ["wdir: ../..\n", None])
def test_a_dvc_file_that_places_or_lists_files_itself_is_refused(clone: Path, more: str | None) -> None:
    file = clone / "data" / "table.dvc"
    listed = f"  files:\n  - relpath: ../../x\n    md5: {md5(EVIL)}\n"
    file.write_text(file.read_text() + (more or listed))
    assert refused(clone).startswith("data/table.dvc: ")


@pytest.mark.attack("remote-code")
@pytest.mark.parametrize("protected", [False, True])
def test_an_object_planted_in_the_cache_is_replaced(clone: Path, protected: bool) -> None:
    pull()
    for name in (locked(clone, "first"), locked(clone, "each@a")):
        cached(clone, name).chmod(0o644)
        cached(clone, name).write_bytes(EVIL)
        if protected:
            cached(clone, name).chmod(0o444)
    shutil.rmtree("folder")
    Path("a").unlink()
    assert pull() == (4, 2)
    assert Path("a").read_text() == "a\n"
    assert state(clone)["folder/one"] == b"1\n"


@pytest.mark.attack("remote-code")
def test_a_listing_that_dvc_read_from_the_remote_before_is_not_used(clone: Path, finished: Path) -> None:
    name, before = locked(clone, "first"), stored(clone, locked(clone, "first")).read_bytes()
    stored(clone, md5(EVIL)).write_bytes(EVIL)
    stored(clone, name).write_bytes(with_file(before, "../sitecustomize.py", md5(EVIL)))
    run("dvc", "data", "status", "--not-in-remote", "--granular", cwd=clone)
    shutil.copytree(finished / ".dvc" / "cache" / "files", clone / ".dvc" / "cache" / "files", dirs_exist_ok=True)
    assert pull() == (4, 0)
    assert not list(clone.parent.rglob("sitecustomize.py"))


def test_a_changed_file_of_somebody_is_kept(clone: Path) -> None:
    Path("a").write_text("mine\n")
    assert "`dvc checkout" in refused(clone)


def test_listings_alone_are_fetched_and_checked_and_may_be_absent(clone: Path) -> None:
    name, other = locked(clone, "first"), f"{'0' * 32}.dir"
    fetch_listings({"folder": name, "other": other})
    assert len(json.loads(cached(clone, name).read_bytes())) == 2
    assert not cached(clone, md5(b"1\n")).exists()


@pytest.mark.attack("remote-code")
def test_a_run_that_somebody_else_planted_is_taken_by_dvc_and_not_by_retraining(clone: Path) -> None:
    pull()
    listing = cached(clone, locked(clone, "first")).read_bytes()
    Path("code").write_text("2\n")
    run("dvc", "repro", "--quiet", "first", cwd=clone)
    made = locked(clone, "first")
    (entry,) = [
        path for path in (clone / ".dvc" / "cache" / "runs").rglob("*") if path.is_file() and made in path.read_text()
    ]
    evil = with_file(listing, "evil", md5(EVIL))
    entry.chmod(0o644)
    entry.write_text(entry.read_text().replace(made, f"{md5(evil)}.dir"))
    for name, content in ((f"{md5(evil)}.dir", evil), (md5(EVIL), EVIL)):
        cached(clone, name).parent.mkdir(exist_ok=True)
        cached(clone, name).write_bytes(content)
    for options, found in (((), True), (("--no-run-cache",), False)):
        run("git", "restore", "dvc.lock", cwd=clone)
        shutil.rmtree(clone / "folder")
        run("dvc", "repro", "--quiet", *options, "first", cwd=clone)
        assert (clone / "folder" / "evil").exists() == found
    # the options with which retraining runs
    assert "dvc repro --no-run-cache\n" in (TOP / ".github" / "scripts" / "retrain.sh").read_text()


@pytest.mark.attack("remote-code")
def test_nothing_else_reads_from_the_remote() -> None:
    commands_of = [TOP / "Makefile", *(path for path in (TOP / ".github").rglob("*") if path.is_file())]
    code = sorted((TOP / "src").rglob("*.py"))
    assert len(commands_of) > 10 and len(code) > 100
    assert not [str(path) for path in commands_of if PULLS.search(path.read_text())]
    assert not [str(path) for path in code if CALLS.search(path.read_text())]
