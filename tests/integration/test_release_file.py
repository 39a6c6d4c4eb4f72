"""The required check of release files under act: the base's code judges a pull request's file, which it only reads."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ontime.model_deployment.inference.signing import sign
from ontime.release.release_file import Release, path_of, render
from tests.checkouts import BIN, git
from tests.cosign import sign_image
from tests.forge import NUMBER, REPOSITORY, Forge, Hub, Run, copy_workflows
from tests.releases import NAME, Repository, digest_of, enter, push_image, registry_server
from tests.releases import release as ontime_release
from tests.sigstore_server import PROVIDER, Sigstore, sigstore_server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("act", path=f"{BIN}:{os.environ['PATH']}") is None, reason="act is not installed"),
]
IDENTITY = f"https://github.com/{REPOSITORY}/.github/workflows/sign.yml@refs/heads/main"
PROOF = "proof of the pull request's code"


@dataclass(frozen=True)
class Project:
    """A repository that released v1.0.0 to staging and assigned it to production, with its image in a registry."""

    repository: Repository
    forge: Forge
    sigstore: Sigstore
    image: str
    files: dict[str, bytes]
    release: Release

    def build(self, image: str, **changes: str) -> str:
        """Push an image like the release's with other arguments, unsigned; its digest."""
        arguments = {
            "GIT_COMMIT": self.release.commit,
            "MODEL_VERSION": self.release.version.removeprefix("v"),
            "MODEL_SHA256": self.release.model_sha256,
            "PUBLIC_KEY": "",
            "IDENTITY": IDENTITY,
            "IDENTITY_PROVIDER": PROVIDER,
        }
        host, _, name = image.partition("/")
        return push_image(host, name, self.files, {**arguments, **changes})

    def propose(self, *changes: Callable[[Path], None], release: Release | None = None) -> Run:
        """Open a pull request that writes production's release file, and run the check."""
        work = self.repository.checkout
        git(work, "fetch", "--quiet", "origin")
        git(work, "switch", "--quiet", "--force-create", "change", "origin/main")
        if release is not None:
            (work / path_of("production")).write_text(render(release))
        for change in changes:
            change(work)
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "--allow-empty", "--message", "change")
        head = git(work, "rev-parse", "HEAD").strip()
        base = git(work, "rev-parse", "origin/main").strip()
        git(work, "push", "--quiet", "--force", "origin", f"HEAD:refs/pull/{NUMBER}/head")
        git(work, "switch", "--quiet", "--force", "main")
        content = {
            "number": NUMBER,
            "pull_request": {
                "number": NUMBER,
                "head": {"sha": head, "ref": "change", "repo": {"full_name": "stranger/ontime"}},
                "base": {"ref": "main", "sha": base},
            },
            "repository": {"full_name": REPOSITORY, "default_branch": "main"},
        }
        done = self.forge.act("pull_request_target", "release-file", content, "refs/heads/main")
        assert PROOF not in done.text
        return done


@pytest.fixture
def project(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    (tmp_path / "repository").mkdir()
    repository = enter(tmp_path / "repository", monkeypatch)
    copy_workflows(repository.checkout)
    commit = repository.git("rev-parse", "HEAD")
    files = next(iter(repository.files.values()))
    repository.files[commit] = files
    model, trust_config = tmp_path / "signed" / "champion", tmp_path / "sigstore.json"
    model.mkdir(parents=True)
    for name, content in files.items():
        (model / name).write_bytes(content)
    with registry_server(tmp_path) as host, sigstore_server(IDENTITY) as sigstore:
        trust_config.write_text(sigstore.trust_config)
        for name, value in sigstore.variables.items():
            monkeypatch.setenv(name, value)
        sign(model, model.with_suffix(".sig"), None, trust_config)
        held = {f"models/champion/{name}": content for name, content in files.items()}
        held |= {f"models/champion{end}": model.with_suffix(end).read_bytes() for end in (".sig", ".trust.json")}
        image = f"{host}/{REPOSITORY}"
        forge = Forge(
            repository.origin,
            hub,
            tmp_path / "runs",
            {"REGISTRY": host, "REBUILD": "off"},
            {"ONTIME_TRUST_CONFIG": str(trust_config)},
        )
        sha256 = hashlib.sha256(files["model.onnx"]).hexdigest()
        first = Release("v1.0.0", commit, sha256, image, digest_of("none"))
        project = Project(repository, forge, sigstore, image, held, first)
        digest = project.build(image)
        sign_image(image, digest, sigstore.trust_config, sigstore.token())
        repository.tag(f"{NAME}@v1.0.0")
        repository.git("push", "--quiet", "--tags", "origin")
        repository.publish("staging", "v1.0.0", image=image, digest=digest)
        ontime_release("assign", "v1.0.0", "production", "--push")
        yield replace(project, release=replace(first, digest=digest))


def words(work: Path) -> None:
    """Change a file that is no release file."""
    (work / "README.md").write_text("words\n")


def code(work: Path) -> None:
    """Bring code that says so when it runs."""
    (work / "src").mkdir(exist_ok=True)
    (work / "src" / "sitecustomize.py").write_text(f"print({PROOF!r})\n")
    (work / "Makefile").write_text(f"setup:\n\techo {PROOF}\n")
    script = work / ".github" / "scripts" / "fetch_change.sh"
    script.write_text(f"echo {PROOF}; echo release=false\n")


def test_the_promotion_of_what_staging_ran_passes_and_other_changes_are_not_looked_at(project: Project) -> None:
    done = project.propose(words)
    assert done.succeeded, done.text
    assert not project.forge.asked("actions-cache")
    done = project.propose(release=project.release)
    assert done.succeeded, done.text
    for link in ("change", "release file", "tag", "commit", "dvc.lock", "image signature", "configuration", "model"):
        assert f"| {link} " in done.text


@pytest.mark.attack("forged-release-file")
def test_a_pull_requests_own_code_decides_nothing(project: Project) -> None:
    done = project.propose(code, release=project.release)
    assert not done.succeeded
    assert (
        "error: change: deployment/kubernetes/releases/production/kustomization.yaml: a release is a change of one fi"
        in done.text
    )


@pytest.mark.attack("forged-release-file")
@pytest.mark.parametrize("stage", ["production", "staging"])
def test_an_invented_version_of_a_foreign_registry_is_refused(project: Project, stage: str) -> None:
    invented = replace(project.release, version="v9.9.9", image="registry.evil.example/ontime", digest=digest_of("x"))

    def write(work: Path) -> None:
        (work / path_of(stage)).write_text(render(invented))

    done = project.propose(write)
    assert not done.succeeded
    assert "error: release file: v9.9.9: not registered; known: v1.0.0" in done.text or (
        f"error: release file: {stage}: should run v1.0.0 by " in done.text
    ), done.text


@pytest.mark.attack("forged-release-file")
def test_the_right_digest_under_another_name_is_refused(project: Project) -> None:
    other = f"{project.image.rpartition('/')[0]}/mirror"
    assert project.build(other) == project.release.digest
    done = project.propose(release=replace(project.release, image=other))
    assert not done.succeeded
    assert f"error: release file: {other}: not the project's image, {project.image}" in done.text


@pytest.mark.attack("forged-release-file")
def test_a_first_release_of_an_image_that_nobody_signed_or_of_another_build_is_refused(project: Project) -> None:
    repository = project.repository
    commit = repository.make_model("second")
    repository.tag(f"{NAME}@v1.1.0", commit)
    repository.git("push", "--quiet", "--tags", "origin")
    sha256 = hashlib.sha256(repository.files[commit]["model.onnx"]).hexdigest()
    # the right labels and variables, and the model of another commit
    digest = project.build(project.image, GIT_COMMIT=commit, MODEL_VERSION="1.1.0", MODEL_SHA256=sha256)
    release = Release("v1.1.0", commit, sha256, project.image, digest)

    def write(work: Path) -> None:
        (work / path_of("staging")).write_text(render(release))

    done = project.propose(write)
    assert not done.succeeded
    assert f"not signed by {IDENTITY}: the registry has no signature of it" in done.text
    sign_image(project.image, digest, project.sigstore.trust_config, project.sigstore.token())
    done = project.propose(write)
    assert not done.succeeded
    assert "error: model layer: models/champion is not what dvc.lock of " in done.text


def symbolic_link(work: Path) -> None:
    path = work / path_of("production")
    path.unlink()
    path.symlink_to("../staging/kustomization.yaml")


def deleted(work: Path) -> None:
    (work / path_of("production")).unlink()


def taken_back(work: Path) -> None:
    (work / path_of("staging")).write_text(render(None))


def beside(work: Path) -> None:
    (work / path_of("production")).with_name("patch.yaml").write_text("{}\n")


def edited(work: Path) -> None:
    path = work / path_of("staging")
    path.write_text(path.read_text() + "replacements: []\n")


@pytest.mark.attack("forged-release-file")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (symbolic_link, "mode 120000, not a plain file"),
        (deleted, "kustomization.yaml: deleted"),
        (taken_back, "takes back every release"),
        (beside, "patch.yaml: not the release file of a stage"),
        (edited, "edited by hand"),
    ],
    ids=["symbolic link", "deleted", "taken back", "beside", "edited"],
)
def test_a_file_that_is_not_what_the_release_command_writes_is_refused(
    project: Project, change: Callable[[Path], None], reason: str
) -> None:
    done = project.propose(change)
    assert not done.succeeded
    assert reason in done.text, done.text
