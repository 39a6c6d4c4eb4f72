"""What the machine reaches: real servers that answer, refuse, or are not there."""

import json
import sys
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.doctor import reach
from ontime.repository.s3 import BUCKET
from tests.checkouts import git, run
from tests.s3_server import served
from tests.servers import free_port


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A DVC repository with a remote on S3 and nothing else of the project."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    run("dvc", "init", "--quiet", cwd=folder)
    run("dvc", "remote", "add", "--quiet", "--default", "models", f"s3://{BUCKET}/dvc", cwd=folder)
    return folder


def point(folder: Path, port: object, access_key_id: object, secret_access_key: object) -> None:
    """Set where the remote is, and the keys."""
    options = {
        "endpointurl": f"http://127.0.0.1:{port}",
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
    }
    lines = [f"    {name} = {value}\n" for name, value in options.items()]
    (folder / ".dvc" / "config.local").write_text("['remote \"models\"']\n" + "".join(lines))


@pytest.mark.integration
def test_a_remote_is_ok_with_its_keys_and_absent_with_others(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    with served(tmp_path / "s3") as state:
        port, name, secret = (state[key] for key in ("port", "access_key_id", "secret_access_key"))
        point(repository, port, name, secret)
        assert reach.remote() == f"s3://{BUCKET}/dvc/files/md5"
        point(repository, port, name, "wrong")
        with pytest.raises(OntimeError) as refused:
            reach.remote()
        assert "\n" not in str(refused.value)
        assert "s3://" in str(refused.value)
        point(repository, port, "nobody", secret)
        with pytest.raises(OntimeError):
            reach.remote()
    done = run(sys.executable, "-m", "ontime", "doctor", "--json", cwd=repository, check=False)
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert found["remote"]["state"] == "absent"
    assert "endpoint" in found["remote"]["found"].lower()
    assert "Traceback" not in done.stderr


def test_a_source_that_is_not_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("data: {source: data/external/t.csv}\n")
    with pytest.raises(OntimeError, match=r"^data/external/t\.csv: not here$"):
        reach.source()
    Path("params.yaml").write_text("data:\n  source: s3://bucket/t.csv\n")
    assert reach.source() == "s3://bucket/t.csv"


def test_a_registry_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    with pytest.raises(OntimeError, match="no workflow names a registry"):
        reach.registry()
    workflow = tmp_path / ".github" / "workflows" / "release.yml"
    workflow.parent.mkdir(parents=True)
    port = free_port()
    workflow.write_text(f"registry: ${{{{ vars.REGISTRY || '127.0.0.1:{port}' }}}}\n")
    with pytest.raises(OntimeError, match=rf"^127\.0\.0\.1:{port} cannot be reached: Connection refused$"):
        reach.registry()


def test_a_cluster_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OntimeError, match=r"^kubectl is not on PATH$"):
        reach.cluster()
    (tmp_path / "kubectl").write_text("#!/bin/sh\necho 'E1 try again' >&2\necho 'connection refused' >&2\nexit 1\n")
    (tmp_path / "kubectl").chmod(0o755)
    with pytest.raises(OntimeError, match=r"^connection refused$"):
        reach.cluster()
