"""The workflows, run by act on this machine against a bare repository, an S3 server, a registry and GitHub's API.

Stand-ins of third-party actions are in `tests/workflow_actions`. What act does not carry out (filters of `on`,
permissions, concurrency, time limits, environments) is read from the files by `tests/test_workflows.py`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ontime.release.release_file import path_of
from ontime.repository.git import listed_files
from ontime.repository.yaml_files import editing
from tests.checkouts import BIN, TOP, commit, copy_checkout, git, locked_hashes, run, small_fork
from tests.releases import NAME, Repository, digest_of, enter, registry_server, release
from tests.servers import JsonHandler, http_server
from tests.sigstore_server import PROVIDER, sigstore_server
from tests.workflows import WORKFLOWS, uses_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("act", path=f"{BIN}:{os.environ['PATH']}") is None, reason="act is not installed"),
]
ACTIONS = TOP / "tests" / "workflow_actions"
REPOSITORY = "acme/ontime"
NUMBER = 7
MARKER = "<!-- ontime report -->"
ROLE = "arn:aws:iam::111122223333:role/ontime-pull-request"
WEAK: dict[str, dict[str, Any]] = {
    "logistic_regression": {"C": 1e-5},
    "random_forest": {"n_estimators": 1},
    "neural_network": {"epochs": 1},
}
"""Parameters of the families that are not to be champion."""
REPEATED = 3
LEFT = ("mean_smoothness", "mean_symmetry")
"""Numbers that say little."""


class Hub:
    """What GitHub's API would be asked: pull requests and their comments."""

    def __init__(self) -> None:
        self.heads: dict[int, str] = {}
        self.comments: list[dict[str, Any]] = []
        self.opened: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, str]] = []
        self.url = ""

    def get(self, path: str) -> tuple[int, Any]:
        """A pull request, the open ones, or the comments of one."""
        if "/comments" in path:
            return 200, self.comments
        if "/pulls?" in path:
            return 200, [{"html_url": one["html_url"]} for one in self.opened]
        number = int(path.rpartition("/")[2])
        return (200, {"head": {"sha": self.heads[number]}}) if number in self.heads else (404, {"message": "Not Found"})

    def post(self, path: str, content: Any) -> tuple[int, Any]:
        """A new comment or pull request."""
        kept = self.comments if path.endswith("/comments") else self.opened
        kept.append({**content, "id": len(kept) + 1, "html_url": f"{self.url}{path}/{len(kept) + 1}"})
        return 201, kept[-1]

    def patch(self, path: str, content: Any) -> tuple[int, Any]:
        """A changed comment."""
        self.comments[int(path.rpartition("/")[2]) - 1].update(content)
        return 200, self.comments[int(path.rpartition("/")[2]) - 1]


@dataclass(frozen=True)
class Run:
    """What a workflow did: whether it succeeded, and all that it printed."""

    succeeded: bool
    text: str


@dataclass(frozen=True)
class Forge:
    """A bare repository, the API beside it, and a folder for what the stand-ins keep."""

    origin: Path
    hub: Hub
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    """What the jobs have beside that, such as the address of their tokens."""

    def act(
        self, event: str, workflow: str, content: Mapping[str, Any], revision: str, *options: str, **secrets: str
    ) -> Run:
        """Run a workflow as it is at a revision of the repository."""
        self.folder.mkdir(exist_ok=True)
        seen = self.folder / "seen"
        shutil.rmtree(seen, ignore_errors=True)
        git(self.folder, "clone", "--quiet", str(self.origin), str(seen))
        git(seen, "fetch", "--quiet", "origin", revision)
        git(seen, "checkout", "--quiet", "FETCH_HEAD")
        git(seen, "remote", "set-url", "origin", f"https://github.com/{REPOSITORY}")
        (self.folder / "event.json").write_text(json.dumps(content))
        (self.folder / "config" / "act").mkdir(parents=True, exist_ok=True)
        (self.folder / "config" / "act" / "actrc").touch()
        variables = {
            "GITHUB_API_URL": self.hub.url,
            "ONTIME_TRACKING": "off",
            "PYTHONPATH": f"src:{TOP / 'src'}",
            "STAND_IN_FOLDER": str(self.folder),
            "STAND_IN_ORIGIN": f"file://{self.origin}",
            "STAND_IN_PUSH": str(ACTIONS / "docker" / "build-push-action" / "push.py"),
            "STAND_IN_VENV": str(Path(sys.prefix)),
            **self.environment,
        }
        command = [
            "act",
            event,
            f"--directory={seen}",
            f"--workflows={seen / '.github' / 'workflows' / workflow}.yml",
            f"--eventpath={self.folder / 'event.json'}",
            "--platform=ubuntu-24.04=-self-hosted",
            "--no-cache-server",
            "--no-skip-checkout",
            *(f"--local-repository={name}@{sha}={ACTIONS / name}" for name, sha in uses_of(WORKFLOWS)),
            *(f"--env={name}={value}" for name, value in variables.items()),
            *(f"--var={name}={value}" for name, value in self.variables.items()),
            *(f"--secret={name}={value}" for name, value in {"GITHUB_TOKEN": "job-token", **secrets}.items()),
            *options,
        ]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={
                **os.environ,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "XDG_CACHE_HOME": str(self.folder / "cache"),
                "XDG_CONFIG_HOME": str(self.folder / "config"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Run(done.returncode == 0, done.stdout)

    def asked(self, action: str) -> list[str]:
        """What a stand-in was asked, run by run."""
        path = self.folder / action
        return path.read_text().splitlines() if path.exists() else []

    def open_pull_request(self, work: Path) -> str:
        """Push the work's branch and merge it for a pull request, as GitHub does; the branch's commit."""
        git(work, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/change")
        head = git(work, "rev-parse", "HEAD").strip()
        base = git(work, "rev-parse", "origin/main").strip()
        merge = git(work, "commit-tree", f"{head}^{{tree}}", "-p", base, "-p", head, "-m", "merge").strip()
        git(work, "push", "--quiet", "--force", "origin", f"{merge}:refs/pull/{NUMBER}/merge")
        self.hub.heads[NUMBER] = head
        return head

    def judge(self, work: Path, owner: str = "acme") -> tuple[Run, str]:
        """Run `pull-request` on the work's branch, from this repository or somebody's fork; and the branch's commit."""
        head = self.open_pull_request(work)
        content = {
            "number": NUMBER,
            "pull_request": {
                "number": NUMBER,
                "user": {"login": owner},
                "head": {"sha": head, "ref": "change", "repo": {"full_name": f"{owner}/ontime"}},
                "base": {"ref": "main", "sha": git(work, "rev-parse", "origin/main").strip()},
            },
            "repository": {"full_name": REPOSITORY, "name": "ontime", "owner": {"login": "acme"}},
        }
        return self.act("pull_request", "pull-request", content, f"refs/pull/{NUMBER}/merge"), head

    def comment(self, head: str, event: str = "pull_request") -> Run:
        """Run `pull-request-comment` as after a run on a commit."""
        run_ = {"id": 1, "event": event, "conclusion": "failure", "head_sha": head, "head_branch": "change"}
        return self.act("workflow_run", "pull-request-comment", {"workflow_run": run_}, "refs/heads/main")

    def tagged(self, workflow: str, tag: str) -> Run:
        """Run a workflow as for a pushed tag."""
        key = {"RELEASE_APP_PRIVATE_KEY": "private-key"}
        return self.act("push", workflow, {"ref": f"refs/tags/{tag}"}, f"refs/tags/{tag}", **key)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """The API."""
    made = Hub()

    class Handler(JsonHandler):
        def respond(self, content: Any) -> tuple[int, Any]:
            made.requests.append((self.command, self.path, self.headers.get("Authorization", "")))
            if self.command == "GET":
                return made.get(self.path)
            return (made.post if self.command == "POST" else made.patch)(self.path, content)

    with http_server(Handler) as host:
        made.url = f"http://{host}"
        yield made


def bare(checkout: Path, origin: Path) -> Path:
    """A bare repository of a checkout's main, which the checkout pushes to."""
    git(checkout, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    if "origin" in git(checkout, "remote"):
        git(checkout, "remote", "remove", "origin")
    git(checkout, "remote", "add", "origin", str(origin))
    git(checkout, "push", "--quiet", "origin", "main")
    git(checkout, "fetch", "--quiet", "origin")
    return origin


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


def set_parameters(checkout: Path, section: str, **values: Any) -> None:
    """Change parameters of a section by its dotted name."""
    with editing(checkout / "params.yaml") as content:
        for name in section.split("."):
            content = content[name]
        content.update(values)


def test_a_pull_request_that_changes_no_pipeline_file_runs_nothing_and_is_not_commented_on(
    forge: Forge, work: Path
) -> None:
    (work / "README.md").write_text("# words\n")
    commit(work, "words")
    done, head = forge.judge(work)
    assert done.succeeded, done.text
    assert re.search(r"no pipeline file differs from [0-9a-f]{40}: nothing to prove", done.text)
    assert "Running stage" not in done.text
    assert not (forge.folder / "artifacts").exists()
    commented = forge.comment(head)
    assert commented.succeeded, commented.text
    assert not forge.hub.comments


def test_a_stale_lock_fails_and_names_the_stage_in_the_log_and_in_the_comment(forge: Forge, work: Path) -> None:
    set_parameters(work, "train.gradient_boosting", max_leaf_nodes=7)
    commit(work, "without repro")
    done, head = forge.judge(work)
    assert not done.succeeded
    reason = "stage train@gradient_boosting: stale, changed: params.yaml train.gradient_boosting"
    assert f"error: {reason}" in done.text
    assert "Running stage" not in done.text
    assert forge.comment(head).succeeded
    (found,) = forge.hub.comments
    assert found["body"].startswith(f"{MARKER}\n")
    assert f"- {reason};" in found["body"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("7; curl example.invalid", "not the number of a pull request"),
        ("$(id)", "not the number of a pull request"),
        ("07", "not the number of a pull request"),
        ("", "not the number of a pull request"),
        ("8", "is at ffffffffffffffffffffffffffffffffffffffff, not at"),
        ("9", "error: 404"),
    ],
)
def test_a_number_that_is_not_that_of_the_runs_commit_is_not_commented_on(
    forge: Forge, work: Path, number: str, reason: str
) -> None:
    head = git(work, "rev-parse", "HEAD").strip()
    forge.hub.heads.update({NUMBER: head, 8: "f" * 40})
    write_report(forge, number, "## Approved\n")
    done = forge.comment(head)
    assert not done.succeeded
    assert reason in done.text
    assert not forge.hub.comments


def write_report(forge: Forge, number: str, text: str) -> Path:
    """An artifact as a run leaves it."""
    folder = forge.folder / "artifacts" / "report"
    folder.mkdir(parents=True)
    (folder / "report.md").write_text(f"{MARKER}\n\n{text}")
    (folder / "pull_request.txt").write_text(f"{number}\n")
    return folder


def test_a_second_report_changes_the_first_ones_comment_and_adds_its_images_beside(forge: Forge, work: Path) -> None:
    image = b"\x89PNG\r\n\x1a\n"
    heads = []
    for text in ("first", "second"):
        (work / "README.md").write_text(text)
        commit(work, text)
        heads.append(forge.open_pull_request(work))
        shutil.rmtree(forge.folder / "artifacts", ignore_errors=True)
        folder = write_report(forge, str(NUMBER), f"{text}\n")
        (folder / "roc.png").write_bytes(image + text.encode())
        (folder / "calibration.png").write_text("#!/bin/sh\n")
        (folder / "evil.png").write_bytes(image)
        done = forge.comment(heads[-1])
        assert done.succeeded, done.text
    (found,) = forge.hub.comments
    assert found["body"] == f"{MARKER}\n\nsecond\n"
    assert {token for _, _, token in forge.hub.requests} == {"Bearer job-token"}
    listed = git(forge.origin, "ls-tree", "-r", "--name-only", "reports").split()
    assert listed == sorted(f"{head}/roc.png" for head in heads)
    shown = ["git", "show", f"reports:{heads[0]}/roc.png"]
    assert subprocess.run(shown, cwd=forge.origin, capture_output=True, check=True).stdout == image + b"first"
    # nothing of the repository is in that branch, and nothing of it in main
    assert git(forge.origin, "log", "--format=%s", "main").split() == ["copy"]


def test_a_run_that_was_no_pull_requests_is_not_commented_on(forge: Forge, work: Path) -> None:
    write_report(forge, str(NUMBER), "text\n")
    head = forge.open_pull_request(work)
    assert forge.comment(head, event="push").succeeded
    assert not forge.hub.requests


def copy_workflows(checkout: Path) -> None:
    """Add what workflows need of this repository to a smaller one."""
    for name in listed_files(TOP):
        if name.startswith(".github/") or name in (
            "Makefile",
            "pyproject.toml",
            "requirements.txt",
            "requirements-test.txt",
        ):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, checkout / name)
    with (checkout / ".gitignore").open("a") as ignored:
        ignored.write(".venv/\n/src\n")
    commit(checkout, "workflows")
    git(checkout, "push", "--quiet", "origin", "HEAD:main")


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


def test_a_promotion_opens_a_pull_request_that_changes_the_stages_release_alone(
    released: tuple[Repository, Forge],
) -> None:
    repository, forge = released
    tag = f"{NAME}#production#1"
    done = forge.tagged("promote", tag)
    assert done.succeeded, done.text
    (opened,) = forge.hub.opened
    assert opened["title"] == "Release v1.0.0 to production"
    assert (opened["base"], opened["head"]) == ("main", f"promote/{NAME}-production-1")
    assert tag in opened["body"]
    repository.git("fetch", "--quiet", "origin")
    changed = repository.git("diff", "--name-only", "origin/main", f"origin/{opened['head']}")
    assert changed == str(path_of("production"))
    staged, proposed = (
        repository.git("show", f"origin/{branch}:{path_of(stage)}")
        for branch, stage in (("main", "staging"), (opened["head"], "production"))
    )
    assert proposed == staged
    assert f"digest: {digest_of('v1.0.0')}" in proposed
    assert forge.asked("create-github-app-token") == ["Iv1 contents:write pull-requests:write"]
    assert {token for _, _, token in forge.hub.requests} == {"Bearer app-token"}
    assert set(forge.asked("setup-uv")) == {"cache: false"}


def test_a_promotion_that_runs_again_keeps_its_branch_and_its_pull_request(released: tuple[Repository, Forge]) -> None:
    repository, forge = released
    assert forge.tagged("promote", f"{NAME}#production#1").succeeded
    before = git(repository.origin, "for-each-ref")
    done = forge.tagged("promote", f"{NAME}#production#1")
    assert done.succeeded, done.text
    assert len(forge.hub.opened) == 1
    assert git(repository.origin, "for-each-ref") == before


def test_a_tag_that_promotes_what_never_ran_before_opens_nothing(released: tuple[Repository, Forge]) -> None:
    repository, forge = released
    repository.make_model("third")
    release("register", "v1.1.0", "--push")
    repository.tag(f"{NAME}#production#2", f"{NAME}@v1.1.0")
    repository.git("push", "--quiet", "--tags", "origin")
    done = forge.tagged("promote", f"{NAME}#production#2")
    assert not done.succeeded
    assert "error: v1.1.0: never ran in staging" in done.text
    assert not forge.hub.opened
    assert not forge.asked("create-github-app-token")


@pytest.mark.rehearsal
def test_ci_runs_the_tasks_of_the_makefile(forge: Forge) -> None:
    done = forge.act("push", "ci", {"ref": "refs/heads/main"}, "refs/heads/main", "--matrix=task:lint")
    assert done.succeeded, done.text
    assert "Success: no issues found" in done.text


@dataclass(frozen=True)
class Team:
    """A repository with a graph that has run, its S3 remote, and a clone where somebody works."""

    origin: Path
    clone: Path
    graph: str
    """The commit of main."""
    aws: str
    """The remote's address and keys as environment variables, a line each."""


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
    forge = Forge(team.origin, hub, tmp_path / "runs", {"AWS_ROLE": ROLE, "RELEASE_APP_CLIENT_ID": "Iv1"})
    forge.folder.mkdir()
    (forge.folder / "aws.env").write_text(team.aws)
    return forge


def train(team: Team) -> None:
    """Run what a change touches, push, commit."""
    run("dvc", "repro", "--quiet", cwd=team.clone)
    run("dvc", "push", "--quiet", cwd=team.clone)
    commit(team.clone, "change")


@pytest.mark.rehearsal
def test_a_pull_request_that_improves_is_proven_judged_and_commented_on(team: Team, trusted: Forge) -> None:
    set_parameters(team.clone, "train.gradient_boosting", max_iter=60)
    train(team)
    done, head = trusted.judge(team.clone)
    assert done.succeeded, done.text
    assert "4 of 15 stages run again: train@gradient_boosting, evaluate@gradient_boosting, select, export" in done.text
    assert trusted.asked("configure-aws-credentials") == [ROLE]
    assert trusted.comment(head).succeeded
    (found,) = trusted.hub.comments
    assert "## Gate passed" in found["body"]
    assert "`train.gradient_boosting.max_iter`: `5` → `60`" in found["body"]
    assert "- deleted:" not in found["body"]
    for name in ("roc", "calibration"):
        assert f"](https://github.com/{REPOSITORY}/raw/reports/{head}/{name}.png)" in found["body"]
        assert git(team.origin, "cat-file", "-t", f"reports:{head}/{name}.png").strip() == "blob"


@pytest.mark.rehearsal
def test_a_pull_request_that_regresses_fails_and_its_comment_says_metric_and_slice(team: Team, trusted: Forge) -> None:
    numbers = json.loads((team.clone / "data" / "processed" / "feature_layout.json").read_text())["numbers"]
    set_parameters(team.clone, "data.options", exclude=[name for name in numbers if name not in LEFT])
    set_parameters(team.clone, "export", page_features=[*LEFT, "clinic"])
    train(team)
    done, head = trusted.judge(team.clone)
    assert not done.succeeded
    assert "error: gate: failed: roc_auc from 0." in done.text
    assert trusted.comment(head).succeeded
    (found,) = trusted.hub.comments
    assert "## Gate failed" in found["body"]
    for name in ("roc_auc", "clinic=[ab]"):
        assert re.search(rf"^\| {name} \|.*\*\*regressed\*\* \|$", found["body"], re.MULTILINE), found["body"]


@pytest.mark.rehearsal
def test_outputs_that_were_not_pushed_fail_by_name(team: Team, trusted: Forge) -> None:
    set_parameters(team.clone, "train.gradient_boosting", max_iter=7)
    run("dvc", "repro", "--quiet", cwd=team.clone)
    commit(team.clone, "not pushed")
    done, head = trusted.judge(team.clone)
    assert not done.succeeded
    assert "error: output models/training_runs/gradient_boosting/model: not in the remote; run `dvc push`" in done.text
    assert "Running stage" not in done.text
    assert trusted.comment(head).succeeded
    assert "not in the remote" in trusted.hub.comments[0]["body"]


@pytest.mark.rehearsal
def test_a_forks_pull_request_is_proven_without_secrets_and_commented_on_by_the_second_workflow(
    team: Team, trusted: Forge
) -> None:
    set_parameters(team.clone, "train.gradient_boosting", max_iter=40)
    run("dvc", "repro", "--quiet", cwd=team.clone)
    commit(team.clone, "boosting")
    done, head = trusted.judge(team.clone, owner="stranger")
    assert done.succeeded, done.text
    assert not trusted.asked("configure-aws-credentials")
    assert "AWS_" not in done.text
    assert "4 of 15 stages run again" in done.text
    assert not trusted.hub.requests
    assert trusted.comment(head).succeeded
    (found,) = trusted.hub.comments
    assert "## Gate passed" in found["body"]


@pytest.mark.rehearsal
def test_a_version_is_built_signed_and_released_to_staging_by_digest(
    team: Team, trusted: Forge, tmp_path: Path
) -> None:
    name = YAML(typ="safe").load(team.clone / "params.yaml")["export"]["name"]
    git(team.clone, "switch", "--quiet", "--force-create", "main", "origin/main")
    run("ontime", "release", "register", "v1.0.0", "--push", cwd=team.clone)
    identity = f"https://github.com/{REPOSITORY}/.github/workflows/release.yml@refs/tags/{name}@v1.0.0"
    trust_config = tmp_path / "sigstore.json"
    with registry_server(tmp_path) as host, sigstore_server(identity) as sigstore:
        trusted.variables["REGISTRY"] = host
        trust_config.write_text(sigstore.trust_config)
        trusted.environment.update(sigstore.variables, ONTIME_TRUST_CONFIG=str(trust_config))
        done = trusted.tagged("release", f"{name}@v1.0.0")
        assert done.succeeded, done.text
        git(team.clone, "pull", "--quiet", "origin", "main")
        text = (team.clone / path_of("staging")).read_text()
        (digest,) = re.findall(r"digest: (sha256:[0-9a-f]{64})", text)
        assert f"newName: {host}/{REPOSITORY}" in text
        image = f"{host}/{REPOSITORY}"
        assert trusted.asked("build-push-action") == [f"{image}:1.0.0 sbom: true, provenance: mode=max"]
        assert trusted.asked("cosign") == [f"sign --yes {image}@{digest}"]
        assert trusted.asked("attest") == [f"{image}@{digest}"]
        assert set(trusted.asked("setup-uv")) == {"cache: false"}
        assert git(team.clone, "diff", "--name-only", "HEAD~1").split() == [str(path_of("staging"))]
        options = [f"--identity-provider={PROVIDER}", f"--trust-config={trust_config}", "staging"]
        who = identity.replace(f"{name}@v1.0.0", "{tag}")
        verified = run("ontime", "verify", "release", f"--identity={who}", *options, cwd=team.clone).stdout
        assert verified.splitlines()[-1] == f"signature     models/champion.sig: by {identity}"
        run("ontime", "release", "assign", "v1.0.0", "production", "--push", cwd=team.clone)
        assert trusted.tagged("promote", f"{name}#production#1").succeeded
    assert trusted.hub.opened[0]["title"] == "Release v1.0.0 to production"


@pytest.mark.rehearsal
def test_retraining_on_new_data_pushes_its_outputs_and_opens_a_pull_request(team: Team, trusted: Forge) -> None:
    table = team.clone / "data" / "external" / "tumours.csv"
    lines = table.read_text().splitlines(keepends=True)
    git(team.clone, "switch", "--quiet", "--force-create", "main", "origin/main")
    table.write_text("".join(lines[:-30]))
    commit(team.clone, "new rows came")
    git(team.clone, "push", "--quiet", "origin", "main")
    content = {"action": "drift", "client_payload": {"feature": "worst_area"}}
    key = {"RELEASE_APP_PRIVATE_KEY": "private-key"}
    done = trusted.act("repository_dispatch", "retrain", content, "refs/heads/main", **key)
    assert done.succeeded, done.text
    (opened,) = trusted.hub.opened
    assert "worst_area" in opened["body"]
    git(team.clone, "fetch", "--quiet", "origin")
    changed = git(team.clone, "diff", "--name-only", "origin/main", f"origin/{opened['head']}").split()
    assert changed == ["dvc.lock", "params.yaml"]
    git(team.clone, "switch", "--quiet", "--detach", f"origin/{opened['head']}")
    missing = run("dvc", "data", "status", "--not-in-remote", "--json", cwd=team.clone).stdout
    assert not json.loads(missing).get("not_in_remote")
    assert locked_hashes(team.clone)


@pytest.mark.rehearsal
@pytest.mark.usefixtures("team")
def test_the_whole_graph_is_reproduced_by_its_workflow(trusted: Forge) -> None:
    done = trusted.act("schedule", "reproduce", {}, "refs/heads/main")
    assert done.succeeded, done.text
    assert done.text.count("outputs identical to dvc.lock") == 3
