"""A small fork that has run, and repositories whose workflows act runs."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checkouts import copy_checkout, git, reproduce, run, small_fork
from tests.forge import ROLE, Forge, Hub, bare, copy_workflows, hub_server
from tests.once import MakeOnce
from tests.releases import Repository, enter, release
from tests.teams import Team, team_at, team_graph


@pytest.fixture(scope="session")
def copy_of_run(once: MakeOnce) -> Callable[[Path], Path]:
    """A function that copies a small fork whose graph has run, dvc.lock not yet committed."""

    def make(top: Path) -> None:
        reproduce(small_fork(top / "checkout"))

    def copy(target: Path) -> Path:
        return shutil.copytree(once("small_fork", make) / "checkout", target, symlinks=True)

    return copy


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
def team(tmp_path_factory: pytest.TempPathFactory, once: MakeOnce) -> Iterator[Team]:
    """A small repository and its remote."""
    clone = tmp_path_factory.mktemp("team") / "clone"
    shutil.copytree(once("team", team_graph) / "clone", clone, symlinks=True)
    with team_at(clone) as made:
        yield made


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
