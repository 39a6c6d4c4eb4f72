"""Workflows run by act, with a bare repository, GitHub's API and a folder for what the stand-ins of actions keep."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ruamel.yaml import YAML

from ontime.repository.git import listed_files
from ontime.repository.yaml_files import editing
from tests.checkouts import BIN, TOP, commit, git
from tests.servers import JsonHandler, http_server
from tests.workflows import WORKFLOWS, uses_of

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
        self.merges: list[dict[str, Any]] = []
        self.clean = False
        """Whether a pull request has nothing to wait for, so that GitHub refuses to merge it later."""
        self.requests: list[tuple[str, str, str]] = []
        self.files: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.started: list[tuple[str, dict[str, Any]]] = []
        """Workflows that were started, and with what."""
        self.url = ""

    def get(self, path: str) -> tuple[int, Any]:
        """A pull request, the open ones, or the comments of one."""
        if path.rpartition("/pulls/")[2] in [str(one["id"]) for one in self.opened]:
            return 200, self.opened[int(path.rpartition("/")[2]) - 1]
        if "/comments" in path:
            return 200, self.comments
        if "/issues?" in path:
            (state,) = parse_qs(urlsplit(path).query)["state"]
            return 200, [one for one in self.issues if one["state"] == state]
        if "/files?" in path:
            return 200, self.files
        if "/pulls?" in path:
            (head,) = parse_qs(urlsplit(path).query)["head"]
            found = [one for one in self.opened if one["head"] == head.partition(":")[2]]
            return 200, [{"html_url": one["html_url"]} for one in found]
        number = int(path.rpartition("/")[2])
        return (200, {"head": {"sha": self.heads[number]}}) if number in self.heads else (404, {"message": "Not Found"})

    def post(self, path: str, content: Any) -> tuple[int, Any]:
        """A new comment, issue or pull request, a merge that is asked for, or a workflow that is started."""
        if path.endswith("/dispatches"):
            self.started.append((path.split("/")[-2], content))
            return 200, {}
        if path.endswith("/issues"):
            return 201, self.add_issue(content["title"], content["body"])
        if path == "/graphql":
            self.merges.append(content)
            refused = self.clean and "enablePullRequestAutoMerge" in content["query"]
            return 200, {"errors": [{"message": "Pull request is in clean status"}]} if refused else {"data": {}}
        kept = self.comments if path.endswith("/comments") else self.opened
        number, user = len(kept) + 1, {"login": "github-actions[bot]", "type": "Bot"}
        said = {"id": number, "node_id": f"PR_{number}", "html_url": f"{self.url}{path}/{number}", "user": user}
        kept.append({**content, **said})
        return 201, kept[-1]

    def patch(self, path: str, content: Any) -> tuple[int, Any]:
        """A changed comment or issue."""
        if "/comments/" not in path:
            self.issues[int(path.rpartition("/")[2]) - 1].update(content)
            return 200, self.issues[int(path.rpartition("/")[2]) - 1]
        self.comments[int(path.rpartition("/")[2]) - 1].update(content)
        return 200, self.comments[int(path.rpartition("/")[2]) - 1]

    def add_issue(self, title: str, body: str, login: str = "github-actions[bot]", kind: str = "Bot") -> dict[str, Any]:
        """An issue of an account."""
        number, user = len(self.issues) + 1, {"login": login, "type": kind}
        url = f"{self.url}/issues/{number}"
        self.issues.append(
            {"number": number, "title": title, "body": body, "state": "open", "user": user, "html_url": url}
        )
        return self.issues[-1]


@contextmanager
def hub_server() -> Iterator[Hub]:
    """The API, served."""
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
            "GITHUB_GRAPHQL_URL": f"{self.hub.url}/graphql",
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
        """Run what a pushed tag starts: workflows of the tagged commit and, after its `tag`, a workflow of main.

        Environments trust main alone, so only the latter has the app's key, variables and the signing identity.
        """
        reference = f"refs/tags/{tag}"
        commit = git(self.origin, "rev-parse", f"{reference}^{{commit}}").strip()
        outside = replace(self, variables={}, environment={})
        own = {}
        for path in git(self.origin, "ls-tree", "-r", "--name-only", commit, ".github/workflows/").splitlines():
            started_by = YAML(typ="safe").load(git(self.origin, "show", f"{commit}:{path}"))["on"]
            if "tags" in ((started_by.get("push") if isinstance(started_by, dict) else None) or {}):
                own[Path(path).stem] = outside.act("push", Path(path).stem, {"ref": reference}, reference)
        if "tag" not in own:
            return Run(False, "nothing runs after `tag`, which this commit has not")
        text = "".join(run_.text for run_ in own.values())
        run_ = {"id": 1, "event": "push", "conclusion": "success", "head_branch": tag, "head_sha": commit}
        key = {"RELEASE_APP_PRIVATE_KEY": "private-key"}
        done = self.act("workflow_run", workflow, {"workflow_run": run_}, "refs/heads/main", **key)
        return Run(done.succeeded, text + done.text)


def bare(checkout: Path, origin: Path) -> Path:
    """A bare repository of a checkout's main, which the checkout pushes to."""
    git(checkout, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    if "origin" in git(checkout, "remote"):
        git(checkout, "remote", "remove", "origin")
    git(checkout, "remote", "add", "origin", str(origin))
    git(checkout, "push", "--quiet", "origin", "main")
    git(checkout, "fetch", "--quiet", "origin")
    return origin


def set_parameters(checkout: Path, section: str, **values: Any) -> None:
    """Change parameters of a section by its dotted name."""
    with editing(checkout / "params.yaml") as content:
        for name in section.split("."):
            content = content[name]
        content.update(values)


def write_report(forge: Forge, number: str, text: str) -> Path:
    """An artifact as a run leaves it."""
    folder = forge.folder / "artifacts" / "report"
    folder.mkdir(parents=True)
    (folder / "report.md").write_text(f"{MARKER}\n\n{text}")
    (folder / "pull_request.txt").write_text(f"{number}\n")
    return folder


def copy_workflows(checkout: Path) -> None:
    """Add what workflows need of this repository to a smaller one."""
    for name in listed_files(TOP):
        if name.startswith(".github/") or name in (
            "Makefile",
            "pyproject.toml",
            "requirements.txt",
            "requirements-test.txt",
            "requirements-build.txt",
        ):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, checkout / name)
    with (checkout / ".gitignore").open("a") as ignored:
        ignored.write(".venv/\n/src\n")
    commit(checkout, "workflows")
    git(checkout, "push", "--quiet", "origin", "HEAD:main")
