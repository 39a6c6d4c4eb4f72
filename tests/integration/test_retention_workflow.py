"""The workflow `retention` run by act: what was listed of somebody goes, from a bucket that keeps versions."""

import os
import shutil
from pathlib import Path

import pytest

from ontime.model_deployment.inference.signing import PRIVATE_KEY, make_key
from ontime.repository import s3
from ontime.repository.remote import REMOTE
from tests.checkouts import BIN, commit, copy_checkout, git, run
from tests.commands import run_command
from tests.forge import ROLE, Forge, Hub, bare, set_parameters
from tests.remote import Bucket, key_of
from tests.s3_server import served

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("act", path=f"{BIN}:{os.environ['PATH']}") is None, reason="act is not installed"),
]
PERSON = "-".join(["ada", "7311"])
TABLE = "tables/visits.csv"
PERSONS = [PERSON if row == 50 else f"person-{row}" for row in range(120)]
LINES = [f"{1000 + row},{name},{row % 7},{'yes' if row % 3 else 'no'}\n" for row, name in enumerate(PERSONS)]
HEAD = "visit,person,waited,again\n"


def test_what_is_due_is_removed_by_the_scheduled_job_and_nothing_is_left_to_do_the_next_day(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = copy_checkout(tmp_path / "checkout")
    monkeypatch.chdir(top)
    with served(tmp_path / "s3") as state:
        variables = {f"AWS_{name.upper()}": str(state[name]) for name in ("access_key_id", "secret_access_key")}
        variables |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{state['port']}", "AWS_DEFAULT_REGION": "us-east-1"}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        bucket = Bucket(state)
        bucket.put(TABLE, "".join([HEAD, *LINES]).encode())
        run("dvc", "remote", "modify", REMOTE, "url", f"s3://{s3.BUCKET}/dvc", cwd=top)
        (top / "dvc.lock").unlink()
        roles = ("--target", "again", "--positive", "yes", "--key", "visit", "--personal", "person", "--no-run")
        run_command("init", "--source", f"s3://{s3.BUCKET}/{TABLE}", *roles)
        set_parameters(top, "privacy", subject="person", keep_versions_days=0)
        copy = bucket.add("".join([HEAD, LINES[50]]).encode())
        other = bucket.add("".join([HEAD, LINES[51]]).encode())
        make_key(PRIVATE_KEY)
        run_command("forget", PERSON, "--no-run")
        commit(top, "forgotten")
        forge = Forge(bare(top, tmp_path / "origin.git"), hub, tmp_path / "runs", {"REMOTE_ROLE": ROLE})
        forge.folder.mkdir()
        (forge.folder / "aws.env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        for name in variables:
            monkeypatch.delenv(name)
        done = forge.act("workflow_dispatch", "retention", {"ref": "refs/heads/main"}, "refs/heads/main")
        assert done.succeeded, done.text
        assert "removed 1 of DVC remote, 1 of versions of tables" in done.text
        assert forge.asked("configure-aws-credentials") == [ROLE]
        listed = bucket.client.list_object_versions(Bucket=s3.BUCKET)["Versions"]
        assert sorted(one["Key"] for one in listed) == sorted([key_of(other), TABLE])
        assert PERSON.encode() not in bucket.get(TABLE) and copy != other
        again = forge.act("workflow_dispatch", "retention", {"ref": "refs/heads/main"}, "refs/heads/main")
        assert again.succeeded, again.text
        assert "removed nothing" in again.text
        assert git(tmp_path / "origin.git", "rev-list", "--count", "main").strip() == "2"
