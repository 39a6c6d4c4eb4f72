"""The chain from a release file back to the graph: it holds, and each broken link is named."""

import base64
import hashlib
import io
import json
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest
import requests

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.signing import Signer, make_key, sign
from ontime.release import registry_client
from ontime.release.commands import command as publishing
from ontime.release.registry_image import read_image
from ontime.release.release_file import path_of
from ontime.verification.release import Checks, command, verify_release
from tests.cosign import sign_image
from tests.releases import (
    NAME,
    Repository,
    StandIn,
    digest_of,
    enter,
    md5,
    push_image,
    push_manifest,
    release,
)
from tests.servers import http_server
from tests.sigstore_server import PROVIDER, Sigstore, sigstore_server

LINKS = ("release file", "tag", "commit", "dvc.lock", "model", "manifest")
Change = Callable[[dict[str, Any]], None]
IMAGE_LINKS = ("image", "image signature", "configuration", "model layer", "signature")
IDENTITY = "https://github.com/acme/ontime/.github/workflows/sign.yml@refs/heads/main"


@pytest.fixture(scope="module")
def sigstore() -> Iterator[Sigstore]:
    """The Sigstore of the workflow that signs."""
    with sigstore_server(IDENTITY) as server:
        yield server


@dataclass(frozen=True)
class Chain:
    """A repository that released v1.0.0 to staging, and what its image is made of."""

    repository: Repository
    image: str
    files: dict[str, bytes]
    arguments: dict[str, str]
    sigstore: Sigstore
    signer: Signer
    model: Path
    """The model's folder, with its signature beside it."""

    @property
    def checks(self) -> Checks:
        """Everything but building again."""
        return Checks(self.signer)

    @property
    def options(self) -> list[str]:
        """Of the command, for the same."""
        trust = f"--trust-config={self.signer.trust_config}"
        return [f"--identity={self.signer.identity}", f"--identity-provider={self.signer.provider}", trust]

    def build(self, files: Mapping[str, bytes | None], change: Change | None = None, **arguments: str) -> str:
        """Push and sign an image with some of its files, configuration and arguments changed; its digest."""
        host, _, name = self.image.partition("/")
        changed = {name: content for name, content in {**self.files, **files}.items() if content is not None}
        digest = push_image(host, name, changed, {**self.arguments, **arguments}, change)
        sign_image(self.image, digest, self.sigstore.trust_config, self.sigstore.token())
        return digest

    def push(self, files: Mapping[str, bytes | None], change: Change | None = None, **arguments: str) -> str:
        """Release such an image in place of the first."""
        digest = self.build(files, change, **arguments)
        self.repository.publish("staging", "v1.0.0", image=self.image, digest=digest)
        return digest


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, sigstore: Sigstore) -> Chain:
    repository = enter(tmp_path, monkeypatch)
    commit = repository.git("rev-parse", "HEAD")
    repository.tag(f"{NAME}@v1.0.0")
    model, trust_config = tmp_path / "signed" / "champion", tmp_path / "sigstore.json"
    model.mkdir(parents=True)
    for name, content in repository.files[commit].items():
        (model / name).write_bytes(content)
    trust_config.write_text(sigstore.trust_config)
    for name, value in sigstore.variables.items():
        monkeypatch.setenv(name, value)
    sign(model, model.with_suffix(".sig"), None, trust_config)
    files = {f"models/champion/{name}": content for name, content in repository.files[commit].items()}
    for ending in (".sig", ".trust.json"):
        files[f"models/champion{ending}"] = model.with_suffix(ending).read_bytes()
    arguments = {
        "GIT_COMMIT": commit,
        "MODEL_VERSION": "1.0.0",
        "MODEL_SHA256": hashlib.sha256(repository.files[commit]["model.onnx"]).hexdigest(),
        "PUBLIC_KEY": "",
        "IDENTITY": IDENTITY,
        "IDENTITY_PROVIDER": PROVIDER,
    }
    signer = Signer(None, IDENTITY, PROVIDER, trust_config)
    chain = Chain(repository, f"{host}/team/ontime", files, arguments, sigstore, signer, model)
    chain.push({})
    return chain


def broken(chain: Chain, stage: str = "staging") -> tuple[list[str], str]:
    """The links that hold and the line that names the one that does not."""
    held = []
    with pytest.raises(OntimeError) as error:
        for link, _ in verify_release(stage, checks=chain.checks):
            held.append(link)
    assert "\n" not in str(error.value)
    return held, str(error.value)


def test_every_link_of_a_release_holds(chain: Chain) -> None:
    assert [link for link, _ in verify_release("staging", checks=chain.checks)] == [*LINKS, *IMAGE_LINKS]


def test_without_a_registry_the_repositorys_part_is_walked(
    chain: Chain, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "create_connection", None)
    command.main(["staging", "--no-registry"], standalone_mode=False)
    assert tuple(line[:16].strip() for line in capsys.readouterr().out.splitlines()) == LINKS
    del chain


def test_the_command_walks_to_the_signature(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["staging", *chain.options], standalone_mode=False)
    assert tuple(line[:16].strip() for line in capsys.readouterr().out.splitlines()) == (*LINKS, *IMAGE_LINKS)


def test_production_runs_what_staging_ran(chain: Chain) -> None:
    release("assign", "v1.0.0", "production")
    release("write", "production")
    chain.repository.git("commit", "--quiet", "--all", "--message", "production")
    chain.repository.git("push", "--quiet", "origin", "HEAD:main")
    assert [link for link, _ in verify_release("production", checks=chain.checks)] == [*LINKS, *IMAGE_LINKS]
    chain.repository.publish("production", "v1.0.0", image=chain.image, digest=digest_of("another"))
    held, line = broken(chain, "production")
    assert held == ["release file", "tag"]
    assert line == f"commit: staging never ran v1.0.0 as {digest_of('another')}"


def edit(chain: Chain) -> None:
    path = chain.repository.checkout / path_of("staging")
    path.write_text(path.read_text() + "# mine\n")
    publish_all(chain)


def publish_all(chain: Chain) -> None:
    chain.repository.git("commit", "--quiet", "--all", "--message", "changed")
    chain.repository.git("push", "--quiet", "origin", "HEAD:main")


def remove_tag(chain: Chain) -> None:
    chain.repository.git("tag", "--delete", f"{NAME}@v1.0.0")


def withdraw(chain: Chain) -> None:
    chain.repository.tag(f"{NAME}@deprecated")


def lighten_tag(chain: Chain) -> None:
    chain.repository.git("tag", "--force", f"{NAME}@v1.0.0", f"{NAME}@v1.0.0^{{}}")


def move_tag(chain: Chain) -> None:
    remove_tag(chain)
    chain.repository.tag(f"{NAME}@v1.0.0")


def other_model(chain: Chain) -> None:
    chain.repository.publish("staging", "v1.0.0", image=chain.image, model_sha256="0" * 64)


def change_code(chain: Chain) -> None:
    (chain.repository.checkout / "code.txt").write_text("changed")
    stale(chain)


def stale(chain: Chain) -> None:
    publish_all(chain)
    commit = chain.repository.git("rev-parse", "HEAD")
    chain.repository.tag(f"{NAME}@v1.1.0")
    chain.repository.files[commit] = next(iter(chain.repository.files.values()))
    chain.repository.publish("staging", "v1.1.0", image=chain.image)


def corrupt(chain: Chain) -> None:
    name = md5(chain.files["models/champion/model.onnx"])
    for top in (chain.repository.checkout / ".dvc" / "cache", chain.repository.checkout.parent / "store"):
        (top / "files" / "md5" / name[:2] / name[2:]).write_bytes(b"flipped")


def unmerged(chain: Chain) -> None:
    chain.repository.git("switch", "--quiet", "--create", "experiment")
    commit = chain.repository.make_model("experiment", pushed=False)
    chain.repository.tag(f"{NAME}@v1.1.0", commit)
    chain.repository.git("switch", "--quiet", "main")
    chain.repository.publish("staging", "v1.1.0", commit=commit, image=chain.image)


@pytest.mark.parametrize(
    ("change", "held", "reason"),
    [
        (edit, [], "release file: deployment/kubernetes/releases/staging/kustomization.yaml: edited by hand;"),
        (remove_tag, ["release file"], "tag: v1.0.0: not registered; known: none"),
        (
            withdraw,
            ["release file"],
            "tag: flight-delay: withdrawn with all versions by the tag flight-delay@deprecated",
        ),
        (lighten_tag, ["release file"], "tag: v1.0.0: not registered; known: none"),
        (move_tag, ["release file"], "tag: flight-delay@v1.0.0 is on "),
        (unmerged, ["release file", "tag"], "is not in the history of main"),
        (change_code, ["release file", "tag", "commit"], "dvc.lock is stale: export would run"),
        (corrupt, ["release file", "tag", "commit", "dvc.lock"], "model: commit "),
        (other_model, list(LINKS[:-1]), f"the release file says {'0' * 64}"),
    ],
)
def test_a_broken_link_of_the_repository_is_named(
    chain: Chain, change: Callable[[Chain], None], held: list[str], reason: str
) -> None:
    change(chain)
    found, line = broken(chain)
    assert found == held
    assert reason in line


def label(name: str, value: str) -> Change:
    """Change a label."""

    def change(configuration: dict[str, Any]) -> None:
        configuration["config"]["Labels"][name] = value

    return change


@pytest.mark.attack("forged-image")
@pytest.mark.parametrize(
    ("files", "change", "held", "line"),
    [
        (
            {},
            label("org.opencontainers.image.version", "1.0.1"),
            2,
            'configuration: Labels org.opencontainers.image.version is "1.0.1", not "1.0.0"',
        ),
        ({}, label("org.opencontainers.image.revision", "0" * 40), 2, "configuration: Labels org.opencontainers"),
        ({}, label("io.ontime.model.sha256", "0" * 64), 2, 'configuration: Labels io.ontime.model.sha256 is "00'),
        ({}, label("mine", "1"), 2, 'configuration: Labels mine is "1", not not set'),
        (
            {"models/champion/model.onnx": b"other"},
            None,
            3,
            "model layer: models/champion/model.onnx is not the one",
        ),
        (
            {"models/champion/golden.json": None},
            None,
            3,
            "model layer: models/champion/golden.json is not the one",
        ),
        (
            {"models/champion/extra.py": b""},
            None,
            3,
            "model layer: models/champion/extra.py is not the one that DVC has",
        ),
        ({"models/other.sig": b""}, None, 3, "model layer: models/other.sig: neither the model nor its signature"),
        ({"models/champion.pub": b""}, None, 3, "model layer: models/champion.pub: neither the model nor its sig"),
        ({"models/champion.sig": None}, None, 4, "signature: models/champion.sig is not in the image"),
        ({"models/champion.trust.json": None}, None, 4, "signature: models/champion.trust.json is not in the image"),
        ({"models/champion.trust.json": b"{}"}, None, 4, "signature: models/champion.trust.json: Sigstore's keys can"),
        ({"models/champion.sig": b"{}"}, None, 4, "signature: models/champion.sig: not signed by "),
    ],
)
def test_a_broken_link_of_the_image_is_named(
    chain: Chain, files: Mapping[str, bytes | None], change: Change | None, held: int, line: str
) -> None:
    chain.push(files, change)
    found, said = broken(chain)
    assert found == [*LINKS, *IMAGE_LINKS[:held]]
    assert said.startswith(line)


@pytest.mark.attack("forged-image")
def test_keys_of_another_sigstore_in_the_image_are_refused(chain: Chain) -> None:
    with sigstore_server(IDENTITY) as other:
        chain.push({"models/champion.trust.json": other.trust_config.encode()})
    assert broken(chain)[1] == "signature: models/champion.trust.json: holds a key of another Sigstore"


def test_the_image_has_the_name_that_the_project_releases(chain: Chain) -> None:
    list(verify_release("staging", checks=replace(chain.checks, image=chain.image)))
    with pytest.raises(OntimeError, match=r"^release file: \S+/team/ontime: not the project's image, ghcr\.io/acme$"):
        list(verify_release("staging", checks=replace(chain.checks, image="ghcr.io/acme")))


def test_without_the_dvc_remote_the_images_model_is_compared_with_the_lock(chain: Chain) -> None:
    shutil.rmtree(chain.repository.checkout / ".dvc" / "cache")
    shutil.rmtree(chain.repository.checkout.parent / "store")
    checks = replace(chain.checks, remote=False)
    assert [link for link, _ in verify_release("staging", checks=checks)] == [*LINKS[:4], *IMAGE_LINKS]
    chain.push({"models/champion/golden.json": b"[]"})
    with pytest.raises(OntimeError, match=r"^model layer: models/champion is not what dvc\.lock of "):
        list(verify_release("staging", checks=checks))


def to_production(chain: Chain, version: str, digest: str) -> None:
    """Assign a version to production and release an image of it there."""
    release("assign", version, "production")
    chain.repository.publish("production", version, image=chain.image, digest=digest)


def push_changed(chain: Chain, name: str, content: bytes) -> None:
    to_production(chain, "v1.0.0", chain.push({name: content}))


def another_model_in_the_image(chain: Chain) -> None:
    push_changed(chain, "models/champion/model.onnx", b"other")


def another_digest_in_the_release_file(chain: Chain) -> None:
    chain.repository.publish("production", "v1.0.0", image=chain.image, digest=chain.build({"other": b""}))


def a_moved_tag(chain: Chain) -> None:
    chain.repository.make_model("second")
    move_tag(chain)


def a_changed_lock(chain: Chain) -> None:
    path = chain.repository.checkout / "dvc.lock"
    path.write_text(path.read_text().replace(md5(b"first"), md5(b"second")))
    stale(chain)
    to_production(chain, "v1.1.0", digest_of("v1.1.0"))


def a_broken_signature(chain: Chain) -> None:
    signature = bytearray(chain.files["models/champion.sig"])
    signature[len(signature) // 2] ^= 1
    push_changed(chain, "models/champion.sig", bytes(signature))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (another_model_in_the_image, "model layer: models/champion/model.onnx is not the one that DVC has"),
        (another_digest_in_the_release_file, "commit: staging never ran v1.0.0 as sha256:"),
        (a_moved_tag, "tag: flight-delay@v1.0.0 is on "),
        (a_changed_lock, "dvc.lock: commit "),
        (a_broken_signature, "signature: models/champion.sig: not signed by "),
    ],
)
def test_production_is_verified_until_a_link_breaks(
    chain: Chain, capsys: pytest.CaptureFixture[str], change: Callable[[Chain], None], line: str
) -> None:
    arguments = ["production", *chain.options]
    to_production(chain, "v1.0.0", chain.build({}))
    command.main(arguments, standalone_mode=False)
    assert [said[:16].strip() for said in capsys.readouterr().out.splitlines()] == [*LINKS, *IMAGE_LINKS]
    change(chain)
    with pytest.raises(OntimeError) as error:
        command.main(arguments, standalone_mode=False)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_a_key_signs_the_model_and_vouches_for_no_image(chain: Chain, tmp_path: Path) -> None:
    for name in ("model", "other"):
        make_key(tmp_path / f"{name}.key")
    sign(chain.model, chain.model.with_suffix(".sig"), tmp_path / "model.key")
    files = {f"models/champion{end}": chain.model.with_suffix(end).read_bytes() for end in (".sig", ".pub")}
    key_alone = {"PUBLIC_KEY": "/models/champion.pub", "IDENTITY": "", "IDENTITY_PROVIDER": ""}
    chain.push({**files, "models/champion.trust.json": None}, None, **key_alone)
    held = []
    with pytest.raises(OntimeError, match=r"^layers: a key signs the model, not the image; add --rebuild, or --ident"):
        for link, _ in verify_release("staging", checks=Checks(Signer(tmp_path / "model.pub"))):
            held.append(link)
    assert held == [*LINKS, *(link for link in IMAGE_LINKS if link != "image signature")]
    with pytest.raises(OntimeError, match=r"^signature: models/champion\.sig: not signed by "):
        list(verify_release("staging", checks=Checks(Signer(tmp_path / "other.pub"))))


def test_the_versions_tag_may_be_part_of_the_identity(chain: Chain) -> None:
    workflow = "https://example.invalid/release.yml@refs/tags/"
    named = replace(chain.signer, identity=f"{workflow}{{tag}}")
    with pytest.raises(OntimeError, match=rf"^image signature: .*: not signed by {workflow}{NAME}@v1\.0\.0: "):
        list(verify_release("staging", checks=Checks(named)))


@pytest.mark.parametrize("option", ["--identity=job", "--identity-provider=https://example.invalid"])
def test_half_an_identity_is_wrong_usage(option: str) -> None:
    with pytest.raises(click.UsageError, match="both or neither"):
        command.main(["staging", option], standalone_mode=False)


def test_a_stage_without_a_release_is_one_line(chain: Chain) -> None:
    held, line = broken(chain, "production")
    assert (held, line) == ([], f"release file: {path_of('production')}: nothing was released yet")
    held, line = broken(chain, "canary")
    assert (held, line) == ([], "release file: canary: not a stage; .gto lists staging, production")


def test_a_release_that_no_tag_asked_for_is_named(chain: Chain) -> None:
    chain.repository.publish("production", "v1.0.0", image=chain.image)
    assert broken(chain, "production")[1] == "tag: no tag ever released v1.0.0 to production"


def test_an_image_that_is_not_there_is_named(chain: Chain) -> None:
    chain.repository.publish("staging", "v1.0.0", image=chain.image)
    found, line = broken(chain)
    assert found == list(LINKS)
    assert line == f"image: {digest_of('v1.0.0')}: not in the registry"


def test_a_registry_that_does_not_answer_is_one_line() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(OntimeError) as error:
            read_image(f"{address}/team/ontime", digest_of("x"))
    assert str(error.value).startswith(f"registry {address}: cannot be reached: ")
    assert "\n" not in str(error.value)


def test_plain_http_is_spoken_on_loopback_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get(session: requests.Session, address: str, **options: Any) -> requests.Response:
        del session, options
        asked.append(address)
        raise requests.ConnectionError("no")

    monkeypatch.setattr(requests.Session, "get", get)
    loopback = ["127.0.0.1:5000", "localhost", "localhost:5000", "[::1]:5000"]
    for name in [*loopback, "ghcr.io", "127.0.0.1.example", "10.0.0.1:80"]:
        with pytest.raises(OntimeError, match="cannot be reached"):
            read_image(f"{name}/team/ontime", digest_of("x"))
    assert [address.partition("://")[0] for address in asked] == [*["http"] * len(loopback), *["https"] * 3]


@pytest.mark.parametrize("name", ["ontime", "team/ontime"])
def test_an_image_without_a_registry_is_one_line(name: str) -> None:
    with pytest.raises(OntimeError, match=rf"^{name}: has no registry host$"):
        read_image(name, digest_of("x"))


class Lying:
    """Answers of a registry by path, in place of a server's."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self.answers = answers

    def __call__(self, registry: object, url: str, *arguments: object, **options: object) -> Any:
        del registry, arguments, options
        answer = requests.Response()
        content = next((content for end, content in self.answers.items() if url.endswith(end)), None)
        answer.status_code = 404 if content is None else 200
        answer.raw = io.BytesIO(content or b"")
        return answer


def blob(content: Any) -> tuple[str, bytes]:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return f"sha256:{hashlib.sha256(data).hexdigest()}", data


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (b"{", "not a readable image"),
        ({"layers": []}, "not a readable image"),
        ([], "not a readable image"),
        (
            {"manifests": [{"digest": "x", "platform": {"os": "linux", "architecture": "arm64"}}]},
            "not a readable image",
        ),
    ],
)
def test_a_manifest_that_is_none_is_one_line(
    host: str, monkeypatch: pytest.MonkeyPatch, manifest: Any, reason: str
) -> None:
    digest, content = blob(manifest)
    monkeypatch.setattr(registry_client._Session, "do_request", lambda *a, **k: Lying({digest: content})(*a, **k))
    with pytest.raises(OntimeError, match=reason):
        read_image(f"{host}/team/ontime", digest)


def test_bytes_that_are_not_the_digests_are_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, _ = blob(b"a")
    monkeypatch.setattr(registry_client._Session, "do_request", lambda *a, **k: Lying({digest: b"b"})(*a, **k))
    with pytest.raises(OntimeError, match=rf"^{digest}: the registry holds other bytes under this digest$"):
        read_image(f"{host}/team/ontime", digest)


def test_an_index_is_followed_to_the_image_of_this_platform(chain: Chain, host: str) -> None:
    digest = str(chain.repository.git("show", f"main:{path_of('staging')}").split("digest: ")[1].split()[0])
    with requests.Session() as session:
        session.trust_env = False
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        size = len(session.get(f"http://{host}/v2/team/ontime/manifests/{digest}", headers={"Accept": kind}).content)
        amd64 = {"os": "linux", "architecture": "amd64"}
        index = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
            "manifests": [{"mediaType": kind, "digest": digest, "size": size, "platform": amd64}],
        }
        pushed, content = blob(index)
        headers = {"Content-Type": str(index["mediaType"])}
        session.put(f"http://{host}/v2/team/ontime/manifests/2", data=content, headers=headers).raise_for_status()
    assert read_image(chain.image, pushed) == read_image(chain.image, digest)


class Guarded(StandIn):
    """A registry that lets nobody through without a token or a password."""

    challenge: str
    passed: str
    token: bytes

    def do_GET(self) -> None:  # noqa: N802 - the base class chooses the name
        """What was pushed, or a token."""
        if self.path.startswith("/token"):
            self._answer(200 if self.token else 401, self.token, {})
        elif self.headers.get("Authorization") == self.passed:
            super().do_GET()
        else:
            self._answer(401, b"", {"WWW-Authenticate": self.challenge.format(host=self.headers["Host"])})


def guard(folder: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Save a login as `docker login` does."""
    monkeypatch.setenv("HOME", str(folder))
    (folder / ".docker").mkdir()
    saved = {"auths": {host: {"auth": base64.b64encode(b"user:password").decode()}}}
    (folder / ".docker" / "config.json").write_text(json.dumps(saved))


BASIC = f"Basic {base64.b64encode(b'user:password').decode()}"
BEARER = 'Bearer realm="http://{host}/token",service="registry",scope="repository:team/ontime:pull"'


@pytest.mark.parametrize(
    ("challenge", "passed", "token", "login"),
    [
        (BEARER, "Bearer letmein", b'{"token": "letmein"}', False),
        (BEARER, "Bearer letmein", b'{"token": "letmein"}', True),
        ('Basic realm="registry"', BASIC, b"", True),
    ],
    ids=["anonymous token", "token", "password"],
)
def test_a_registry_that_wants_a_login_gets_dockers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, challenge: str, passed: str, token: bytes, login: bool
) -> None:
    names = {"challenge": challenge, "passed": passed, "token": token}
    with http_server(type("Handler", (Guarded,), {"objects": {}, **names})) as host:
        digest = push_image(host, "team/ontime", {"models/champion.sig": b"s"}, {"MODEL_VERSION": "1.0.0"})
        if login:
            guard(tmp_path, monkeypatch, host)
        else:
            monkeypatch.setenv("HOME", str(tmp_path))
        image = read_image(f"{host}/team/ontime", digest)
    assert image.labels["org.opencontainers.image.version"] == "1.0.0"
    assert image.files == {"models/champion.sig": b"s"}


@pytest.mark.parametrize("challenge", [BEARER, 'Basic realm="registry"'])
def test_a_registry_that_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, challenge: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    names = {"objects": {}, "challenge": challenge, "passed": "nothing", "token": b""}
    with http_server(type("Handler", (Guarded,), names)) as host, pytest.raises(OntimeError) as error:
        read_image(f"{host}/team/ontime", digest_of("x"))
    assert str(error.value).startswith(f"registry {host}: ")
    assert "\n" not in str(error.value)


@pytest.mark.attack("forged-image")
@pytest.mark.parametrize(
    ("platforms", "line"),
    [
        (("amd64", "arm64"), "an image for linux/arm64 beside that for linux/amd64"),
        (("amd64", "amd64"), "2 images for linux/amd64"),
        ((), "0 images for linux/amd64"),
    ],
)
def test_an_index_with_an_image_that_nobody_looks_at_is_refused(
    chain: Chain, platforms: tuple[str, ...], line: str
) -> None:
    digest, (host, _, name) = chain.build({}), chain.image.partition("/")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    entries = [
        {"mediaType": kind, "digest": digest, "platform": {"os": "linux", "architecture": one}} for one in platforms
    ]
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
    with pytest.raises(OntimeError, match=rf"^{line}$"):
        read_image(chain.image, push_manifest(host, name, index))


@pytest.mark.attack("remote-model")
@pytest.mark.parametrize("word", ["write", "publish"])
def test_an_image_with_another_model_than_the_commits_is_neither_written_nor_published(chain: Chain, word: str) -> None:
    repository = chain.repository
    commit = repository.make_model("second")
    repository.tag(f"{NAME}@v1.1.0", commit)
    repository.git("push", "--quiet", "--tags", "origin")
    sha256 = hashlib.sha256(repository.files[commit]["model.onnx"]).hexdigest()
    # signed, with the commit's own labels, and the first model, as where the DVC remote's object was replaced
    digest = chain.build({}, None, GIT_COMMIT=commit, MODEL_VERSION="1.1.0", MODEL_SHA256=sha256)
    arguments = ["staging", "--digest", digest, "--image", chain.image]
    if word == "publish":
        publishing.main(["write", *arguments, "--no-registry"], standalone_mode=False)
        arguments = ["staging"]
    before = repository.state()
    for options in ([], chain.options):
        with pytest.raises(OntimeError, match=r"^model layer: models/champion is not what dvc\.lock of "):
            publishing.main([word, *arguments, *options], standalone_mode=False)
        assert repository.state() == before
