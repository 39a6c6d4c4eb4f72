"""The image, built twice and run as a cluster runs it: no root, no capabilities, a read-only root filesystem."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ontime.common.files import read_json, sha256
from ontime.model_deployment.inference.signing import make_key, sign
from ontime.release.image import build_command
from tests.checkouts import TOP, copy_checkout, git
from tests.containers import new_store
from tests.integration.local_base import find_base
from tests.servers import free_port
from tests.services import log_lines
from tests.sigstore_server import PROVIDER, sigstore_server

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("image")]
NAME = "localhost/ontime"
TAG = f"{NAME}:1.2.3"
START_SECONDS = 60
LARGEST_MB = 120
HARDENED = (
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *("--user=10001:10001", "--pids-limit=64", "--memory=256m"),
)
PYTHON = "/opt/ontime/bin/python"
WITHOUT_HOME = f"import os; os.environ.pop('HOME'); os.execv({PYTHON!r}, [{PYTHON!r}, '-m', 'ontime', 'serve'])"
ANY_USER = (
    # as OpenShift chooses it; the container runtime sets HOME
    *("--user=1000650000:0", f"--entrypoint={json.dumps([PYTHON, '-c', WITHOUT_HOME])}"),
    *("--shm-size=1m", "--cpus=0.5"),
)
LOOK = """
import json, os, ontime.cores
folders = [folder for folder, *_ in os.walk("/") if folder.split("/")[1] not in ("proc", "sys")]
writable = [folder for folder in folders if os.access(folder, os.W_OK)]
print(json.dumps([sorted(writable), ontime.cores.usable_cores()]))
"""


@dataclass(frozen=True)
class Built:
    """One build: the name by digest that the command printed, and all that it printed."""

    checkout: Path
    reference: str
    text: str


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, str]]]:
    """Variables with which Podman keeps its images apart from the machine's own, twice."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed (Debian and Ubuntu: apt-get install podman)")
    tops = [tmp_path_factory.mktemp("podman") for _ in range(2)]
    found = [new_store(top) for top in tops]
    yield found
    for top, variables in zip(tops, found, strict=True):
        for command in (["rm", "--all", "--force", "--time=0"], ["image", "unmount", "--all", "--force"]):
            run(variables, *command, check=False)
        shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(scope="module")
def podman(stores: list[dict[str, str]]) -> dict[str, str]:
    """Variables of the store that the image is run from."""
    return stores[0]


@pytest.fixture(scope="module")
def bases(stores: list[dict[str, str]]) -> list[str]:
    """Name of the base image in each store."""
    return [find_base("podman", store) for store in stores]


def build(checkout: Path, base: str, variables: dict[str, str], umask: int, *options: str) -> Built:
    """Run `ontime image` in a checkout."""
    command = ["-m", "ontime", "image", f"--name={NAME}", "--version=1.2.3", f"--base={base}"]
    done = subprocess.run(
        [sys.executable, *command, *options],
        cwd=checkout,
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        umask=umask,
    )
    return Built(checkout, done.stdout.splitlines()[-1], done.stdout)


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory: pytest.TempPathFactory, fork: Path) -> list[Path]:
    """Two copies of one commit in two folders, with the small fork's champion, signed once."""
    first = copy_checkout(tmp_path_factory.mktemp("one") / "checkout")
    shutil.copytree(fork / "models" / "champion", first / "models" / "champion")
    make_key(first / ".keys" / "model.key")
    sign(first / "models" / "champion", first / "models" / "champion.sig", first / ".keys" / "model.key")
    second = tmp_path_factory.mktemp("another") / "deeper" / "copy"
    shutil.copytree(first, second, copy_function=shutil.copyfile)
    for path in [*second.glob("src/ontime/**/*"), *second.glob("models/**/*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return [first, second]


@pytest.fixture(scope="module")
def builds(stores: list[dict[str, str]], bases: list[str], checkouts: list[Path]) -> list[Built]:
    """Two builds at different times, each in a store of its own with nothing from an earlier build."""
    first = build(checkouts[0], bases[0], {**stores[0], "TZ": "UTC"}, umask=0o022)
    second = build(checkouts[1], bases[1], {**stores[1], "TZ": "Asia/Tokyo", "LC_ALL": "C"}, umask=0o077)
    return [first, second]


@pytest.fixture(scope="module")
def image(builds: list[Built]) -> str:
    """The image in the first store."""
    assert builds[0].reference.startswith(f"{NAME}@sha256:")
    return TAG


@pytest.fixture(scope="module")
def members(podman: dict[str, str], image: str, tmp_path_factory: pytest.TempPathFactory) -> list[tarfile.TarInfo]:
    """Files of the image's root filesystem as they lie in its layers."""
    folder = tmp_path_factory.mktemp("layers")
    run(podman, "push", "--quiet", image, f"dir:{folder}")
    manifest = read_json(folder / "manifest.json")
    found = []
    for layer in manifest["layers"]:
        with tarfile.open(folder / layer["digest"].removeprefix("sha256:")) as archive:
            found += archive.getmembers()
    return found


def run(variables: dict[str, str], *arguments: str | Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run Podman and keep what it prints."""
    done = subprocess.run(["podman", *arguments], env=variables, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


@dataclass(frozen=True)
class Running:
    """A container of the image: its name, its ports on loopback, and how long it took to be ready."""

    name: str
    port: int
    metrics_port: int
    seconds: float

    def ask(self, path: str, port: int | None = None, content: Any = None) -> bytes:
        """The body of an answer with status 200 to a GET or, with content, to a POST of JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=5)
        with contextlib.closing(connection):
            if content is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(content), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        assert answer.status == 200, body
        return body


@contextlib.contextmanager
def running(variables: dict[str, str], image: str, *options: str) -> Iterator[Running]:
    """Run the image as a cluster would and wait until it is ready."""
    port, metrics_port = free_port(), free_port()
    # Podman's rule for a forwarded port may outlive the container, and no server on that port is reached any more
    places = {"HOST": "127.0.0.1", "PORT": port, "METRICS_PORT": metrics_port}
    network = ("--network=host", *(f"--env=ONTIME_SERVICE_{name}={value}" for name, value in places.items()))
    started = time.monotonic()
    name = run(variables, "run", "--detach", *HARDENED, *network, *options, image).stdout.strip()
    try:
        while True:
            found = Running(name, port, metrics_port, time.monotonic() - started)
            with contextlib.suppress(OSError, http.client.HTTPException):
                found.ask("/v2/health/ready")
                break
            told = run(variables, "logs", name)
            assert found.seconds < START_SECONDS, told.stdout + told.stderr
            time.sleep(0.02)
        yield found
    finally:
        run(variables, "rm", "--force", "--time=0", name)


@pytest.fixture(scope="module")
def service(podman: dict[str, str], image: str) -> Iterator[Running]:
    """The image at work."""
    with running(podman, image) as found:
        yield found


def test_two_builds_in_two_folders_have_the_same_digest(builds: list[Built]) -> None:
    assert builds[0].reference == builds[1].reference


def test_the_image_is_small(builds: list[Built]) -> None:
    total = next(line.split() for line in builds[0].text.splitlines() if line.startswith("image"))
    assert total[2:] == ["MB", "compressed"]
    assert float(total[1]) < LARGEST_MB


def test_a_golden_record_gets_the_probability_that_it_was_released_with(
    service: Running, checkouts: list[Path]
) -> None:
    champion = checkouts[0] / "models" / "champion"
    manifest, golden = read_json(champion / "manifest.json"), read_json(champion / "golden.json")
    content = {"instances": golden["records"][:1]}
    found = json.loads(service.ask(f"/v1/models/{manifest['name']}:predict", content=content))
    assert found["predictions"] == pytest.approx(golden["probabilities"][:1], abs=manifest["golden_tolerance"])


def test_the_service_tells_what_it_was_built_of(
    service: Running, checkouts: list[Path], podman: dict[str, str]
) -> None:
    head = git(checkouts[0], "rev-parse", "HEAD").strip()
    digest = sha256(checkouts[0] / "models" / "champion" / "model.onnx")
    told = service.ask("/metrics", service.metrics_port).decode()
    (line,) = [line for line in told.splitlines() if line.startswith("ontime_model_info{")]
    for value in (f'git_commit="{head}"', 'version="1.2.3"', f'sha256="{digest}"'):
        assert value in line
    labels = json.loads(run(podman, "inspect", "--format={{json .Config.Labels}}", service.name).stdout)
    assert labels["org.opencontainers.image.revision"] == head
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["io.ontime.model.sha256"] == digest


def test_the_service_is_the_only_process_and_did_not_start_itself_again(
    service: Running, podman: dict[str, str]
) -> None:
    pid = run(podman, "inspect", "--format={{.State.Pid}}", service.name).stdout.strip()
    command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    assert command == [b"/opt/ontime/bin/python", b"-m", b"ontime", b"serve"]
    status = Path(f"/proc/{pid}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    assert "Uid:\t10001\t10001\t10001\t10001" in status
    assert not Path(f"/proc/{pid}/task/{pid}/children").read_text()


def test_the_health_check_passes_while_the_service_is_ready(service: Running, podman: dict[str, str]) -> None:
    text = (TOP / "deployment" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^HEALTHCHECK .*?CMD (\[.*\])$", text, re.MULTILINE)
    assert run(podman, "exec", service.name, *json.loads(command), check=False).returncode == 0
    refused = run(podman, "exec", "--env=ONTIME_SERVICE_PORT=1", service.name, *json.loads(command), check=False)
    assert refused.returncode == 1


def test_it_writes_json_lines_and_nothing_else(service: Running, podman: dict[str, str]) -> None:
    told = run(podman, "logs", service.name)
    assert told.stderr == ""
    assert {json.loads(line)["event"] for line in told.stdout.splitlines()} >= {"ready"}


def test_it_stops_with_status_0_when_asked(podman: dict[str, str], image: str) -> None:
    with running(podman, image, "--env=ONTIME_SERVICE_DRAIN_SECONDS=0") as found:
        run(podman, "kill", f"--signal={signal.SIGTERM.name}", found.name)
        assert run(podman, "wait", found.name).stdout.strip() == "0"


def test_it_serves_as_any_user_with_half_a_core_and_without_a_home_or_a_folder_to_write_to(
    podman: dict[str, str], image: str, checkouts: list[Path]
) -> None:
    champion = checkouts[0] / "models" / "champion"
    manifest, golden = read_json(champion / "manifest.json"), read_json(champion / "golden.json")
    route = f"/v1/models/{manifest['name']}:predict"
    with running(podman, image, *ANY_USER) as found:
        process = Path("/proc") / run(podman, "inspect", "--format={{.State.Pid}}", found.name).stdout.strip()
        assert b"\0HOME=" not in b"\0" + (process / "environ").read_bytes()
        assert "Uid:\t1000650000\t" in (process / "status").read_text()
        writable, cores = json.loads(run(podman, "exec", found.name, PYTHON, "-c", LOOK).stdout)
        assert writable == ["/dev/mqueue", "/dev/shm"]
        assert cores == 1
        threads = [(thread / "comm").read_text().strip() for thread in (process / "task").iterdir()]
        # one answers requests, one writes the log, one gives the metrics; none of a library's pool
        assert threads == ["python"] * len(threads) and len(threads) <= 3
        answer = json.loads(found.ask(route, content={"instances": golden["records"]}))
        assert answer["predictions"] == pytest.approx(golden["probabilities"], abs=manifest["golden_tolerance"])
        # more rows than one batch has
        answer = json.loads(found.ask(route, content={"instances": golden["records"][:1] * 1000}))
        assert len(answer["predictions"]) == 1000
        told = found.ask("/metrics", found.metrics_port).decode()
        assert 'ontime_requests_total{code="200",protocol="v1"} 2.0' in told
        run(podman, "kill", f"--signal={signal.SIGTERM.name}", found.name)
        assert run(podman, "wait", found.name).stdout.strip() == "0"
        assert run(podman, "logs", found.name).stderr == ""


def test_the_model_of_another_image_answers_beside_its_own(
    podman: dict[str, str], image: str, checkouts: list[Path]
) -> None:
    """Mounted as docs/how-to/second-model.md says; here it is the same image."""
    golden = read_json(checkouts[0] / "models" / "champion" / "golden.json")
    options = (f"--mount=type=image,source={image},destination=/shadow", "--env=ONTIME_SERVICE_DRAIN_SECONDS=0")
    named = ("--env=ONTIME_SERVICE_SHADOW=/shadow/models/champion", "--env=ONTIME_SERVICE_SHADOW_VERSION=1.3.0")
    with running(podman, image, *options, *named) as found:
        found.ask("/v1/models/parcels:predict", content={"instances": golden["records"]})
        run(podman, "kill", f"--signal={signal.SIGTERM.name}", found.name)
        assert run(podman, "wait", found.name).stdout.strip() == "0"
        told = run(podman, "logs", found.name).stdout
    assert log_lines(told, "ready")[0]["shadow_version"] == "1.3.0"
    answered = [line["probability"] for line in log_lines(told, "prediction")]
    shadowed = [line["probability"] for line in log_lines(told, "shadow")]
    assert len(answered) == len(golden["records"])
    assert shadowed == pytest.approx(answered, abs=1e-6)


def test_a_model_with_a_flipped_byte_does_not_start(
    podman: dict[str, str], image: str, checkouts: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(checkouts[0] / "models" / "champion", tmp_path / "champion")
    content = bytearray((tmp_path / "champion" / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "champion" / "model.onnx").write_bytes(content)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    mount = f"--volume={tmp_path}/champion:/models/champion:ro"
    done = run(podman, "run", "--rm", *HARDENED, mount, image, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: /models/champion: not what was signed")
    assert len(done.stderr.splitlines()) == 1


def test_an_image_signed_without_a_key_starts_for_its_identity_alone(
    podman: dict[str, str], bases: list[str], checkouts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = shutil.copytree(checkouts[0], tmp_path / "checkout")
    with sigstore_server("https://example.invalid/sign.yml@refs/heads/main") as sigstore:
        for name, value in sigstore.variables.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "sigstore.json").write_text(sigstore.trust_config)
        champion = checkout / "models" / "champion"
        sign(champion, champion.with_suffix(".sig"), None, tmp_path / "sigstore.json")
    arguments = {"BASE": bases[0], "PUBLIC_KEY": "", "IDENTITY": sigstore.identity, "IDENTITY_PROVIDER": PROVIDER}

    def keyless(**changes: str) -> "subprocess.CompletedProcess[str]":
        command = build_command("podman", "localhost/keyless:1", {**arguments, **changes})
        return subprocess.run(command, cwd=checkout, env=podman, capture_output=True, text=True, check=False)

    refused = keyless(IDENTITY="somebody")
    assert refused.returncode
    assert "error: /models/champion.sig: not signed by somebody, or changed since" in refused.stderr
    built = keyless()
    assert built.returncode == 0, built.stderr
    with running(podman, "localhost/keyless:1", *ANY_USER):
        pass
    done = run(
        podman, "run", "--rm", *HARDENED, "--env=ONTIME_SERVICE_IDENTITY=somebody", "localhost/keyless:1", check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: /models/champion.sig: not signed by somebody, or changed since")


def test_there_is_no_shell_package_manager_or_compiler_in_it(members: list[tarfile.TarInfo]) -> None:
    programs = {
        member.name for member in members if member.isfile() and member.mode & 0o111 and ".so" not in member.name
    }
    assert {Path(name).name for name in programs} == {"python3.11"}
    names = {Path(member.name).name for member in members}
    assert not names & {"sh", "bash", "dash", "busybox", "apt", "dpkg", "pip", "setuptools", "ensurepip", "gcc", "ld"}


def test_nobody_may_write_to_it_and_nothing_runs_as_root(members: list[tarfile.TarInfo]) -> None:
    for member in members:
        assert (member.uid, member.gid, member.mtime) == (0, 0, 0), member.name
        assert not member.mode & 0o6000, member.name
        assert member.issym() or not member.mode & 0o022, member.name


def test_every_module_is_compiled_and_nothing_that_trains_is_there(members: list[tarfile.TarInfo]) -> None:
    names = {member.name for member in members if member.isfile()}
    modules = {name for name in names if name.endswith(".py")}
    assert {f"{Path(name).parent}/__pycache__/{Path(name).stem}.cpython-311.pyc" for name in modules} <= names
    packages = {name.partition("/site-packages/")[2].partition("/")[0] for name in names}
    assert not packages & {"dvc", "mlflow", "pandas", "pyarrow", "sklearn", "tensorflow"}


def test_a_pushed_image_has_the_digest_that_was_told(
    podman: dict[str, str], bases: list[str], builds: list[Built], tmp_path: Path
) -> None:
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    address = f"127.0.0.1:{free_port()}"
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\nhttp: {{addr: {address}}}\n"
    )
    (tmp_path / "registries.conf").write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
    variables = {**podman, "CONTAINERS_REGISTRIES_CONF": str(tmp_path / "registries.conf")}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", tmp_path / "registry.yml"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        pushed = build(builds[0].checkout, bases[0], variables, 0o022, f"--name={address}/ontime", "--push")
        name, _, digest = pushed.reference.partition("@")
        assert digest == builds[0].reference.partition("@")[2]
        run(variables, "pull", "--quiet", f"{name}@{digest}")
    finally:
        server.terminate()
        server.wait()
