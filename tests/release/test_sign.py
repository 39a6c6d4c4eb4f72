"""The command that signs: the bytes of the commit's lock, and no others."""

import json
from pathlib import Path

import pytest

from ontime.cli import commands
from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.signing import Signer, verify
from ontime.release.commit_checks import locked_champion
from tests.releases import Repository, enter

SIGNATURE = Path("models/champion.sig")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository whose champion is checked out; the test is there."""
    made = enter(tmp_path, monkeypatch)
    commands.main(["pull", "models/champion"], standalone_mode=False)
    return made


def sign(*options: str) -> None:
    commands.main(["sign", "--new-key", *options], standalone_mode=False)


def change_threshold(path: Path) -> None:
    manifest = json.loads(path.read_bytes())
    manifest["threshold"] = 0.999
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))


@pytest.mark.usefixtures("repository")
def test_the_committed_champion_is_signed_and_its_hash_told(capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    sign()
    assert capfd.readouterr().out == f"signed models/champion, MD5 {locked_champion('HEAD')}: {SIGNATURE}\n"
    verify(Path("models/champion"), SIGNATURE, Signer())


@pytest.mark.attack("remote-model")
@pytest.mark.usefixtures("repository")
def test_a_changed_threshold_is_not_signed() -> None:
    change_threshold(Path("models/champion/manifest.json"))
    with pytest.raises(OntimeError, match=r"^models/champion/manifest\.json: not what dvc\.lock of HEAD says, so not"):
        sign()
    assert not SIGNATURE.exists()


@pytest.mark.attack("remote-model")
def test_a_model_that_the_lock_here_names_and_the_commit_does_not_is_not_signed(repository: Repository) -> None:
    repository.make_model("second")
    commands.main(["pull", "models/champion"], standalone_mode=False)
    repository.git("reset", "--quiet", "--soft", "HEAD~1")
    with pytest.raises(OntimeError, match=r"if the graph made it here, commit dvc\.lock first$"):
        sign()
    assert not SIGNATURE.exists()


@pytest.mark.attack("remote-model")
@pytest.mark.usefixtures("repository")
def test_a_link_to_another_folder_is_not_signed(tmp_path: Path) -> None:
    champion = Path("models/champion")
    champion.rename(tmp_path / "elsewhere")
    change_threshold(tmp_path / "elsewhere" / "manifest.json")
    champion.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OntimeError, match=r"not what dvc\.lock of HEAD says"):
        sign()


@pytest.mark.usefixtures("repository")
def test_a_folder_that_no_lock_names_is_signed(tmp_path: Path) -> None:
    Path("models/champion").rename(tmp_path / "mine")
    sign("--model", str(tmp_path / "mine"), "--signature", str(tmp_path / "mine.sig"))
    verify(tmp_path / "mine", tmp_path / "mine.sig", Signer())
