"""What the Dockerfile makes of an image's configuration, and what an image may not have beside it."""

from typing import Any

import pytest

from ontime.common.errors import OntimeError
from ontime.release.image import DOCKERFILE
from ontime.release.image_configuration import check_configuration, configuration_of
from tests.checkouts import TOP

ARGUMENTS = {"GIT_COMMIT": "c" * 40, "MODEL_VERSION": "1.2.0", "MODEL_SHA256": "ab" * 32}


@pytest.fixture
def expected() -> dict[str, Any]:
    """Of the service's Dockerfile."""
    return configuration_of((TOP / DOCKERFILE).read_text(encoding="utf-8"), ARGUMENTS)


@pytest.fixture
def found(expected: dict[str, Any]) -> dict[str, Any]:
    """As an image has it."""
    own = {**expected, "Env": [f"{name}={value}" for name, value in expected["Env"].items()]}
    return {"architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:00Z", "rootfs": {}, "config": own}


def test_the_dockerfiles_last_stage_says_how_a_container_runs(expected: dict[str, Any]) -> None:
    assert expected["Entrypoint"] == ["/opt/ontime/bin/python", "-m", "ontime", "serve"]
    assert expected["User"] == "65532:65532"
    assert expected["ExposedPorts"] == {"8080/tcp": {}, "9090/tcp": {}}
    assert expected["Env"]["ONTIME_SERVICE_PUBLIC_KEY"] == "/models/champion.pub"
    assert expected["Env"]["ONTIME_SERVICE_IDENTITY"] == ""
    assert expected["Env"]["NPY_DISABLE_CPU_FEATURES"] == "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"
    assert expected["Labels"]["org.opencontainers.image.version"] == "1.2.0"
    assert expected["Healthcheck"]["Interval"] == 10_000_000_000
    assert expected["Healthcheck"]["Retries"] == 3


def test_builders_may_leave_out_and_write_out_defaults(found: dict[str, Any], expected: dict[str, Any]) -> None:
    check_configuration(found, expected)
    del found["config"]["Healthcheck"]
    found["config"] |= {"WorkingDir": "/", "OnBuild": None, "Volumes": None, "Cmd": []}
    check_configuration(found, expected)


@pytest.mark.attack("forged-image")
@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("Entrypoint", ["/bin/sh"], 'Entrypoint is ["/bin/sh"], not ['),
        ("Entrypoint", None, "Entrypoint is not set, not ["),
        ("Cmd", ["--check"], 'Cmd is ["--check"], not not set'),
        ("User", "", 'User is not set, not "65532:65532"'),
        ("User", "root", 'User is "root", not "65532:65532"'),
        ("WorkingDir", "/models", 'WorkingDir is "/models", not not set'),
        ("Volumes", {"/models": {}}, "Volumes is"),
        ("OnBuild", ["RUN evil"], 'OnBuild is ["RUN evil"], not not set'),
        ("StopSignal", "SIGKILL", 'StopSignal is "SIGKILL", not not set'),
        ("Shell", ["/evil"], 'Shell is ["/evil"], not not set'),
        ("Healthcheck", {"Test": ["CMD", "evil"]}, "Healthcheck Interval is not set, not 10000000000"),
        ("ExposedPorts", {"8080/tcp": {}, "9090/tcp": {}, "22/tcp": {}}, "ExposedPorts 22/tcp is {}, not not set"),
        ("Unknown", 1, "Unknown is 1, not not set"),
    ],
)
def test_anything_else_is_named(
    found: dict[str, Any], expected: dict[str, Any], key: str, value: Any, line: str
) -> None:
    found["config"][key] = value
    with pytest.raises(OntimeError) as error:
        check_configuration(found, expected)
    assert str(error.value).startswith(line)


@pytest.mark.attack("forged-image")
@pytest.mark.parametrize(
    ("variable", "line"),
    [
        ("ONTIME_SERVICE_IDENTITY=evil", "Env ONTIME_SERVICE_IDENTITY is there twice"),
        ("LD_PRELOAD=/evil.so", 'Env LD_PRELOAD is "/evil.so", not not set'),
    ],
)
def test_another_variable_is_named(found: dict[str, Any], expected: dict[str, Any], variable: str, line: str) -> None:
    found["config"]["Env"].append(variable)
    with pytest.raises(OntimeError) as error:
        check_configuration(found, expected)
    assert str(error.value) == line


@pytest.mark.attack("forged-image")
@pytest.mark.parametrize(
    ("key", "value"), [("architecture", "arm64"), ("os", "windows"), ("container_config", {"a": 1})]
)
def test_another_platform_or_a_second_configuration_is_named(
    found: dict[str, Any], expected: dict[str, Any], key: str, value: Any
) -> None:
    with pytest.raises(OntimeError, match=rf"^{key} is "):
        check_configuration({**found, key: value}, expected)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("FROM base\n", "Dockerfile: its last stage is not FROM scratch"),
        ("FROM scratch\nWORKDIR /a\n", "Dockerfile: WORKDIR in its last stage is not known to this check"),
        ("FROM scratch\nHEALTHCHECK --odd=1s CMD []\n", "Dockerfile: HEALTHCHECK --odd=1s is not known to this check"),
    ],
)
def test_an_instruction_that_is_not_known_is_refused(text: str, line: str) -> None:
    with pytest.raises(OntimeError) as error:
        configuration_of(text, {})
    assert str(error.value) == line
