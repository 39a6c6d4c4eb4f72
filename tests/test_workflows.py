"""The workflows as files: pinned actions, few permissions, bounded time, and no text of others in a shell."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ontime.common.errors import OntimeError
from ontime.release.tags import check_tag_name, read_event
from tests.checkouts import BIN, TOP, git
from tests.owned import text_of
from tests.workflows import GITHUB, USES, WORKFLOWS, uses_of

NAMES = [path.stem for path in WORKFLOWS if path.parent.name == "workflows"]
PINS = {
    "actions/attest": ("f7c74d28b9d84cb8768d0b8ca14a4bac6ef463e6", "v4.2.0"),
    "actions/cache": ("55cc8345863c7cc4c66a329aec7e433d2d1c52a9", "v6.1.0"),
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/create-github-app-token": ("bcd2ba49218906704ab6c1aa796996da409d3eb1", "v3.2.0"),
    "actions/dependency-review-action": ("2031cfc080254a8a887f58cffee85186f0e49e48", "v4.9.0"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/upload-artifact": ("043fb46d1a93c77aae656e7c1c64a875d1fc6a0a", "v7.0.1"),
    "aws-actions/configure-aws-credentials": ("e6de054238d6b7531b4efff3b6587d9aade6a06c", "v6.2.3"),
    "azure/login": ("f5d393ae46f8fde4be8b75f32e3fc50e654ad0ca", "v3.0.1"),
    "docker/build-push-action": ("53b7df96c91f9c12dcc8a07bcb9ccacbed38856a", "v7.3.0"),
    "docker/login-action": ("dbcb813823bdd20940b903addbd779551569679f", "v4.6.0"),
    "docker/setup-buildx-action": ("37fe631027851001ddb9b187196cc803df7f5f0e", "v4.3.0"),
    "github/codeql-action/analyze": ("8aad20d150bbac5944a9f9d289da16a4b0d87c1e", "v4.36.2"),
    "github/codeql-action/init": ("8aad20d150bbac5944a9f9d289da16a4b0d87c1e", "v4.36.2"),
    "google-github-actions/auth": ("7c6bc770dae815cd3e89ee6cdf493a5fab2cc093", "v3.0.0"),
    "sigstore/cosign-installer": ("6f9f17788090df1f26f669e9d70d6ae9567deba6", "v4.1.2"),
}
"""Commit and version of each action that may be used."""
LOCAL = "./.github/actions/"
REUSED = "./.github/workflows/"
OF_OTHERS = re.compile(r"github\.event|github\.head_ref|github\.ref_name|inputs\.|secrets\.|steps\.|needs\.|vars\.")
"""Contexts whose text others choose, or that are secret: they reach a shell as variables alone."""
LINTERS = {
    "actionlint": ["actionlint"],
    "zizmor": ["zizmor", "--offline", "--persona", "pedantic", "."],
    "check-jsonschema": [
        "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        *(str(path) for path in WORKFLOWS if path.parent.name == "workflows"),
    ],
    "check-jsonschema, actions": [
        "check-jsonschema",
        "--builtin-schema",
        "vendor.github-actions",
        *(str(path) for path in WORKFLOWS if path.parent.name != "workflows"),
    ],
    "check-jsonschema, dependabot": [
        "check-jsonschema",
        "--builtin-schema",
        "vendor.dependabot",
        str(GITHUB / "dependabot.yml"),
    ],
    "check-jsonschema, issue forms": [
        "check-jsonschema",
        "--builtin-schema",
        "vendor.github-issue-forms",
        *(str(path) for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"),
    ],
    "check-jsonschema, issues": [
        "check-jsonschema",
        "--builtin-schema",
        "vendor.github-issue-config",
        str(GITHUB / "ISSUE_TEMPLATE" / "config.yml"),
    ],
    "check-jsonschema, citation": [
        "check-jsonschema",
        "--builtin-schema",
        "vendor.citation-file-format",
        str(TOP / "CITATION.cff"),
    ],
    "shellcheck": [
        "shellcheck",
        *(str(path) for path in sorted((GITHUB / "scripts").glob("*.sh"))),
        str(TOP / "pipelines" / "start.sh"),
    ],
}


def load(name: str) -> dict[str, Any]:
    """A workflow's content; its `on`, which YAML 1.1 reads as true, is text in YAML 1.2."""
    content: dict[str, Any] = YAML(typ="safe").load(GITHUB / "workflows" / f"{name}.yml")
    return content


def jobs() -> Iterator[Any]:
    """Each job of each workflow."""
    for name in NAMES:
        for job, content in load(name)["jobs"].items():
            if not content.get("uses", "").startswith(REUSED):
                yield pytest.param(content, id=f"{name}: {job}")


def steps(path: Path) -> list[dict[str, Any]]:
    """The steps of a workflow's jobs or of a composite action."""
    content = YAML(typ="safe").load(path)
    if "runs" in content:
        found: list[dict[str, Any]] = content["runs"]["steps"]
        return found
    return [step for job in content["jobs"].values() for step in job.get("steps", [])]


def test_every_workflow_of_the_loop_is_here() -> None:
    wanted = {
        "ci",
        "pull-request",
        "pull-request-comment",
        "release-file",
        "reproduce",
        "retrain",
        "rehearsal",
        "monitor",
    }
    assert wanted | {"tag", "release", "sign", "promote"} <= set(NAMES)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_action_is_pinned_to_a_known_commit_with_its_version_behind(path: Path) -> None:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if re.search(r"\buses:", line)]
    for line in lines:
        if REUSED in line:
            assert (TOP / line.split()[-1]).is_file()
            continue
        if LOCAL in line:
            assert (TOP / line.split()[-1] / "action.yml").is_file()
            continue
        found = USES.search(line)
        assert found, line
        assert PINS[found[1]] == (found[2], found[3]), line


def test_every_pinned_action_is_used() -> None:
    assert {name for name, _ in uses_of(WORKFLOWS)} == set(PINS)


@pytest.mark.parametrize("name", PINS)
def test_an_action_has_a_stand_in_with_which_workflows_run_here(name: str) -> None:
    assert (TOP / "tests" / "workflow_actions" / name / "action.yml").is_file()


def test_a_checkout_leaves_an_annotated_tag_as_it_is() -> None:
    """Before v6.0.2 it put a lightweight one in its place, which `ontime release check` refuses."""
    _, version = PINS["actions/checkout"]
    assert [int(part) for part in version.removeprefix("v").split(".")] >= [6, 0, 2]


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_may_read_the_repository_at_most(name: str) -> None:
    assert load(name)["permissions"] in ({}, {"contents": "read"})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_raised_permission_says_why(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.search(r"^\s+[a-z-]+: write\b", line):
            assert re.search(r": write # \w+", line), line


@pytest.mark.parametrize("job", jobs())
def test_a_job_has_a_time_limit_and_a_fixed_runner(job: dict[str, Any]) -> None:
    assert 0 < job["timeout-minutes"] <= 330
    assert job["runs-on"] == "ubuntu-24.04"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_text_of_others_is_part_of_a_script(path: Path) -> None:
    for step in steps(path):
        expressions = re.findall(r"\$\{\{(.*?)\}\}", step.get("run", ""))
        assert not [one for one in expressions if OF_OTHERS.search(one)], step
        assert not expressions or step.get("shell"), step


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_checkout_keeps_its_token_only_where_something_is_pushed(path: Path) -> None:
    pushes = {"release": 1, "promote": 1}
    kept = [
        step["with"]["persist-credentials"]
        for step in steps(path)
        if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert all(isinstance(one, bool) for one in kept)
    assert sum(kept) == pushes.get(path.stem, 0)


@pytest.mark.parametrize("name", NAMES)
def test_only_what_runs_for_a_pull_request_is_ever_cancelled(name: str) -> None:
    concurrency = load(name)["concurrency"]
    cancels = {
        "ci": "${{ github.event_name == 'pull_request' }}",
        "pull-request": True,
        "release-file": True,
        "dependency-review": True,
    }
    assert concurrency["cancel-in-progress"] == cancels.get(name, False)


@pytest.mark.parametrize("name", ["release", "promote"])
def test_no_release_or_promotion_waits_in_a_group_with_another(name: str) -> None:
    # of the runs that wait in one group GitHub keeps the last
    assert load(name)["concurrency"]["group"] == f"{name}-${{{{ github.event.workflow_run.head_branch }}}}"


def test_code_of_a_pull_request_runs_without_secrets_and_may_write_nothing() -> None:
    text = (GITHUB / "workflows" / "pull-request.yml").read_text(encoding="utf-8")
    content = load("pull-request")
    assert "secrets." not in text
    assert list(content["on"]) == ["pull_request"]
    assert content["jobs"]["pull-request"]["permissions"] == {"contents": "read", "id-token": "write"}
    role = content["jobs"]["pull-request"]["env"]["ROLE"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in role


def test_the_workflow_that_comments_runs_the_default_branchs_code_alone() -> None:
    content = load("pull-request-comment")
    assert content["permissions"] == {}
    assert content["on"] == {"workflow_run": {"workflows": ["pull-request"], "types": ["completed"]}}
    for job in content["jobs"].values():
        assert not [step for step in job["steps"] if "ref" in step.get("with", {})]
        assert "secrets" not in json.dumps(job)


def test_what_may_change_an_environment_is_behind_it() -> None:
    for name, job, environment in (
        ("release", "model", "staging"),
        ("release", "publish", "staging"),
        ("promote", "promote", "${{ needs.check.outputs.stage }}"),
        ("retrain", "train", "main"),
        ("retrain", "propose", "main"),
        ("monitor", "check", "monitoring"),
        ("retention", "remove", "privacy"),
    ):
        assert load(name)["jobs"][job]["environment"] == environment
    with_secrets = {
        (name, job)
        for name in NAMES
        for job, content in load(name)["jobs"].items()
        if "secrets." in json.dumps(content) and "environment" not in content
    }
    assert not with_secrets


@pytest.mark.attack("dispatch-input")
def test_the_job_that_trains_holds_no_token_that_writes_and_no_secret() -> None:
    train, propose = (load("retrain")["jobs"][name] for name in ("train", "propose"))
    assert train["permissions"] == {"contents": "read", "id-token": "write"}
    assert "secrets." not in json.dumps(train)
    assert "github.token" not in json.dumps(train)
    assert propose["permissions"] == {"contents": "read"}
    names = [step.get("uses", step.get("run", "")).partition("@")[0] for step in propose["steps"]]
    checked = next(place for place, name in enumerate(names) if name.startswith("ontime propose"))
    # the app's token is there only after what was left has been checked
    assert names.index("actions/create-github-app-token") > checked


def test_the_job_that_reads_the_log_may_write_no_issue_and_start_nothing() -> None:
    jobs_ = load("monitor")["jobs"]
    assert {name: job["permissions"] for name, job in jobs_.items()} == {
        "check": {"contents": "read", "id-token": "write"},
        "incidents": {"contents": "read", "issues": "write"},
        "challenger": {"contents": "read", "actions": "write"},
    }
    assert "github.token" not in json.dumps(jobs_["check"])
    assert "secrets." not in json.dumps(jobs_)
    for name in ("incidents", "challenger"):
        assert "REMOTE_ROLE" not in json.dumps(jobs_[name])
        assert jobs_[name]["needs"] == "check"


def test_the_job_that_deletes_runs_each_day_and_may_write_nothing_here() -> None:
    content = load("retention")
    assert "schedule" in content["on"]
    (job,) = content["jobs"].values()
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert job["steps"][-1]["run"] == "ontime forget --due"
    assert "secrets." not in json.dumps(job)
    assert "github.token" not in json.dumps(job)


def test_no_key_of_aws_is_stored() -> None:
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8").lower()
        assert "aws-access-key-id" not in text
        assert "aws_secret" not in text


@pytest.mark.parametrize("path", sorted((GITHUB / "rulesets").glob("*.json")), ids=lambda path: path.stem)
def test_a_ruleset_is_active_and_has_what_github_imports(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content.keys() == {"name", "target", "enforcement", "conditions", "rules", "bypass_actors"}
    assert content["enforcement"] == "active"
    assert content["target"] in ("branch", "tag")
    assert content["conditions"]["ref_name"]["include"]


def test_the_checks_that_main_requires_are_jobs_of_pull_requests() -> None:
    rules = {rule["type"]: rule for rule in json.loads((GITHUB / "rulesets" / "main.json").read_text())["rules"]}
    required = {one["context"] for one in rules["required_status_checks"]["parameters"]["required_status_checks"]}
    tasks = load("ci")["jobs"]["ci"]["strategy"]["matrix"]["task"]
    # `release-file` is the job of the workflow of that name
    assert required == {*tasks, load("pull-request")["jobs"]["pull-request"]["name"], "release-file"}
    assert "pull_request" in load("ci")["on"]
    assert {"deletion", "non_fast_forward", "pull_request"} <= rules.keys()


@pytest.mark.attack("unmerged-tag")
def test_a_pushed_tag_starts_nothing_of_its_own_commit_that_can_do_anything() -> None:
    content = load("tag")
    assert list(content["on"]) == ["push"]
    assert content["permissions"] == {}
    (job,) = content["jobs"].values()
    assert not {"environment", "permissions", "uses"} & job.keys()
    assert not [step for step in job["steps"] if "uses" in step]
    assert "secrets" not in json.dumps(content)
    others = [name for name in NAMES if name != "tag" and "tags" in (load(name)["on"].get("push") or {})]
    assert not others


@pytest.mark.attack("unmerged-tag")
@pytest.mark.parametrize("name", ["release", "promote"])
def test_what_a_tag_decides_is_decided_by_the_default_branchs_code(name: str) -> None:
    content = load(name)
    assert content["on"] == {"workflow_run": {"workflows": ["tag"], "types": ["completed"]}}
    assert content["permissions"] == {}
    for key, job in content["jobs"].items():
        tagged = [step for step in job.get("steps", []) if "ref" in step.get("with", {})]
        if key == "image":
            # the build alone works in the tagged commit: without secret, environment or identity
            assert job["permissions"] == {"contents": "read", "packages": "write"}
            assert "environment" not in job
        elif key == "model":
            assert [step["with"]["path"] for step in tagged] == ["release"]
        else:
            assert not tagged
        # nothing runs before the tag is checked, and the image is signed after it was built
        assert key == "check" or {"check", "image"} & set(
            [job["needs"]] if isinstance(job["needs"], str) else job["needs"]
        )


@pytest.mark.attack("other-workflow")
def test_the_job_that_signs_installs_nothing_but_the_signer() -> None:
    content = load("sign")
    assert list(content["on"]) == ["workflow_call"]
    (job,) = content["jobs"].values()
    first, *others = job["steps"]
    assert "workflow_ref" in first["run"]
    assert not [step for step in others if LOCAL in step.get("uses", "") or "ontime/actions" in step.get("uses", "")]
    installs = [step["run"] for step in others if re.search(r"\b(make|pip|uv|npm|apt-get)\b", step.get("run", ""))]
    assert len(installs) == 1
    assert "make signer" in installs[0]
    signer = [name for name, job in load("release")["jobs"].items() if job.get("permissions", {}).get("id-token")]
    assert set(signer) == {"model", "sign-model", "sign-image", "publish"}
    locked, tested = (
        dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (TOP / path).read_text(), re.MULTILINE))
        for path in ("deployment/signing/requirements.txt", "requirements-test.txt")
    )
    assert locked.items() <= tested.items()
    assert not {"dvc", "gto", "numpy", "onnxruntime", "tensorflow-cpu", "scikit-learn"} & locked.keys()


def matched(patterns: list[str], reference: str, top: Path) -> bool:
    """Whether git's wildmatch, which takes `*` as no `/` as GitHub's rulesets do, finds a reference by a pattern."""
    git(top, "update-ref", reference, "HEAD")
    try:
        return bool(git(top, "for-each-ref", *patterns, "--format=%(refname)").split())
    finally:
        git(top, "update-ref", "-d", reference)


@pytest.mark.attack("escaped-tag")
@pytest.mark.parametrize(
    ("tag", "releases"),
    [
        ("flight-delay@v1.0.0", True),
        ("flight-delay@v1.0.0-rc.1", True),
        ("flight-delay#production#7", True),
        ("flight-delay#staging#1", True),
        ("flight-delay@v1.0.0!", False),
        ("flight-delay@deprecated", False),
        ("flight-delay@created", False),
        ("flight-delay#production!#8", False),
        ("flight-delay#a/b#7", False),
        ("flight-delay#production/#7", False),
        ("flight-delay#production#7/8", False),
        ("models/flight-delay@v1.0.0", False),
        ("models=flight-delay@v1.0.0", False),
        ("a/b=flight-delay#production#7", False),
        ("flight-delay@v1.0.0/x", False),
        ("refs/tags/flight-delay@v1.0.0", False),
    ],
)
def test_whatever_could_be_a_release_tag_is_guarded_by_the_rulesets(tag: str, releases: bool, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    empty = git(tmp_path, "hash-object", "-t", "tree", "-w", "/dev/null").strip()
    git(tmp_path, "update-ref", "HEAD", git(tmp_path, "commit-tree", empty, "-m", "one").strip())
    for name in ("release-tags-are-final", "release-tags-by-maintainers"):
        patterns = json.loads((GITHUB / "rulesets" / f"{name}.json").read_text())["conditions"]["ref_name"]["include"]
        assert matched(patterns, f"refs/tags/{tag}", tmp_path)
        assert not matched(patterns, "refs/tags/nightly/2026", tmp_path)
    if releases:
        check_tag_name(tag, "flight-delay")
    else:
        with pytest.raises(OntimeError, match=r"neither|another artifact"):
            check_tag_name(tag, "flight-delay")
    event = read_event(tag, "flight-delay", "", 0)
    assert event is None or "/" not in tag


@pytest.mark.attack("squatted-branch")
def test_the_app_alone_may_push_a_promotions_branch_and_bypasses_nothing_else(tmp_path: Path) -> None:
    rulesets = {path.stem: json.loads(path.read_text()) for path in (GITHUB / "rulesets").glob("*.json")}
    guarded = rulesets.pop("promotions-by-the-release-app")
    assert {rule["type"] for rule in guarded["rules"]} == {"creation", "update", "deletion", "non_fast_forward"}
    assert [actor["actor_type"] for actor in guarded["bypass_actors"]] == ["Integration"]
    assert not [
        one for one in rulesets.values() for actor in one["bypass_actors"] if actor["actor_type"] != "RepositoryRole"
    ]
    assert not rulesets["main"]["bypass_actors"]
    git(tmp_path, "init", "--quiet")
    empty = git(tmp_path, "hash-object", "-t", "tree", "-w", "/dev/null").strip()
    git(tmp_path, "update-ref", "HEAD", git(tmp_path, "commit-tree", empty, "-m", "one").strip())
    patterns = guarded["conditions"]["ref_name"]["include"]
    for branch in ("promote/flight-delay-v1.0.0", "promote/a/b"):
        assert matched(patterns, f"refs/heads/{branch}", tmp_path)
    assert not matched(patterns, "refs/heads/promote-this", tmp_path)


def test_the_tags_that_start_releases_are_final() -> None:
    final = json.loads((GITHUB / "rulesets" / "release-tags-are-final.json").read_text())
    assert {rule["type"] for rule in final["rules"]} == {"deletion", "non_fast_forward", "update"}
    assert not final["bypass_actors"]


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("deployment/kubernetes/releases/production/kustomization.yaml", "release"),
        ("deployment/kubernetes/overlays/production/kustomization.yaml", "release"),
        ("deployment/kubernetes/base/service.yaml", "release"),
        ("deployment/kubernetes/components/gateway/kustomization.yaml", "release"),
        ("argocd/projects/production.yaml", "release"),
        ("src/ontime/release/publish.py", "release"),
        ("src/ontime/verification/release.py", "release"),
        ("Makefile", "release"),
        (".github/workflows/sign.yml", "release"),
        ("pyproject.toml", "release"),
        ("requirements-test.txt", "release"),
        ("deployment/signing/requirements.txt", "release"),
        ("deployment/docker/Dockerfile", "mlops"),
        ("params.yaml", "data-science"),
    ],
)
def test_what_decides_about_a_release_is_the_release_teams(path: str, owner: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    lines = [line.split() for line in text_of(GITHUB / "CODEOWNERS").splitlines() if line and line[0] != "#"]
    owners = ""
    for pattern, found in lines:
        (tmp_path / ".gitignore").write_text(f"{pattern}\n")
        ignored = ["git", "check-ignore", "--quiet", "--no-index", path]
        if subprocess.run(ignored, cwd=tmp_path, check=False).returncode == 0:
            owners = found
    assert owners == f"@example/{owner}"


@pytest.mark.parametrize("name", LINTERS)
def test_a_linter_finds_nothing(name: str) -> None:
    program = shutil.which(LINTERS[name][0], path=str(BIN)) or shutil.which(LINTERS[name][0])
    if program is None:
        pytest.skip(f"{LINTERS[name][0]} is not installed")
    done = subprocess.run([program, *LINTERS[name][1:]], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_job_that_may_use_the_remote_gets_what_each_cloud_needs_to_log_it_in() -> None:
    given = [
        step["with"]
        for path in WORKFLOWS
        for step in steps(path)
        if step.get("uses") == f"{LOCAL}setup" and "role" in step.get("with", {})
    ]
    assert len(given) > 3
    for inputs in given:
        assert inputs["role"] in ("${{ vars.REMOTE_ROLE }}", "${{ env.ROLE }}")
        assert inputs["region"] == "${{ vars.AWS_REGION || 'us-east-1' }}"
        assert inputs["tenant"] == "${{ vars.AZURE_TENANT_ID }}"
