"""Repositories whose workflows act runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkouts import TOP, commit, copy_checkout, git, run, small_fork
from tests.forge import (
    REPEATED,
    ROLE,
    WEAK,
    Forge,
    Hub,
    Team,
    bare,
    copy_workflows,
    hub_server,
    set_parameters,
)
from tests.releases import Repository, enter, release


@pytest.fixture
def hub() -> Iterator[Hub]:
    """The API."""
    with hub_server() as made:
        yield made


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A branch of the checkout as it is here, without data."""
    top = copy_checkout(tmp_path / "work")
    bare(top, tmp_path / "origin.git")
    git(top, "switch", "--quiet", "--create", "change")
    return top


@pytest.fixture
def forge(work: Path, hub: Hub, tmp_path: Path) -> Forge:
    """A repository without DVC remote."""
    return Forge(work.parent / "origin.git", hub, tmp_path / "runs")


@pytest.fixture
def released(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> tuple[Repository, Forge]:
    """A repository whose v1.0.0 runs in staging and is assigned to production."""
    (tmp_path / "repository").mkdir()
    repository = enter(tmp_path / "repository", monkeypatch)
    copy_workflows(repository.checkout)
    repository.make_model("second")
    release("register", "v1.0.0", "--push")
    repository.publish("staging", "v1.0.0")
    release("assign", "v1.0.0", "production", "--push")
    return repository, Forge(repository.origin, hub, tmp_path / "runs", {"RELEASE_APP_CLIENT_ID": "Iv1"})


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A small fork, whose champion is boosting, with rows enough that a slice of half of them is judged."""
    top = tmp_path_factory.mktemp("team")
    clone = small_fork(top / "clone")
    table = clone / "data" / "external" / "tumours.csv"
    header, *rows = table.read_text().splitlines()
    with_clinic = [f"{row},{'ab'[place % 2]}" for place, row in enumerate(rows * REPEATED)]
    table.write_text("\n".join([f"{header},clinic", *with_clinic, ""]))
    run("ontime", "init", "--source", "data/external/tumours.csv", "--target", "target", "--no-run", cwd=clone)
    for family, values in {**WEAK, "gradient_boosting": {"max_iter": 5}}.items():
        set_parameters(clone, f"train.{family}", **values)
    set_parameters(clone, "gate", slice_rows=20, slices={"absolute": 0.0, "relative": 0.0})
    (clone / ".gto").write_bytes((TOP / ".gto").read_bytes())
    run("dvc", "repro", "--quiet", cwd=clone)
    commit(clone, "graph")
    run("ontime", "s3", cwd=clone)
    try:
        run("dvc", "push", "--quiet", cwd=clone)
        state = json.loads((clone / ".s3" / "server.json").read_text())
        aws = (
            f"AWS_ENDPOINT_URL=http://127.0.0.1:{state['port']}\n"
            f"AWS_ACCESS_KEY_ID={state['access_key_id']}\nAWS_SECRET_ACCESS_KEY={state['secret_access_key']}\n"
        )
        yield Team(bare(clone, top / "origin.git"), clone, git(clone, "rev-parse", "HEAD").strip(), aws)
    finally:
        run("ontime", "s3", "--off", cwd=clone)


@pytest.fixture
def trusted(team: Team, hub: Hub, tmp_path: Path) -> Forge:
    """The team's repository, whose branches may read the remote."""
    git(team.clone, "switch", "--quiet", "--discard-changes", "--force-create", "change", team.graph)
    git(team.clone, "push", "--quiet", "--force", "origin", f"{team.graph}:refs/heads/main")
    git(team.clone, "fetch", "--quiet", "--force", "origin")
    run("dvc", "checkout", "--quiet", "--force", cwd=team.clone)
    forge = Forge(team.origin, hub, tmp_path / "runs", {"REMOTE_ROLE": ROLE, "RELEASE_APP_CLIENT_ID": "Iv1"})
    forge.folder.mkdir()
    (forge.folder / "aws.env").write_text(team.aws)
    return forge


@pytest.mark.rehearsal
@pytest.mark.usefixtures("team")
def test_the_whole_graph_is_reproduced_by_its_workflow(trusted: Forge) -> None:
    done = trusted.act("schedule", "reproduce", {}, "refs/heads/main")
    assert done.succeeded, done.text
    assert done.text.count("outputs identical to dvc.lock") == 3
