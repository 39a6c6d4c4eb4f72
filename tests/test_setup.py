"""What `make setup` installs, and what installs it, has the hash in a lock file; a package index is not believed."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.checkouts import BIN, TOP
from tests.servers import http_server

LOCKS = [
    *sorted(path.relative_to(TOP) for path in TOP.glob("requirements*.txt")),
    Path("deployment/docker/requirements.txt"),
    Path("deployment/tools/requirements.txt"),
    Path("pipelines/requirements.txt"),
]
BUILD = TOP / "requirements-build.txt"
UV = BIN / "uv"


def pinned(lock: Path) -> dict[str, str]:
    """Version of each package in a lock file."""
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[[a-z,]+\])?==([^ ;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def wheel(folder: Path, name: str, version: str, code: str) -> Path:
    """A wheel with one module and a program of the package's name."""
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    files = {
        f"{module}.py": code,
        f"{module}-{version}.data/scripts/{name}": f"#!python\n{code}",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},{_digest(text)},{len(text.encode())}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    made = folder / f"{module}-{version}-py3-none-any.whl"
    made.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, text)
    return made


def _digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Folder and address of a package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    with http_server(partial(Quiet, directory=str(folder))) as host:
        yield folder, f"http://{host}/"


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_each_package_of_a_lock_has_a_version_and_hashes(lock: Path) -> None:
    entries = re.split(r"^(?=[a-z0-9])", (TOP / lock).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+(\[[a-z,]+\])?==[^ ]+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_what_builds_is_what_the_others_use_too() -> None:
    build, tests = pinned(BUILD), pinned(TOP / "requirements-test.txt")
    assert {"uv", "hatchling", "editables", "setuptools", "wheel"} <= build.keys()
    assert not {name for name in build.keys() & tests.keys() if build[name] != tests[name]}


@pytest.mark.attack("changed-package")
def test_nothing_is_installed_or_built_but_what_a_lock_names() -> None:
    text = (TOP / "Makefile").read_text(encoding="utf-8")
    locked = re.search(r"^LOCKED := (.*)$", text, re.MULTILINE)
    assert locked
    assert {"--require-hashes", "--no-build-isolation", "--only-binary :all:"} <= set(re.split(r" (?=--)", locked[1]))
    installs = [line.strip() for line in text.splitlines() if "pip install" in line]
    assert len(installs) == 9
    for line in installs:
        if line.endswith("--editable ."):
            assert "--no-deps --no-build-isolation" in line
        else:
            assert "$(LOCKED)" in line or "--require-hashes --only-binary :all:" in line


@pytest.mark.attack("changed-package")
@pytest.mark.parametrize("forged", ["uv", "hatchling", "trove-classifiers", "editables"])
def test_a_forged_tool_of_the_right_version_is_refused_before_it_runs(
    index: tuple[Path, str], tmp_path: Path, forged: str
) -> None:
    folder, address = index
    owned, checkout = tmp_path / "owned", tmp_path / "checkout"
    checkout.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "requirements-test.txt"):
        shutil.copy(TOP / name, checkout / name)
    # the forged package first, so that it is the one that is refused
    entries = re.split(r"^(?=[a-z0-9])", BUILD.read_text(encoding="utf-8"), flags=re.MULTILINE)
    entries.sort(key=lambda entry: not entry.startswith(f"{forged}=="))
    (checkout / BUILD.name).write_text("".join(entries))
    for name, version in pinned(BUILD).items():
        wheel(folder / name, name, version, f"open({str(owned)!r}, 'w')\n")
    settings = {"PIP_INDEX_URL": address, "UV_DEFAULT_INDEX": address, "PIP_NO_CACHE_DIR": "1"}
    done = subprocess.run(
        ["make", "setup"],
        cwd=checkout,
        env={**os.environ, **settings, "UV_CACHE_DIR": str(tmp_path / "cache"), "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert f"{forged}==" in done.stderr
    assert not owned.exists()
    assert not (checkout / ".venv" / ".ready").exists()
    assert not list((checkout / ".venv" / "lib").glob(f"python3*/site-packages/{forged.replace('-', '_')}*"))


@pytest.mark.attack("changed-package")
def test_a_changed_file_in_uvs_cache_is_not_installed_where_the_cache_is_not_asked_for(
    index: tuple[Path, str], tmp_path: Path
) -> None:
    """`uv` itself takes the changed file; that is why the setup of a job that writes or releases has no cache."""
    folder, address = index
    made = wheel(folder / "honest", "honest", "1.0", "VALUE = 1\n")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"honest==1.0 --hash=sha256:{hashlib.sha256(made.read_bytes()).hexdigest()}\n")
    environment = {**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache"), "UV_DEFAULT_INDEX": address}

    def installed(name: str, **variables: str) -> str:
        target = tmp_path / name
        options = ["--quiet", "--require-hashes", "--no-deps", "--target", str(target), "-r", str(lock)]
        subprocess.run([UV, "pip", "install", *options], env={**environment, **variables}, check=True)
        return (target / "honest.py").read_text()

    assert installed("first") == "VALUE = 1\n"
    (cached,) = (tmp_path / "cache").glob("archive-*/*/honest.py")
    cached.unlink()
    cached.write_text("VALUE = 2\n")
    assert installed("cached") == "VALUE = 2\n"
    assert installed("released", UV_NO_CACHE="1") == "VALUE = 1\n"


@pytest.mark.attack("changed-package")
def test_a_job_with_a_token_that_writes_or_an_environment_keeps_no_packages() -> None:
    action = YAML(typ="safe").load(TOP / ".github" / "actions" / "setup" / "action.yml")
    assert action["inputs"]["cache"]["default"] == "false"
    cache, setup, *_ = action["runs"]["steps"]
    assert cache["if"] == "inputs.cache == 'true'"
    assert "github.event_name" in cache["with"]["key"]
    assert "UV_NO_CACHE=1" in setup["run"]
    for path in sorted((TOP / ".github" / "workflows").glob("*.yml")):
        for name, job in YAML(typ="safe").load(path)["jobs"].items():
            kept = [
                step
                for step in job.get("steps", ())
                if "actions/cache@" in step.get("uses", "") or step.get("with", {}).get("cache") == "true"
            ]
            writes = {key for key, value in job.get("permissions", {}).items() if value == "write"}
            # the token of a pull request's job can be exchanged for a role that reads alone
            allowed = {"id-token"} if path.stem == "pull-request" else set()
            assert not kept or (writes <= allowed and "environment" not in job), f"{path.stem}: {name}"
            for step in kept:
                assert "key" not in step["with"] or "github.event_name" in step["with"]["key"]
