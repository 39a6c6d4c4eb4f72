"""The image's recipe: what its Dockerfile, its lock and its list of files allow, and the command that builds it."""

import io
import json
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
from docker.utils.build import exclude_paths

from ontime.common.environment import PINNED
from ontime.common.errors import OntimeError
from ontime.model_deployment.service.settings import PREFIX, Settings
from ontime.release import image
from tests.checkouts import BIN, TOP, commit, git
from tests.imports import closure

DOCKER = TOP / "deployment" / "docker"
LOCK = DOCKER / "requirements.txt"
FORBIDDEN = {"dvc", "keras", "matplotlib", "mlflow", "pandas", "pip", "scikit-learn", "scipy", "setuptools"}
FORBIDDEN |= {"pyarrow", "pyspark", "tensorflow", "tensorflow-cpu", "wheel"}
PIPELINE_LIBRARIES = {"dvc", "keras", "matplotlib", "mlflow", "pandas", "pyarrow", "scipy", "sklearn", "tensorflow"}
PACKAGE = Path("src/ontime")
SERVICE = PACKAGE / "model_deployment" / "service"
BUILD_FILES = {f"models/champion{ending}" for ending in (".pub", ".sig", ".trust.json")} | {
    f"deployment/docker/{name}" for name in ("check.py", "requirements.txt", "runtime.py")
}
SIGNER = ("PUBLIC_KEY", "IDENTITY", "IDENTITY_PROVIDER", "TRUST_CONFIG")
MODEL_FILES = {
    f"models/champion/{name}"
    for name in (
        "MODEL_CARD.md",
        "golden.json",
        "manifest.json",
        "model.onnx",
        "page.json",
        "report.html",
        "trees.npy",
        "vocabulary.json",
    )
}

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    """Keyword and rest of each instruction of the Dockerfile, continued lines joined."""
    lines = (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    found = [line.split(maxsplit=1) for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]
    return [(keyword, rest) for keyword, rest in found]


def last_stage() -> list[Instruction]:
    """The instructions of the stage that is shipped."""
    found = instructions()
    start = max(number for number, (keyword, _) in enumerate(found) if keyword == "FROM")
    return found[start:]


def values(keyword: str, stage: list[Instruction]) -> list[str]:
    """What stands behind a keyword, in order."""
    return [rest for name, rest in stage if name == keyword]


def variables(stage: list[Instruction]) -> dict[str, str]:
    """Environment variables that a stage sets."""
    pairs = re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', " ".join(values("ENV", stage)))
    return {name: quoted or plain for name, quoted, plain in pairs}


def locked(path: Path) -> dict[str, str]:
    """Version by package of a lock."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_base_is_an_argument_pinned_by_digest() -> None:
    keyword, rest = instructions()[0]
    assert keyword == "ARG"
    assert re.fullmatch(r"BASE=python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", rest)


def test_every_stage_starts_from_the_base_an_earlier_stage_or_nothing() -> None:
    known = {"${BASE}", "scratch"}
    for stage in values("FROM", instructions()):
        source, *name = stage.split(" AS ")
        assert source in known
        known |= set(name)


def test_any_builder_reads_the_file() -> None:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    assert "syntax=" not in text
    assert "<<" not in text
    assert {keyword for keyword, _ in instructions()} <= {
        *("ARG", "FROM", "ENV", "RUN", "COPY", "LABEL", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT")
    }


def test_the_shipped_stage_starts_from_nothing_and_only_copies() -> None:
    stage = last_stage()
    assert stage[0] == ("FROM", "scratch")
    assert not values("RUN", stage)
    copies = values("COPY", stage)
    assert [copy.split()[0] for copy in copies] == [
        f"--from={name}" for name in ("runtime", "dependencies", "application", "application")
    ]
    assert len(copies) == len(image.LAYERS)
    assert copies[-1].split()[1:] == ["/models", "/models"]


def test_what_changes_with_each_release_is_named_behind_all_copies() -> None:
    keywords = [keyword for keyword, _ in last_stage()]
    assert keywords.index("ARG") > max(number for number, keyword in enumerate(keywords) if keyword == "COPY")


def test_the_user_is_a_number_and_not_root() -> None:
    (user,) = values("USER", last_stage())
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)


def test_the_service_is_the_first_process_and_is_asked_whether_it_is_ready() -> None:
    stage = last_stage()
    (entrypoint,), (health,) = values("ENTRYPOINT", stage), values("HEALTHCHECK", stage)
    assert json.loads(entrypoint) == ["/opt/ontime/bin/python", "-m", "ontime", "serve"]
    program, _, code = json.loads(health.partition("CMD ")[2])
    assert program == "/opt/ontime/bin/python"
    assert "/v2/health/ready" in compile(code, "health check", "exec").co_consts


def test_the_image_sets_what_every_command_pins() -> None:
    found = variables(last_stage())
    assert {name: value for name, value in found.items() if name in PINNED} == PINNED


def test_the_image_tells_nobody_about_its_use() -> None:
    assert variables(last_stage())["ORT_DISABLE_TELEMETRY"] == "1"


def test_the_service_knows_every_variable_that_is_set_for_it() -> None:
    names = {name for name in variables(last_stage()) if name.startswith(PREFIX)}
    assert {f"{PREFIX}{name}" for name in ("MODEL", "SIGNATURE", *SIGNER, "MODEL_VERSION", "GIT_COMMIT")} <= names
    assert names <= {PREFIX + name.upper() for name in Settings.model_fields}


def test_the_build_checks_the_signature_as_the_service_will() -> None:
    shipped = variables(last_stage())
    (building,) = (text for text in values("ENV", instructions()) if f"{PREFIX}MODEL=" in text and "PORT" not in text)
    checked = variables([("ENV", building)])
    assert {PREFIX + name for name in ("MODEL", "SIGNATURE", *SIGNER)} == set(checked)
    assert checked.items() <= shipped.items()


def test_labels_tell_commit_version_title_and_model() -> None:
    labels = " ".join(values("LABEL", last_stage()))
    for label, value in {
        "org.opencontainers.image.title": "ontime",
        "org.opencontainers.image.revision": "${GIT_COMMIT}",
        "org.opencontainers.image.version": "${MODEL_VERSION}",
        "io.ontime.model.sha256": "${MODEL_SHA256}",
    }.items():
        assert f'{label}="{value}"' in labels


def test_no_secret_is_an_argument_or_a_variable() -> None:
    for keyword in ("ARG", "ENV", "LABEL"):
        for text in values(keyword, instructions()):
            assert not re.search(r"(?i)token|password|secret|credential|private|://", text)


def test_packages_come_whole_from_the_lock_and_leave_no_cache() -> None:
    commands = [text for text in values("RUN", instructions()) if " install " in text]
    assert len(commands) == 1
    for option in ("--no-cache-dir", "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-compile"):
        assert option in commands[0]
    assert "apt" not in " ".join(values("RUN", instructions()))


def test_every_locked_package_has_hashes() -> None:
    for entry in LOCK.read_text(encoding="utf-8").replace("\\\n", "").splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==\S+( +--hash=sha256:[0-9a-f]{64})+", entry), entry[:60]


def test_nothing_that_trains_or_installs_is_locked() -> None:
    assert not FORBIDDEN & set(locked(LOCK))


def test_the_lock_holds_what_serving_asks_for_in_the_versions_that_are_tested() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["serving"]]
    names = {re.split(r"[^A-Za-z0-9._-]", name)[0].replace(".", "-").replace("_", "-") for name in wanted}
    assert names <= set(locked(LOCK))
    tested = locked(TOP / "requirements-test.txt")
    assert {name: tested.get(name) for name in locked(LOCK)} == locked(LOCK)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Files of a checkout full of other things that the list of files lets through."""
    top = tmp_path_factory.mktemp("context")
    tracked = git(TOP, "ls-files", "-z").split("\0")
    others = [
        *(".env", ".git/config", ".dvc/config.local", ".dvc/tmp/x", ".keys/model.key", ".keys/model.pub", "mlflow.db"),
        *(".venv/bin/python", "data/raw/flights/2013-01.parquet", "deployment/docker/pip.conf", "deployment/x.yaml"),
        *("models/training_runs/a/model/model.joblib", "models/selection.json", "src/ontime/new.py"),
        *("src/ontime/__pycache__/cli.pyc", "src/ontime/model_deployment/service/__pycache__/app.pyc"),
    ]
    for name in filter(None, [*tracked, *others, *BUILD_FILES, *MODEL_FILES]):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()
    patterns = (TOP / ".dockerignore").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in patterns if line and not line.startswith("#")]
    # the list itself is always sent, and used by the builder alone
    return {name for name in exclude_paths(str(top), wanted) if (top / name).is_file()} - {".dockerignore"}


def test_the_build_sees_the_model_and_what_the_service_imports_and_nothing_else(sent: set[str]) -> None:
    programs = [f"ontime.model_deployment.service.{name}" for name in ("server", "signature", "smoke")]
    modules = closure("ontime.__main__", "ontime.operations", *programs)
    # the packages that hold them, also those without code
    modules |= {
        str(package / "__init__.py")
        for module in modules
        for package in Path(module).parents
        if package.is_relative_to(PACKAGE)
    }
    pages = {str(path.relative_to(TOP)) for path in (TOP / SERVICE / "pages").iterdir()}
    assert sent == BUILD_FILES | MODEL_FILES | modules | pages


def test_the_service_imports_no_library_of_the_pipeline() -> None:
    code = (
        "import sys, ontime.model_deployment.service.server, ontime.model_deployment.service.smoke; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "onnxruntime" in imported
    assert not imported & PIPELINE_LIBRARIES


@pytest.mark.parametrize("folder", [".devcontainer", "deployment/docker", "deployment/docker/spark", "pipelines"])
def test_hadolint_has_nothing_to_say(folder: str) -> None:
    done = subprocess.run(
        [BIN / "hadolint", "--failure-threshold=style", TOP / folder / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_shellcheck_has_nothing_to_say_of_what_starts_sparks_pods() -> None:
    script = TOP / "deployment" / "docker" / "spark" / "entrypoint.sh"
    done = subprocess.run([BIN / "shellcheck", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_podman_is_told_to_leave_out_time_and_itself() -> None:
    command = image.build_command("/usr/bin/podman", "a/b:1.2.0", {"MODEL_VERSION": "1.2.0"}, Path("pip.conf"))
    assert {"--format=oci", "--timestamp=0", "--identity-label=false", "--layers"} <= set(command)
    assert "--build-arg=MODEL_VERSION=1.2.0" in command
    assert "--secret=id=pip,src=pip.conf" in command
    assert command[-1] == "."


def test_docker_is_told_nothing_that_it_does_not_know() -> None:
    assert image.build_command("/usr/bin/docker", "ontime:1.2.0", {}) == [
        *("/usr/bin/docker", "build", "--file=deployment/docker/Dockerfile", "--tag=ontime:1.2.0", ".")
    ]


def test_a_changed_file_marks_the_commit_and_stops_a_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src" / "ontime").mkdir(parents=True)
    (tmp_path / "src" / "ontime" / "cli.py").touch()
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "one")
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    (tmp_path / "notes.txt").touch()
    assert image.revision(only_clean=True) == head
    (tmp_path / "src" / "ontime" / "cli.py").write_text("changed")
    assert image.revision() == f"{head}-modified"
    with pytest.raises(OntimeError, match=r"^src/ontime/cli\.py: not committed"):
        image.revision(only_clean=True)


def test_a_folder_without_a_commit_is_refused_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(OntimeError, match="not a git repository"):
        image.revision()


@pytest.mark.parametrize("version", ["v1.2.0", "1.2", "latest", "1.2.0+a", ""])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    with pytest.raises(OntimeError, match=r"MAJOR\.MINOR\.PATCH"):
        image.command.main(["--version", version], standalone_mode=False)


def test_an_unsigned_model_is_refused_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "podman").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "models" / "champion").mkdir(parents=True)
    with pytest.raises(OntimeError, match="ontime sign"):
        image.command.main([], standalone_mode=False)


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OntimeError, match=r"^podman: not installed"):
        image.find_tool("podman")


def test_a_failing_tool_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OntimeError, match="`sh -c` failed"):
        image.run(["/bin/sh", "-c", "echo why; exit 1"])
    assert capfd.readouterr().err == "why\n"


def test_sizes_are_told_by_layer_and_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = "opt/ontime/lib/python3.11/site-packages"
    files = {
        "runtime": {"lib/libc.so.6": 1_000_000},
        "dependencies": {
            f"{site}/numpy/core.so": 1_500_000,
            f"{site}/numpy.libs/blas.so": 1_000_000,
            f"{site}/numpy-2.4.6.dist-info/METADATA": 500_000,
        },
        "code": {f"{site}/ontime/cli.py": 20_000},
        "model": {"models/champion/model.onnx": 400_000},
    }
    layers = []
    for name, content in files.items():
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            for path, size in content.items():
                member = tarfile.TarInfo(path)
                member.size = size
                archive.addfile(member, io.BytesIO(bytes(size)))
        layers.append({"digest": f"sha256:{name}", "size": (tmp_path / name).stat().st_size})
    (tmp_path / "manifest.json").write_text(json.dumps({"layers": layers}))
    digest = image.describe(tmp_path)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [*image.LAYERS, "image", "image", "numpy", "runtime", "model", "ontime"]
    assert lines[6] == ["numpy", "3.00", "MB"]
