"""A signature covers every byte and every name of the folder, and belongs to one key."""

import random
import shutil
from pathlib import Path

import pytest

from ontime.errors import OntimeError
from ontime.model_deployment.signing import make_key, sign, verify
from tests.conftest import run_command

FLIPS = 100


@pytest.fixture
def copy(signed: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(signed, tmp_path, dirs_exist_ok=True)
    return tmp_path


def check(top: Path) -> None:
    verify(top / "model", top / "model.sig", top / "model.pub")


def test_what_was_signed_is_accepted(signed: Path) -> None:
    check(signed)


def test_every_single_bit_that_flips_is_refused_with_the_file(copy: Path) -> None:
    moments = random.Random(0)
    files = sorted((copy / "model").iterdir())
    for _ in range(FLIPS):
        path = moments.choice(files)
        content = path.read_bytes()
        changed = bytearray(content)
        changed[moments.randrange(len(changed))] ^= 1 << moments.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(OntimeError, match=rf"model: not what was signed: .*{path.name}"):
            check(copy)
        path.write_bytes(content)
    check(copy)


def test_a_bit_that_flips_in_the_signature_is_refused(copy: Path) -> None:
    moments = random.Random(1)
    path = copy / "model.sig"
    content = path.read_bytes()
    refused = 0
    for _ in range(FLIPS):
        changed = bytearray(content)
        changed[moments.randrange(len(changed))] ^= 1 << moments.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(OntimeError, match=r"model\.sig: not signed by .*model\.pub, or changed since"):
            check(copy)
        refused += 1
    assert refused == FLIPS


@pytest.mark.parametrize("name", ["extra.txt", ".gitignore", ".git/config", "model.onnx.bak"])
def test_an_extra_file_is_refused(copy: Path, name: str) -> None:
    (copy / "model" / name).parent.mkdir(exist_ok=True)
    (copy / "model" / name).write_text("more")
    with pytest.raises(OntimeError, match=rf"not what was signed: .*{name}"):
        check(copy)


def test_an_absent_file_is_refused(copy: Path) -> None:
    (copy / "model" / "golden.json").unlink()
    with pytest.raises(OntimeError, match=r"not what was signed: .*golden\.json"):
        check(copy)


def test_a_file_under_another_name_is_refused(copy: Path) -> None:
    (copy / "model" / "golden.json").rename(copy / "model" / "gold.json")
    with pytest.raises(OntimeError, match=r"not what was signed: .*gold\.json"):
        check(copy)


def test_another_key_is_refused(copy: Path) -> None:
    make_key(copy / "other.key")
    with pytest.raises(OntimeError, match=r"model\.sig: not signed by .*other\.pub, or changed since"):
        verify(copy / "model", copy / "model.sig", copy / "other.pub")


def test_what_is_absent_is_told_in_one_line(copy: Path) -> None:
    with pytest.raises(OntimeError, match=r"none\.sig: no signature; sign the model with `ontime sign`"):
        verify(copy / "model", copy / "none.sig", copy / "model.pub")
    with pytest.raises(OntimeError, match=r"none\.pub: not found"):
        verify(copy / "model", copy / "model.sig", copy / "none.pub")
    with pytest.raises(OntimeError, match=r"none: not found"):
        verify(copy / "none", copy / "model.sig", copy / "model.pub")


def test_the_command_makes_a_key_once_and_signs(copy: Path) -> None:
    options = ["--model", f"{copy}/model", "--signature", f"{copy}/new.sig", "--key", f"{copy}/keys/new.key"]
    with pytest.raises(OntimeError, match=r"new\.key: not found; make a key with `ontime sign --new-key`"):
        run_command("sign", *options)
    assert not (copy / "new.sig").exists()
    run_command("sign", *options, "--new-key")
    key = (copy / "keys" / "new.key").read_bytes()
    assert (copy / "keys" / "new.key").stat().st_mode & 0o077 == 0
    run_command("sign", *options, "--new-key")
    assert (copy / "keys" / "new.key").read_bytes() == key
    verify(copy / "model", copy / "new.sig", copy / "keys" / "new.pub")


def test_a_model_that_is_not_what_its_manifest_says_is_not_signed(copy: Path) -> None:
    (copy / "model" / "vocabulary.json").write_text("{}")
    with pytest.raises(OntimeError, match=r"vocabulary\.json: not what manifest\.json says"):
        sign(copy / "model", copy / "new.sig", copy / "model.key")
    assert not (copy / "new.sig").exists()


def test_a_file_that_is_no_key_is_told(copy: Path) -> None:
    (copy / "model.key").write_text("no key")
    with pytest.raises(OntimeError, match=r"model\.key: cannot sign with it: [^\n]+$"):
        sign(copy / "model", copy / "new.sig", copy / "model.key")
    assert not (copy / "new.sig").exists()


def test_keyless_signing_without_a_token_is_told(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OntimeError, match=r"^keyless: no OIDC token here; [^\n]+$"):
        sign(copy / "model", copy / "new.sig", None)
    assert not (copy / "new.sig").exists()
