"""What a Dockerfile's last stage makes of an image's configuration, and the comparison with an image's.

In: the text of the Dockerfile and its build arguments. Only the instructions of the service's Dockerfile are known; any
other is refused, so that none goes unchecked.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ontime.common.errors import OntimeError

SECOND = 1_000_000_000
"""Nanoseconds, in which a configuration says times."""
UNITS = {"ms": SECOND // 1000, "s": SECOND, "m": 60 * SECOND}
TOP = {"architecture": "amd64", "os": "linux"}
DESCRIBING = ("author", "config", "created", "history", "rootfs", "variant")
"""Keys that say nothing about how a container runs, or are checked by themselves."""
DEFAULTS: dict[str, Any] = {"WorkingDir": "/", "ArgsEscaped": False}
"""What a builder may write out although it is the default."""
MAY_BE_MISSING = ("Healthcheck",)
"""OCI's format has no place for it; Kubernetes asks by probes of its own."""


def configuration_of(dockerfile: str, arguments: Mapping[str, str]) -> dict[str, Any]:
    """The `config` of the image that a Dockerfile makes.

    Raises:
        OntimeError: the last stage does not begin `FROM scratch`, or has an instruction that is not known.
    """
    instructions = list(_instructions(dockerfile))
    begins = [number for number, (name, _) in enumerate(instructions) if name == "FROM"]
    if not begins or instructions[begins[-1]][1] != "scratch":
        raise OntimeError("Dockerfile: its last stage is not FROM scratch")
    known: dict[str, str] = {}
    made: dict[str, Any] = {"Env": {}, "Labels": {}, "ExposedPorts": {}}
    for name, text in instructions[begins[-1] + 1 :]:
        if name == "ARG":
            key, _, default = text.partition("=")
            known[key] = arguments.get(key, default)
        elif name in ("ENV", "LABEL"):
            pairs = [word.partition("=") for word in shlex.split(text)]
            made["Env" if name == "ENV" else "Labels"].update(
                {key: _filled(value, {**known, **made["Env"]}) for key, _, value in pairs}
            )
        elif name == "EXPOSE":
            made["ExposedPorts"].update({f"{port}/tcp": {} for port in text.split()})
        elif name == "USER":
            made["User"] = text
        elif name in ("ENTRYPOINT", "CMD"):
            made["Entrypoint" if name == "ENTRYPOINT" else "Cmd"] = json.loads(text)
        elif name == "HEALTHCHECK":
            made["Healthcheck"] = _health(text)
        elif name != "COPY":
            raise OntimeError(f"Dockerfile: {name} in its last stage is not known to this check")
    return made


def check_configuration(found: Mapping[str, Any], expected: Mapping[str, Any], free: tuple[str, ...] = ()) -> None:
    """Compare an image's whole configuration with what its Dockerfile makes.

    Args:
        found: the configuration, with architecture and operating system.
        expected: by `configuration_of`.
        free: environment variables that may have any value.

    Raises:
        OntimeError: something differs or is there beside it; the message names it.
    """
    for key in sorted(found.keys() | TOP.keys()):
        if key not in DESCRIBING and found.get(key) != TOP.get(key):
            raise OntimeError(f"{key} is {_short(found.get(key))}, not {_short(TOP.get(key))}")
    own = found.get("config")
    if not isinstance(own, dict):
        raise OntimeError("has no config")
    actual = {key: value for key, value in own.items() if value not in (None, "", [], {}, DEFAULTS.get(key))}
    wanted = {key: value for key, value in expected.items() if value not in (None, "", [], {})}
    actual["Env"] = _variables(own.get("Env") or [])
    for key in sorted(actual.keys() | wanted.keys()):
        if key in MAY_BE_MISSING and key not in actual:
            continue
        one, other = actual.get(key), wanted.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            for name in sorted(one.keys() | other.keys()):
                if one.get(name) != other.get(name) and name not in free:
                    raise OntimeError(f"{key} {name} is {_short(one.get(name))}, not {_short(other.get(name))}")
        elif one != other:
            raise OntimeError(f"{key} is {_short(one)}, not {_short(other)}")


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


def _filled(value: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda match: known.get(match[1], ""), value)


def _health(text: str) -> dict[str, Any]:
    options, _, command = text.partition("CMD ")
    made: dict[str, Any] = {"Test": ["CMD", *json.loads(command)]}
    names = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "retries": "Retries"}
    for word in options.split():
        name, _, value = word.removeprefix("--").partition("=")
        amount = re.fullmatch(r"(\d+)(ms|s|m)?", value)
        if name not in names or amount is None:
            raise OntimeError(f"Dockerfile: HEALTHCHECK {word} is not known to this check")
        made[names[name]] = int(amount[1]) * UNITS.get(amount[2] or "", 1)
    return made


def _variables(listed: list[str]) -> dict[str, str]:
    made: dict[str, str] = {}
    for name, _, value in (str(one).partition("=") for one in listed):
        if name in made:
            raise OntimeError(f"Env {name} is there twice")
        made[name] = value
    return made


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True) if value is not None else "not set"
    return text if len(text) <= 120 else f"{text[:117]}…"
