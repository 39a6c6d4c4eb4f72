"""Change parameters of `params.yaml` by lines `KEY=VALUE`, each checked; nothing else of a line has a meaning.

In: lines on standard input, such as `split.test_from=2013-12-01T05:00:00Z` or `evaluate.slices=["carrier"]`. Out:
`params.yaml`, edited in place, or nothing. A key is one that the file has. A value is a JSON number, text, true, false,
null, or a list of these where the parameter is a list; plain text needs no quotes. Neither DVC nor a shell reads the
lines, because `dvc exp run --set-param` takes them for Hydra's grammar, which edits other files and reads variables.
"""

import json
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from ontime.common.errors import OntimeError
from ontime.common.params import PARAMS_FILE, closest
from ontime.parameters import check_params, load_params
from ontime.repository.yaml_files import editing, plain, replace_value

MOST_CHARACTERS, MOST_LINES, LONGEST_LINE = 20_000, 50, 8_000
"""The longest line is a list of days."""
KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")
TEXT = re.compile(r"[\w .,:;/@+?!%()-]{0,200}")
"""Texts that mean themselves everywhere: no line end, quote, brace, dollar or other control character."""
NOT_SET = {
    "data.source": "it says where data is read from",
    "engine": "it says where tasks run",
    "export.name": "it is the name of the versions",
    "gate": "it judges what is trained",
    "monitor": "it judges what is served",
    "forward": "it makes the limits of what is served",
    "task": "it is what is asked of the rows",
    "retraining": "it decides when a model is trained",
}
"""Parameters that a pull request by a person changes, and why."""


@click.command(name="set")
def command() -> None:
    """Change parameters of params.yaml by lines KEY=VALUE on standard input."""
    settings = read_settings(sys.stdin.read(MOST_CHARACTERS + 1))
    load_params(PARAMS_FILE)
    with editing(PARAMS_FILE) as content:
        apply(settings, content, PARAMS_FILE)
    for key, value in settings.items():
        click.echo(f"{key}: {json.dumps(value)}")


def read_settings(text: str) -> dict[str, Any]:
    """Values by dotted key, from lines `KEY=VALUE`; empty lines say nothing.

    Raises:
        OntimeError: too long, no such line, a key twice, or a value that is no scalar or list of scalars.
    """
    if len(text) > MOST_CHARACTERS:
        raise OntimeError(f"settings: longer than {MOST_CHARACTERS:,} characters")
    # not splitlines, which takes other characters for line ends too
    lines = [line.removesuffix("\r") for line in text.split("\n") if line.strip()]
    if len(lines) > MOST_LINES:
        raise OntimeError(f"settings: {len(lines)} lines; at most {MOST_LINES}")
    settings: dict[str, Any] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if len(line) > LONGEST_LINE:
            _refuse(line, f"longer than {LONGEST_LINE:,} characters")
        if not equals or not KEY.fullmatch(key):
            _refuse(line, "expected KEY=VALUE, with a key as in `train.seed`")
        if key in settings:
            _refuse(line, "the key is set twice")
        settings[key] = _value(value, line)
    return settings


def _value(text: str, line: str) -> Any:
    try:
        value = json.loads(text, parse_constant=lambda name: _refuse(line, f"{name} is not a number"))
    except (ValueError, RecursionError):
        value = text
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict | list):
            _refuse(line, "expected one value, or a list of values")
        if isinstance(one, float) and not math.isfinite(one):
            _refuse(line, "too large a number")
        if isinstance(one, str) and not TEXT.fullmatch(one):
            _refuse(line, "a text may have at most 200 letters, digits and . , : ; / @ + ? ! % ( ) - _")
    return value


def apply(settings: Mapping[str, Any], content: Any, path: Path) -> None:
    """Change the content of a file of parameters, as `editing` yields it; `path` is for the errors.

    Raises:
        OntimeError: a key is unknown or may not be set, or a value has the wrong type or is out of range.
    """
    for key, value in settings.items():
        _replace(content, key, value, path)
    check_params(plain(content), str(path))


def _replace(content: Any, key: str, value: Any, path: Path) -> None:
    for name, reason in NOT_SET.items():
        if f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}."):
            raise OntimeError(f"{key}: not set for a retraining, because {reason}; change {path} by a pull request")
    *parents, last = key.split(".")
    place = content
    for depth, name in enumerate([*parents, last]):
        if not isinstance(place, dict) or name not in place:
            known = f"; {closest(name, [str(one) for one in place])}" if isinstance(place, dict) else ""
            raise OntimeError(f"{path}: {'.'.join([*parents, last][: depth + 1])}: unknown key{known}")
        place = place[name] if depth < len(parents) else place
    old = place[last]
    if isinstance(old, dict):
        raise OntimeError(f"{path}: {key}: a section; set one of its parameters: {', '.join(map(str, old))}")
    if old is not None and _kind(value) != _kind(old):
        raise OntimeError(f"{path}: {key}: expected {_kind(old)}, found {value!r:.60}")
    if isinstance(old, list):
        if {_kind(one) for one in old} != {_kind(one) for one in value} and old and value:
            raise OntimeError(f"{path}: {key}: expected a list of {_kind(old[0])}, found {value!r:.60}")
        replace_value(place, last, value)
    else:
        place[last] = value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "null" if value is None else "a text"


def _refuse(line: str, reason: str) -> NoReturn:
    raise OntimeError(f"settings: {line[:80]!r}: {reason}")
