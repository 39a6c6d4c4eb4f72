"""DVC remotes on Google's and Azure's object stores: set by one command, pushed, pulled, proven and refused."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ontime.repository.lock_file import outputs, read_lock
from ontime.repository.push import push_each
from tests.checkouts import commit, git, run, small_fork
from tests.object_stores import STORES, Store, azure_connection
from tests.releases import Repository, enter
from tests.remote import key_of, refuse_each_changed_byte
from tests.servers import JsonHandler, http_server

CHAMPION = "models/champion"
OUTPUT = "rates"
GRAPH = """\
stages:
  join: {cmd: cat code table > first, deps: [code, table], outs: [first]}
  baselines: {cmd: mkdir rates && cp code rates/base, deps: [code], outs: [rates]}
  select: {cmd: cat first rates/base > selected, deps: [first, rates], outs: [selected]}
"""
CHANGES = 100
SECONDS = 30
"""In which a wrong setting is told; the clients of the stores alone take more than a minute."""

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("stores")]


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with an empty bucket."""
    with STORES[request.param](tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small graph that has run, without remote."""
    top = tmp_path_factory.mktemp("graph") / "checkout"
    top.mkdir()
    (top / "dvc.yaml").write_text(GRAPH)
    (top / "code").write_text("1\n")
    git(top, "init", "--quiet", "--initial-branch=main")
    run("dvc", "init", "--quiet", cwd=top)
    run("dvc", "config", "core.analytics", "false", cwd=top)
    (top / "table").write_text("rows\n")
    run("dvc", "add", "--quiet", "table", cwd=top)
    run("dvc", "repro", "--quiet", cwd=top)
    commit(top, "graph")
    return top


@pytest.fixture(scope="module")
def checkout(graph: Path, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with everything pushed to the store, which one command made its remote."""
    top = tmp_path_factory.mktemp("store") / "checkout"
    shutil.copytree(graph, top)
    said = run("ontime", "init", "--remote", store.address, *store.init, cwd=top).stdout
    assert said == (
        f".dvc/config: the remote models is {store.address}\nwrote 1 file; commit it, then `ontime cache --push`\n"
    )
    commit(top, "remote")
    store.point(top)
    assert run("ontime", "cache", "--push", cwd=top).stdout.endswith(" objects pushed\n")
    return top


@pytest.fixture
def clone(checkout: Path, store: Store, tmp_path: Path) -> Path:
    """A clean clone that knows the server."""
    git(checkout.parent, "clone", "--quiet", str(checkout), str(tmp_path / "clone"))
    store.point(tmp_path / "clone")
    return tmp_path / "clone"


@pytest.fixture
def repository(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository whose champion is in the store and not in its cache; the test is there."""
    made = enter(tmp_path, monkeypatch)
    run("dvc", "remote", "add", "--quiet", "--default", "--local", "models", store.address, cwd=made.checkout)
    store.point(made.checkout)
    push_each()
    shutil.rmtree(".dvc/cache")
    return made


def told(done: Any, started: float) -> str:
    """The one line by which a command refused, soon."""
    assert done.returncode == 1
    assert time.monotonic() - started < SECONDS
    (line,) = done.stderr.splitlines()
    return str(line)


def test_pushed_data_is_pulled_into_a_clean_clone(checkout: Path, clone: Path) -> None:
    assert run("ontime", "pull", cwd=clone).stdout == "4 outputs checked, 5 objects fetched\n"
    for name in ("table", "first", "rates/base", "selected"):
        assert (clone / name).read_bytes() == (checkout / name).read_bytes()
    assert run("ontime", "cache", "--push", cwd=clone).stdout.endswith("\n0 objects pushed\n")


def test_a_change_is_proven_in_a_clone_from_the_store(clone: Path, store: Store, tmp_path: Path) -> None:
    run("ontime", "pull", cwd=clone)
    (clone / "code").write_text("2\n")
    run("dvc", "repro", "--quiet", cwd=clone)
    commit(clone, "other code")
    fresh = tmp_path / "fresh"
    git(tmp_path, "clone", "--quiet", str(clone), str(fresh))
    store.point(fresh)
    refused = run("ontime", "proof", "--base", "HEAD~1", cwd=fresh, check=False)
    assert f"error: output {OUTPUT}: not in the remote; run `dvc push`\n" in refused.stderr
    run("ontime", "cache", "--push", cwd=clone)
    proven = run("ontime", "proof", "--base", "HEAD~1", cwd=fresh).stdout
    assert "3 of 3 stages run again: join, baselines, select\n" in proven
    assert proven.endswith("dvc.lock: proven\n")


def test_an_object_that_was_deleted_in_the_store_is_pushed_again(store: Store, checkout: Path) -> None:
    md5 = outputs(read_lock(checkout / "dvc.lock"))[OUTPUT]
    (part,) = store.objects.listing(md5).values()
    store.objects.delete(key_of(part))
    refused = run("ontime", "proof", cwd=checkout, check=False)
    assert f"error: output {OUTPUT}: not in the remote; run `ontime cache --push`\n" in refused.stderr
    assert run("ontime", "cache", "--push", cwd=checkout).stdout.endswith("\n1 objects pushed\n")


def test_new_content_of_a_table_in_the_store_is_pinned(store: Store, tmp_path: Path) -> None:
    top = small_fork(tmp_path / "fork")

    def read(*command: str) -> Any:
        return run(*command, cwd=top, check=True, **store.variables)

    key, table = f"tables/{Path(store.table).name}", (top / "data" / "external" / "tumours.csv").read_bytes()
    store.objects.put(key, table)
    init = ("ontime", "init", "--source", store.table, "--target", "target", "--no-run")
    read(*init)
    assert read("ontime", "refresh").stdout == f"{store.table}: no new content\n"
    store.objects.put(key, b"".join(table.splitlines(keepends=True)[:300]))
    assert ": new content, pinned as " in read("ontime", "refresh").stdout


@pytest.mark.attack("remote-code")
@pytest.mark.usefixtures("repository")
def test_a_hundred_changes_of_a_byte_are_each_refused_by_name(store: Store) -> None:
    refuse_each_changed_byte(store.objects, CHAMPION, CHANGES)


@pytest.mark.attack("remote-model")
@pytest.mark.usefixtures("repository")
def test_a_push_replaces_no_object(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run("ontime", "pull", cwd=Path.cwd())
    name = next(name for name in store.objects.of_folder(CHAMPION) if not name.endswith(".dir"))
    before = store.objects.state(key_of(name))
    assert push_each() == 0
    # as if another push were first, after this one has looked
    from dvc_data.hashfile.db import HashFileDB

    monkeypatch.setattr(HashFileDB, "oids_exist", lambda *_arguments, **_options: [])
    assert push_each() > 0
    assert store.objects.state(key_of(name)) == before


def test_a_stopped_server_is_told_in_a_line(tmp_path: Path, graph: Path, store: Store) -> None:
    top = tmp_path / "checkout"
    shutil.copytree(graph, top)
    run("ontime", "init", "--remote", store.address, *store.init, cwd=top)
    with STORES[store.address.partition(":")[0]](tmp_path) as stopped:
        stopped.point(top)
    for command in (("proof",), ("cache", "--push"), ("pull",)):
        if command == ("pull",):
            shutil.rmtree(top / ".dvc" / "cache")
        started = time.monotonic()
        line = told(run("ontime", *command, cwd=top, check=False), started)
        assert line.startswith(f"error: DVC remote: 127.0.0.1:{stopped.port} cannot be reached: ")
        assert "Connection refused" in line


def test_wrong_credentials_are_told_in_a_line(store: Store, clone: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    if store.address.startswith("azure"):
        store.point(clone, connection_string=azure_connection(store.port, "d3Jvbmc="))
        line = told(run("ontime", "pull", OUTPUT, cwd=clone, check=False), started)
        assert "Server failed to authenticate the request" in line
    else:
        keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
        with http_server(lambda *arguments: Tokens(keys[0], *arguments)) as tokens:
            credentials = tmp_path / "credentials.json"
            store.point(clone, allow_anonymous_login="false", credentialpath=str(credentials))
            credentials.write_text(json.dumps(service_account(keys[1], tokens)))
            line = told(run("ontime", "pull", OUTPUT, cwd=clone, check=False), started)
            assert "Google gives no access" in line and "Invalid JWT Signature" in line
            assert not (clone / OUTPUT).exists()
            credentials.write_text(json.dumps(service_account(keys[0], tokens)))
            run("ontime", "pull", OUTPUT, cwd=clone)
            return
    assert not (clone / OUTPUT).exists()


class Tokens(JsonHandler):
    """Stands in for Google's server of tokens: one for what the account's own key signed."""

    def __init__(self, key: rsa.RSAPrivateKey, *arguments: Any) -> None:
        self.key = key
        super().__init__(*arguments)

    def do_POST(self) -> None:  # noqa: N802 - the base class names it so
        """Answer to a form, not to JSON."""
        length = int(self.headers.get("Content-Length", 0))
        self.form = dict(part.split("=", 1) for part in self.rfile.read(length).decode().split("&"))
        del self.headers["Content-Length"]
        super().do_POST()

    def respond(self, content: Any) -> tuple[int, Any]:
        """As Google answers."""
        del content
        try:
            jwt.decode(
                self.form["assertion"], self.key.public_key(), algorithms=["RS256"], options={"verify_aud": False}
            )
        except jwt.InvalidSignatureError:
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        return 200, {"access_token": "token", "expires_in": 3600, "token_type": "Bearer"}


def service_account(key: rsa.RSAPrivateKey, tokens: str) -> dict[str, str]:
    """Credentials of a service account as Google's console gives them."""
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "type": "service_account",
        "project_id": "example",
        "private_key_id": "1",
        "private_key": text,
        "client_email": "ontime-main@example.iam.gserviceaccount.com",
        "token_uri": f"http://{tokens}/token",
    }
