"""Whose repository it is, set by one command in every place, shown before it is written, and undone by git."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.manifests.dashboards.command import FOLDER, all_dashboards, runbooks
from ontime.repository.ownership import present
from ontime.repository.places import ROOTS
from tests.checkouts import copy_checkout, git, run
from tests.commands import run_command

OURS = [
    *("--repository", "acme/parcels", "--registry", "registry.acme.test:5000", "--domain", "acme.test"),
    *("--buckets", "acme-parcels", "--aws-account", "999988887777", "--region", "eu-west-3"),
    *("--google-project", "5555555555", "--azure-subscription", "11111111-2222-3333-4444-555555555555"),
    *("--release-app", "424242", "--remote", "azure://acme-cache/parcels/dvc", "--account", "acmestore"),
]
WORDS = ("OWNER/NAME", "@OWNER", "owner/name", r"example\.com", r"registry\.example", r"(?<!-)\bontime-models")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout in git; each test leaves it as it was."""
    return copy_checkout(tmp_path_factory.mktemp("checkout") / "ours")


@pytest.fixture
def ours(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same; the test is there."""
    monkeypatch.chdir(checkout)
    yield checkout
    git(checkout, "checkout", "--quiet", ".")


def texts(checkout: Path) -> dict[str, str]:
    """Tracked files that say whose the repository is, with `README.md` and the packages' settings."""
    names = git(checkout, "ls-files", "-z", *ROOTS, "README.md", "pyproject.toml", "Makefile", "dvc.yaml").split("\0")
    return {name: (checkout / name).read_text(encoding="utf-8") for name in names if name}


def test_no_name_of_before_is_left(ours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = present(ours)
    run_command("init", *OURS)
    after = present(ours)
    assert after.keys() == before.keys()
    assert {name for name, value in before.items() if after[name] == value} == {"model", "event"}
    gone = {before[name] for name in ("repository", "registry", "domain", "image", "bucket", "region", "aws_account")}
    pattern = re.compile("|".join([*WORDS, *(re.escape(value) for value in gone)]))
    left = {name: sorted(set(pattern.findall(text))) for name, text in texts(ours).items() if pattern.search(text)}
    assert not left
    told = capsys.readouterr().out
    assert all(name in told for name in git(ours, "diff", "--name-only").split())


def test_what_is_made_of_the_repositorys_name_agrees_with_it(ours: Path) -> None:
    run_command("init", *OURS)
    for name, content in all_dashboards(runbooks(ours)).items():
        assert json.loads((ours / FOLDER / f"{name}.json").read_text(encoding="utf-8")) == content
    run("dvc", "remote", "list", cwd=ours)
    assert "azure://acme-cache/parcels/dvc" in (ours / ".dvc" / "config").read_text()


def test_set_twice_the_second_holds(ours: Path) -> None:
    """Also with names that are words of the files."""
    run_command("init", "--repository", "src/ontime", "--remote", "s3://dvc/dvc", "--buckets", "data")
    first = git(ours, "diff")
    run_command("init", "--repository", "acme/parcels", "--remote", "s3://acme-cache/dvc", "--buckets", "acme")
    once = texts(ours)
    git(ours, "checkout", "--quiet", ".")
    run_command("init", "--repository", "acme/parcels", "--remote", "s3://acme-cache/dvc", "--buckets", "acme")
    assert texts(ours) == once
    assert first


def test_a_dry_run_names_each_file_and_writes_none(ours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_command("init", *OURS, "--dry-run")
    told = capsys.readouterr().out
    assert not git(ours, "status", "--porcelain")
    assert re.search(r"^argocd/bootstrap\.yaml: \S+ -> acme/parcels \(3 places\)$", told, re.MULTILINE)
    assert ".dvc/config: the remote models is azure://acme-cache/parcels/dvc" in told
    assert told.endswith("nothing was written\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--repository", "parcels"], "--repository parcels: expected a value such as team/model"),
        (["--repository", "https://github.com/a/b"], "--repository https://github.com/a/b: expected"),
        (["--registry", "https://registry.example"], "--registry https://registry.example: expected"),
        (["--domain", "a b"], "--domain a b: expected"),
        (["--aws-account", "12"], "--aws-account 12: expected a value such as 111122223333"),
        (["--release-app", "0"], "--release-app 0: expected"),
        (["--repository", "a/b", "--remote", "s3://bucket"], "--remote s3://bucket: give a prefix too"),
        (["--repository", "a/b", "--remote", "ftp://bucket/x"], "not the address of a store"),
        (["--repository", "a/b", "--source", "t.csv"], "give --source and --target"),
        (["--source", "t.csv", "--target", "y", "--dry-run"], "--dry-run: not with --source"),
        (["--dry-run"], "give --source and --target"),
    ],
)
def test_a_wrong_value_is_refused_and_nothing_written(ours: Path, arguments: list[str], reason: str) -> None:
    with pytest.raises(OntimeError) as refused:
        run_command("init", *arguments)
    assert reason in str(refused.value)
    assert not git(ours, "status", "--porcelain")
