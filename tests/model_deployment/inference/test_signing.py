"""A signature covers every byte and every name of the folder, and belongs to one key."""

import random
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from sigstore import models

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.signing import Signer, _public_sigstore, make_key, sign, verify
from tests.checkouts import run
from tests.commands import run_command
from tests.sigstore_server import PROVIDER, Sigstore, sigstore_server

FLIPS = 100
IDENTITY = "https://github.com/acme/ontime/.github/workflows/sign.yml@refs/heads/main"


@pytest.fixture
def copy(signed: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(signed, tmp_path, dirs_exist_ok=True)
    return tmp_path


def check(top: Path) -> None:
    verify(top / "model", top / "model.sig", Signer(top / "model.pub"))


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
        verify(copy / "model", copy / "model.sig", Signer(copy / "other.pub"))


def test_a_missing_file_is_one_line(copy: Path) -> None:
    with pytest.raises(OntimeError, match=r"none\.sig: no signature; sign the model with `ontime sign`"):
        verify(copy / "model", copy / "none.sig", Signer(copy / "model.pub"))
    with pytest.raises(OntimeError, match=r"none\.pub: not found"):
        verify(copy / "model", copy / "model.sig", Signer(copy / "none.pub"))
    with pytest.raises(OntimeError, match=r"none: not found"):
        verify(copy / "none", copy / "model.sig", Signer(copy / "model.pub"))


@pytest.fixture
def linked(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model as DVC links it into a checkout from a shared cache; the test runs in its folder."""
    monkeypatch.chdir(copy)
    run("dvc", "init", "--quiet", "--no-scm", cwd=copy)
    run("dvc", "config", "cache.type", "symlink", cwd=copy)
    run("dvc", "cache", "dir", "shared cache", cwd=copy)
    run("dvc", "add", "--quiet", "model", cwd=copy)
    assert all(path.is_symlink() for path in (copy / "model").iterdir())
    return copy


def test_a_model_that_dvc_linked_from_its_cache_is_signed_and_accepted_with_and_without_links(linked: Path) -> None:
    sign(linked / "model", linked / "new.sig", linked / "model.key")
    verify(linked / "model", linked / "new.sig", Signer(linked / "model.pub"))
    check(linked)
    shutil.copytree(linked / "model", linked / "files")
    assert not any(path.is_symlink() for path in (linked / "files").iterdir())
    verify(linked / "files", linked / "new.sig", Signer(linked / "model.pub"))
    run("dvc", "unprotect", "model", cwd=linked)
    assert not any(path.is_symlink() for path in (linked / "model").iterdir())
    verify(linked / "model", linked / "new.sig", Signer(linked / "model.pub"))


def test_a_linked_model_whose_object_changed_is_refused(linked: Path) -> None:
    target = (linked / "model" / "golden.json").resolve()
    target.chmod(0o644)
    target.write_bytes(target.read_bytes() + b"\n")
    line = r"golden\.json: a symbolic link to something other than an object of DVC's cache"
    with pytest.raises(OntimeError, match=line):
        check(linked)
    with pytest.raises(OntimeError, match=line):
        sign(linked / "model", linked / "new.sig", linked / "model.key")


@pytest.mark.parametrize("kind", ["file", "folder", "absent", "same bytes", "within"])
def test_a_link_to_anything_else_is_neither_signed_nor_accepted(copy: Path, kind: str) -> None:
    golden, elsewhere = copy / "model" / "golden.json", copy / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("secret")
    (elsewhere / "golden.json").write_bytes(golden.read_bytes())
    if kind == "same bytes":
        golden.unlink()
    link = golden if kind == "same bytes" else copy / "model" / "more"
    targets = {"file": "secret", "folder": "", "absent": "absent", "same bytes": "golden.json"}
    link.symlink_to("manifest.json" if kind == "within" else elsewhere / targets[kind])
    line = rf"^{link}: a symbolic link to something other than an object of DVC's cache;"
    with pytest.raises(OntimeError, match=line):
        check(copy)
    with pytest.raises(OntimeError, match=line):
        sign(copy / "model", copy / "new.sig", copy / "model.key")
    assert not (copy / "new.sig").exists()


def test_a_linked_model_goes_into_no_image(linked: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (linked / "model").rename(tmp_path / "models" / "champion")
    with pytest.raises(
        OntimeError, match=r"^models/champion/.*: a symbolic link; .*; run `dvc unprotect models/champion`$"
    ):
        run_command("image", "--docker")


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
    verify(copy / "model", copy / "new.sig", Signer(copy / "keys" / "new.pub"))


def test_a_model_that_is_not_what_its_manifest_says_is_not_signed(copy: Path) -> None:
    (copy / "model" / "vocabulary.json").write_text("{}")
    with pytest.raises(OntimeError, match=r"vocabulary\.json: not what manifest\.json says"):
        sign(copy / "model", copy / "new.sig", copy / "model.key")
    assert not (copy / "new.sig").exists()


def test_a_file_that_the_manifest_does_not_name_is_not_signed(copy: Path) -> None:
    (copy / "model" / "extra.txt").write_text("more")
    with pytest.raises(OntimeError, match=r"extra\.txt: not what manifest\.json says"):
        sign(copy / "model", copy / "new.sig", copy / "model.key")
    assert not (copy / "new.sig").exists()


def test_a_signer_is_named_by_its_key_or_its_identity() -> None:
    assert str(Signer(Path("model.pub"))) == "model.pub"
    assert str(Signer(None, IDENTITY, PROVIDER)) == IDENTITY
    assert str(Signer()) == ".keys/model.pub"


def test_a_file_that_is_not_a_key_is_refused(copy: Path) -> None:
    (copy / "model.key").write_text("no key")
    with pytest.raises(OntimeError, match=r"model\.key: cannot sign with it: [^\n]+$"):
        sign(copy / "model", copy / "new.sig", copy / "model.key")
    assert not (copy / "new.sig").exists()


def test_the_public_key_is_beside_the_signature(copy: Path) -> None:
    make_key(copy / "keys" / "new.key")
    (copy / "new.trust.json").write_text("of an earlier keyless signature")
    sign(copy / "model", copy / "new.sig", copy / "keys" / "new.key")
    assert (copy / "new.pub").read_bytes() == (copy / "keys" / "new.pub").read_bytes()
    assert not (copy / "new.trust.json").exists()
    verify(copy / "model", copy / "new.sig", Signer(copy / "new.pub"))


@pytest.mark.parametrize("actions", [False, True])
def test_keyless_signing_without_a_token_is_refused(copy: Path, monkeypatch: pytest.MonkeyPatch, actions: bool) -> None:
    for name in ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    if actions:
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(OntimeError, match=r"^keyless: [^\n]+ `id-token: write`[^\n]+$"):
        sign(copy / "model", copy / "new.sig", None)
    assert not list(copy.glob("new.*"))


@pytest.fixture
def sigstore() -> Iterator[Sigstore]:
    """A Sigstore whose tokens are the release job's."""
    with sigstore_server(IDENTITY) as server:
        yield server


@pytest.fixture
def keyless(copy: Path, sigstore: Sigstore, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model that a job signed without a key."""
    for name, value in sigstore.variables.items():
        monkeypatch.setenv(name, value)
    (copy / "sigstore.json").write_text(sigstore.trust_config)
    monkeypatch.setenv("ONTIME_TRUST_CONFIG", str(copy / "sigstore.json"))
    run_command("sign", "--model", f"{copy}/model", "--signature", f"{copy}/model.sig", "--keyless")
    return copy


def check_keyless(top: Path, identity: str = IDENTITY, provider: str = PROVIDER) -> None:
    signer = Signer(None, identity, provider, top / "model.trust.json")
    verify(top / "model", top / "model.sig", signer)


def test_a_keyless_signature_is_accepted_by_its_identity_alone(keyless: Path) -> None:
    check_keyless(keyless)
    assert not (keyless / "model.pub").exists()
    other = IDENTITY.replace("sign.yml", "release.yml")
    with pytest.raises(OntimeError, match=rf"model\.sig: not signed by {other}, or changed since: [^\n]+$"):
        check_keyless(keyless, identity=other)
    with pytest.raises(OntimeError, match=r"model\.sig: not signed by [^\n]+$"):
        check_keyless(keyless, provider="https://accounts.example.invalid")


def test_a_keyless_signature_needs_no_network_to_be_checked(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / "sigstore.json").touch()
    with sigstore_server(IDENTITY) as sigstore:
        for name, value in sigstore.variables.items():
            monkeypatch.setenv(name, value)
        (copy / "sigstore.json").write_text(sigstore.trust_config)
        sign(copy / "model", copy / "model.sig", None, copy / "sigstore.json")
    monkeypatch.setattr(socket, "create_connection", None)
    check_keyless(copy)


def test_a_keyless_signature_covers_every_file(keyless: Path) -> None:
    with (keyless / "model" / "vocabulary.json").open("a") as file:
        file.write(" ")
    with pytest.raises(OntimeError, match=r"model: not what was signed: .*vocabulary\.json"):
        check_keyless(keyless)


def test_another_sigstore_is_not_trusted(keyless: Path) -> None:
    with sigstore_server(IDENTITY) as other:
        (keyless / "model.trust.json").write_text(other.trust_config)
    with pytest.raises(OntimeError, match=r"model\.sig: not signed by [^\n]+$"):
        check_keyless(keyless)


def test_a_signature_of_the_other_kind_is_one_line(copy: Path, keyless: Path) -> None:
    make_key(copy / "other.key")
    with pytest.raises(OntimeError, match=r"model\.sig: not signed by [^\n]*other\.pub, or changed since[^\n]*$"):
        verify(copy / "model", copy / "model.sig", Signer(copy / "other.pub"))
    sign(copy / "model", copy / "other.sig", copy / "other.key")
    with pytest.raises(OntimeError, match=r"other\.sig: not signed by [^\n]+$"):
        verify(copy / "model", copy / "other.sig", Signer(None, IDENTITY, PROVIDER, keyless / "model.trust.json"))


def test_a_sigstore_that_does_not_answer_leaves_nothing(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sigstore_server(IDENTITY) as sigstore:
        for name, value in sigstore.variables.items():
            monkeypatch.setenv(name, value)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        unreachable = sigstore.trust_config.replace(sigstore.url, f"http://127.0.0.1:{port}")
        (copy / "sigstore.json").write_text(unreachable)
        with pytest.raises(OntimeError, match=r"^keyless: cannot sign with it: [^\n]+$"):
            sign(copy / "model", copy / "new.sig", None, copy / "sigstore.json")
    assert not [path for path in copy.iterdir() if "new." in path.name]


def test_a_key_and_an_identity_at_once_are_wrong_usage() -> None:
    with pytest.raises(click.UsageError, match="leave out --new-key"):
        run_command("sign", "--keyless", "--new-key")


def test_the_public_sigstores_keys_are_written_as_its_client_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    production = models.ClientTrustConfig.production
    monkeypatch.setattr(models.ClientTrustConfig, "production", lambda: production(offline=True))
    written = models.ClientTrustConfig.from_json(_public_sigstore().decode())
    assert written.trusted_root.get_fulcio_certs()
    assert written.signing_config.get_tlogs()
