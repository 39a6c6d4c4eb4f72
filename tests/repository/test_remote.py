"""The DVC remote's address, set by one command, and refused in one line."""

import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from ontime.cli import commands
from ontime.common.errors import OntimeError
from ontime.repository.dvc import cache_folder, dvc
from ontime.repository.pull import fetch
from tests.checkouts import git, run


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC repository with this project's remote on S3; the test is there."""
    git(tmp_path, "init", "--quiet")
    run("dvc", "init", "--quiet", cwd=tmp_path)
    run("dvc", "remote", "add", "--quiet", "--default", "models", "s3://ontime-models/dvc", cwd=tmp_path)
    run("dvc", "remote", "modify", "models", "region", "us-east-1", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str) -> None:
    """Run `ontime init` in this process."""
    commands.main(["init", *arguments], standalone_mode=False)


def options() -> dict[str, object]:
    """Options of the remote in `.dvc/config`."""
    with Repo() as repo:
        assert repo.config["core"]["remote"] == "models"
        found: dict[str, object] = repo.config.load_one("repo")["remote"]["models"]
        return found


@pytest.mark.usefixtures("repository")
def test_another_store_leaves_none_of_the_options_of_the_former() -> None:
    init("--remote", "gs://bucket/dvc/")
    assert options() == {"url": "gs://bucket/dvc", "verify": "true"}
    init("--remote", "azure://container/dvc", "--account", "ontimemodels")
    assert options() == {"url": "azure://container/dvc", "verify": "true", "account_name": "ontimemodels"}
    init("--remote", "s3://bucket/dvc")
    assert options() == {"url": "s3://bucket/dvc", "verify": "true"}


@pytest.mark.usefixtures("repository")
def test_another_bucket_of_the_same_kind_keeps_the_options() -> None:
    init("--remote", "s3://another/dvc")
    assert options() == {"url": "s3://another/dvc", "region": "us-east-1"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--remote", "ftp://bucket/dvc"], "not the address of a store"),
        (["--remote", "gs://"], "not the address of a store"),
        (["--remote", "gs://bucket/a b"], "not the address of a store"),
        (["--remote", "gs://bucket/dvc\nurl = x"], "not the address of a store"),
        (["--remote", "azure://container/dvc"], "--account: the name of the storage account"),
        (["--remote", "azure://container/dvc", "--account", "A_B"], "--account: the name of the storage account"),
        (["--remote", "gs://bucket/dvc", "--account", "abc"], "--account: the name of the storage account"),
        (["--account", "abc"], "give --source and --target, or --remote"),
        (["--remote", "gs://bucket/dvc", "--source", "t.csv"], "give --source and --target, or --remote"),
        ([], "give --source and --target, or --remote"),
    ],
)
def test_what_is_no_remote_is_refused_and_nothing_written(repository: Path, arguments: list[str], reason: str) -> None:
    before = (repository / ".dvc" / "config").read_bytes()
    with pytest.raises(OntimeError) as refused:
        init(*arguments)
    assert reason in str(refused.value)
    assert (repository / ".dvc" / "config").read_bytes() == before


def test_options_of_this_machine_for_the_former_store_are_named_and_kept(repository: Path) -> None:
    dvc("remote", "modify", "--local", "models", "endpointurl", "http://127.0.0.1:9")
    before = [(repository / ".dvc" / name).read_bytes() for name in ("config", "config.local")]
    with pytest.raises(OntimeError, match=r"config\.local: sets endpointurl of the remote models.*ontime s3 --off"):
        init("--remote", "gs://bucket/dvc")
    assert [(repository / ".dvc" / name).read_bytes() for name in ("config", "config.local")] == before


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("kind", ["gs", "azure"])
def test_a_package_that_is_not_installed_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    account = ["--account", "ontimemodels"] if kind == "azure" else []
    init("--remote", f"{kind}://bucket/dvc", *account)
    # as Python marks what cannot be imported
    monkeypatch.setitem(sys.modules, f"dvc_{kind}", None)
    message = rf"^{kind}://: needs the package dvc-{kind}, which this environment lacks; run `make setup`$"
    with pytest.raises(OntimeError, match=message):
        fetch({"output": "0" * 32})
    with pytest.raises(OntimeError, match=message):
        init("--remote", f"{kind}://bucket/dvc", *account)


def test_wrong_settings_are_not_taken_for_a_missing_repository(repository: Path) -> None:
    (repository / ".dvc" / "config.local").write_text("['remote \"models\"']\n    account_name = x\n")
    with pytest.raises(OntimeError, match=r"^\.dvc/config or \.dvc/config\.local: .*account_name"):
        cache_folder()
