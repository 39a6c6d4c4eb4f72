"""Objects changed on a real S3 server: each is refused by name, before anything of it is in the checkout."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ontime.repository import s3
from ontime.repository.pull import pull
from ontime.repository.push import push_each
from tests.checkouts import run
from tests.releases import Repository, enter
from tests.remote import Bucket, key_of, refuse_each_changed_byte
from tests.s3_server import served

CHAMPION = "models/champion"
CHANGES = 100

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A server with an empty bucket."""
    with served(tmp_path_factory.mktemp("s3")) as state:
        yield state


@pytest.fixture
def bucket(server: dict[str, Any]) -> Bucket:
    """The remote, for whoever has its keys."""
    return Bucket(server)


@pytest.fixture
def repository(server: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository whose champion is on the server and not in its cache; the test is there."""
    made = enter(tmp_path, monkeypatch)
    settings = {
        "url": f"s3://{s3.BUCKET}/dvc",
        "endpointurl": f"http://127.0.0.1:{server['port']}",
        "region": "us-east-1",
        **{name: server[name] for name in ("access_key_id", "secret_access_key")},
    }
    lines = [f"    {name} = {value}" for name, value in settings.items()]
    Path(".dvc/config.local").write_text("\n".join(["['remote \"store\"']", *lines, ""]))
    push_each()
    shutil.rmtree(".dvc/cache")
    return made


@pytest.mark.attack("remote-code")
@pytest.mark.usefixtures("repository")
def test_a_hundred_changes_of_a_byte_are_each_refused_by_name(bucket: Bucket) -> None:
    refuse_each_changed_byte(bucket, CHAMPION, CHANGES)


@pytest.mark.attack("remote-model")
@pytest.mark.usefixtures("repository")
def test_a_changed_threshold_is_not_proven_and_comes_back_as_an_earlier_version(bucket: Bucket) -> None:
    (name,) = [name for name, path in bucket.of_folder(CHAMPION).items() if path.endswith("manifest.json")]
    manifest = json.loads(bucket.read(name))
    assert manifest["threshold"] == 0.5
    bucket.write(name, json.dumps({**manifest, "threshold": 0.999}).encode())
    made = run("ontime", "pull", CHAMPION, cwd=Path.cwd(), check=False)
    assert made.returncode != 0
    assert f"error: output {CHAMPION}/manifest.json: object {name}: the remote has other bytes" in made.stderr
    assert "proven" not in made.stdout
    assert not Path("models").exists()
    # as deployment/configurations/iam/README.md says
    at = {"Bucket": s3.BUCKET, "Key": key_of(name)}
    before = bucket.versions(name)[1]["VersionId"]
    bucket.client.copy_object(**at, CopySource={**at, "VersionId": before})
    pull([CHAMPION])
    assert json.loads(Path(CHAMPION, "manifest.json").read_bytes()) == manifest


@pytest.mark.attack("remote-model")
@pytest.mark.usefixtures("repository")
def test_a_push_replaces_no_object(bucket: Bucket) -> None:
    pull()
    name = next(name for name in bucket.of_folder(CHAMPION) if not name.endswith(".dir"))
    count = len(bucket.versions(name))
    assert push_each() == 0
    assert len(bucket.versions(name)) == count
    bucket.client.delete_object(Bucket=s3.BUCKET, Key=key_of(name))
    assert push_each() == 1
    assert len(bucket.versions(name)) == count + 1
