"""The workflows, run by act, while somebody else writes to the DVC remote."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ontime.repository import s3
from tests.checkouts import commit, git, locked_hashes, run
from tests.forge import Forge
from tests.remote import Bucket, Pickled, leaving, with_file
from tests.teams import Team

CHAMPION = "models/champion"
MODEL = "models/training_runs/random_forest/model"
OTHER_BYTES = "the remote has other bytes by that name"
KEY = {"RELEASE_APP_PRIVATE_KEY": "private-key"}

pytestmark = [pytest.mark.integration, pytest.mark.rehearsal]


@pytest.fixture
def bucket(team: Team) -> Bucket:
    """The team's remote."""
    return Bucket(json.loads((team.clone / s3.STATE).read_text()))


@pytest.fixture
def marker(trusted: Forge) -> Path:
    """A file that attacking code would leave."""
    return trusted.folder / "was here"


@pytest.fixture
def tag(team: Team, trusted: Forge) -> Iterator[str]:
    """A registered version."""
    name = YAML(typ="safe").load(team.clone / "params.yaml")["export"]["name"]
    git(team.clone, "switch", "--quiet", "--force-create", "main", "origin/main")
    if not git(team.clone, "tag", "--list", f"{name}@v1.0.0"):
        run("ontime", "release", "register", "v1.0.0", "--push", cwd=team.clone)
    yield f"{name}@v1.0.0"
    for asked in ("build-push-action", "cosign", "attest"):
        assert not trusted.asked(asked)


@pytest.mark.attack("remote-code")
def test_a_listing_that_leads_out_of_its_folder_writes_nothing_into_the_release(
    team: Team, trusted: Forge, bucket: Bucket, tag: str, marker: Path
) -> None:
    name = locked_hashes(team.clone)[CHAMPION]
    listing = with_file(bucket.read(name), "../../src/sitecustomize.py", bucket.add(leaving(marker)))
    with bucket.overwritten(name, listing):
        done = trusted.tagged("release", tag)
    assert not done.succeeded
    assert f"output {CHAMPION}: object {name}: {OTHER_BYTES}" in done.text
    assert not marker.exists()
    assert not list(trusted.folder.rglob("src/sitecustomize.py"))


@pytest.mark.attack("remote-model")
def test_a_model_with_another_threshold_is_neither_proven_nor_signed(
    team: Team, trusted: Forge, bucket: Bucket, tag: str
) -> None:
    name = bucket.listing(locked_hashes(team.clone)[CHAMPION])["manifest.json"]
    manifest = json.loads(bucket.read(name))
    manifest["threshold"] = 0.999
    with bucket.overwritten(name, json.dumps(manifest).encode()):
        done = trusted.tagged("release", tag)
    assert not done.succeeded
    assert f"output {CHAMPION}/manifest.json: object {name}: {OTHER_BYTES}" in done.text
    assert "dvc.lock: proven" not in done.text
    assert not list(trusted.folder.rglob("champion.sig"))


@pytest.mark.attack("remote-code")
def test_a_replaced_pickle_is_not_loaded_by_retraining(
    team: Team, trusted: Forge, bucket: Bucket, marker: Path
) -> None:
    name = bucket.listing(locked_hashes(team.clone)[MODEL])["model.joblib"]
    content = {"inputs": {"settings": "decision.false_alarm_cost=2.0"}}
    with bucket.overwritten(name, pickle.dumps(Pickled(marker))):
        done = trusted.act("workflow_dispatch", "retrain", content, "refs/heads/main", **KEY)
    assert not done.succeeded
    assert f"output {MODEL}/model.joblib: object {name}: {OTHER_BYTES}" in done.text
    assert not marker.exists()
    assert not trusted.hub.opened


@pytest.mark.attack("remote-code")
def test_a_branch_whose_lock_names_a_file_for_an_object_is_refused(team: Team, trusted: Forge) -> None:
    lock = team.clone / "dvc.lock"
    name = locked_hashes(team.clone)[CHAMPION]
    lock.write_text(lock.read_text().replace(name, "../../../../src/x.dir"))
    commit(team.clone, "another hash")
    done, _ = trusted.judge(team.clone)
    assert not done.succeeded
    assert f"output {CHAMPION}: not an MD5: '../../../../src/x.dir'" in done.text
