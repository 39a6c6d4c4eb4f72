"""The two hooks of a sync, as commands against a real service: the check before it and the smoke test behind it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.model_deployment.service.smoke import smoke_test
from tests.checkouts import TOP, environment
from tests.services import Running, serving

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running(signed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(signed, tmp_path_factory.mktemp("log") / "service.log") as found:
        yield found


def ontime(signed: Path, *arguments: str, version: str = "1.2.3") -> "subprocess.CompletedProcess[str]":
    """Run a command with the settings that the image has."""
    settings = {
        "ONTIME_SERVICE_MODEL": str(signed / "model"),
        "ONTIME_SERVICE_SIGNATURE": str(signed / "model.sig"),
        "ONTIME_SERVICE_PUBLIC_KEY": str(signed / "model.pub"),
        "ONTIME_SERVICE_MODEL_VERSION": version,
    }
    return subprocess.run(
        [sys.executable, "-m", "ontime", *arguments],
        env=environment(**settings),
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )


def changed_copy(signed: Path, target: Path, **changes: object) -> Path:
    """The model's folder with other golden records."""
    target.mkdir()
    for name in ("golden.json", "manifest.json"):
        content = read_json(signed / "model" / name)
        (target / name).write_text(json.dumps(content | (changes if name == "golden.json" else {})))
    return target


def test_the_golden_records_hold_through_the_service(running: Running, signed: Path) -> None:
    done = ontime(signed, "smoke-test", running.url)
    assert done.returncode == 0, done.stderr
    assert " 1.2.3: " in done.stdout and "golden records, 20 times" in done.stdout


@pytest.mark.parametrize("value", [0.123456, float("nan")])
def test_an_answer_that_is_not_the_golden_one_is_told(
    running: Running, signed: Path, tmp_path: Path, value: float
) -> None:
    golden = read_json(signed / "model" / "golden.json")
    folder = changed_copy(signed, tmp_path / "model", probabilities=[value, *golden["probabilities"][1:]])
    with pytest.raises(OntimeError, match="golden records differ by up to"):
        smoke_test("127.0.0.1", running.port, folder, "1.2.3", 5)


def test_another_version_and_an_absent_service_are_one_line(running: Running, signed: Path) -> None:
    done = ontime(signed, "smoke-test", running.url, "--wait", "1", version="9.9.9")
    assert (done.returncode, done.stdout) == (1, "")
    assert "/versions/9.9.9:predict: 404: " in done.stderr and "this service has 1.2.3" in done.stderr
    done = ontime(signed, "smoke-test", "http://127.0.0.1:9", "--wait", "0")
    assert done.returncode == 1 and "no response: " in done.stderr and "Traceback" not in done.stderr


def test_an_address_that_is_none_is_wrong_usage(signed: Path) -> None:
    for address in ("ontime", "https://ontime", "http://ontime:port"):
        assert ontime(signed, "smoke-test", address).returncode == 2


def test_the_check_does_what_a_start_does_and_ends(signed: Path, tmp_path: Path) -> None:
    done = ontime(signed, "serve", "--check")
    assert done.returncode == 0, done.stderr
    assert "1.2.3: signature and golden records verified" in done.stdout
    other = tmp_path / "signed"
    subprocess.run(["cp", "-r", str(signed), str(other)], check=True)
    (other / "model" / "golden.json").write_text("{}")
    done = ontime(other, "serve", "--check")
    assert done.returncode == 1 and "not what was signed" in done.stderr
