"""The parts of the reference that are made from the code: help of commands, parameters, schemas, tasks of make."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from ontime.cli import commands
from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.params import PARAMS_FILE, read_params
from ontime.datasets.schema import Column, load_schemas
from ontime.model_training.families import FAMILIES, family
from ontime.parameters import Params

COLUMNS = 78
"""Width of the help, which fits beside the navigation."""
COMMAND = re.compile(r"^### ontime ([a-z0-9-]+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
WORDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "empty"}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def filled(text: str) -> str:
    """A page with what its marks stand for, and below each heading of a command its help."""
    text = MARK.sub(lambda match: MADE[match[1]](), text)
    return COMMAND.sub(lambda match: f"{match[0].rstrip()}\n\n{_helps(match[1])}\n", text)


def help_of(*names: str) -> str:
    """What `ontime NAME… --help` prints."""
    command: click.Command = commands
    context = click.Context(
        command, info_name="ontime", terminal_width=COLUMNS, max_content_width=COLUMNS, **command.context_settings
    )
    for name in names:
        found = command.get_command(context, name) if isinstance(command, click.Group) else None
        if found is None:
            raise OntimeError(f"docs/reference/commands.md: ontime {' '.join(names)}: no such command")
        command = found
        context = click.Context(command, info_name=name, parent=context, **command.context_settings)
    return command.get_help(context)


def subcommands(name: str) -> list[str]:
    """Names of a command's commands, if it is a group."""
    context = click.Context(commands, **commands.context_settings)
    command = commands.get_command(context, name)
    return command.list_commands(context) if isinstance(command, click.Group) else []


def _helps(name: str) -> str:
    return "\n".join(
        f"```text\n{help_of(*names)}\n```\n" for names in [[name], *([name, one] for one in subcommands(name))]
    )


def tasks() -> str:
    """A table of the Makefile's targets."""
    found = re.findall(r"^([a-z0-9-]+):[^#\n]*## (.*)$", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return _table(("task", "what it does"), [(f"`make {name}`", text) for name, text in found])


def parameters() -> str:
    """A table for each section of `params.yaml`."""
    comments = dict(_comments(PARAMS_FILE.read_text(encoding="utf-8")))
    parts = []
    for section, content in read_params().items():
        schema = Params.model_fields[section].annotation.model_json_schema()  # type: ignore[union-attr]
        rows = [
            (f"`{name}`", f"`{_short(value)}`", kind, comments.get(name) or comments.get(name.rpartition(".")[0], ""))
            for name, value, kind in _leaves(section, content, schema, schema.get("$defs", {}))
        ]
        parts.append(f"## {section}\n\n{schema.get('description', '')}\n\n")
        parts.append(_table(("parameter", "here", "may be", "what it is"), rows))
    return "\n".join(parts)


def schemas() -> str:
    """A table for each raw table."""
    parts = []
    for name, schema in load_schemas(paths.SCHEMA).items():
        rows = [(f"`{column.name}`", column.type, ", ".join(_rules(column))) for column in schema.fields]
        key = f"Primary key: {', '.join(f'`{one}`' for one in schema.primaryKey)}.\n\n" if schema.primaryKey else ""
        parts.append(f"## {name}\n\n{key}{_table(('column', 'type', 'rules'), rows)}")
    return "\n".join(parts)


MADE = {"parameters": parameters, "schemas": schemas, "tasks": tasks}
"""What a mark in a page stands for."""


def _rules(column: Column) -> Iterator[str]:
    for rule, value in column.constraints.model_dump(exclude_defaults=True).items():
        yield rule if value is True else f"{rule} `{_short(value)}`"
    if column.format:
        yield f"format `{column.format}`"
    if column.personal:
        yield "personal"


def _leaves(name: str, value: Any, schema: dict[str, Any], known: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Dotted name, value and kind of each parameter below one."""
    while "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict) and "properties" in schema:
        for key, inner in value.items():
            known_family = name == "train" and any(key in names for names in FAMILIES.values())
            of_key = family(key).Parameters.model_json_schema() if known_family else schema["properties"].get(key, {})
            yield from _leaves(f"{name}.{key}", inner, of_key, {**known, **of_key.get("$defs", {})})
        return
    yield name, value, _kind(schema, known)


def _kind(schema: dict[str, Any], known: dict[str, Any]) -> str:
    """What a value may be, in words."""
    while "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one, known) for one in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    bounds = [f"{sign} {schema[name]}" for name, sign in BOUNDS.items() if name in schema]
    if schema.get("type") == "array":
        return f"list: {_kind(schema.get('items', {}), known)}".removesuffix(": ")
    if schema.get("type") == "object":
        return "mapping"
    return ", ".join(filter(None, [WORDS.get(schema.get("type", ""), ""), *bounds]))


def _comments(text: str) -> Iterator[tuple[str, str]]:
    """Dotted name and comment of each key of a YAML file below a comment."""
    path: list[str] = []
    waiting: list[str] = []
    for line in text.splitlines():
        if comment := re.match(r"\s*# ?(.*)", line):
            waiting.append(comment[1])
        elif key := re.match(r"( *)([\w-]+):", line):
            del path[len(key[1]) // 2 :]
            path.append(key[2])
            if waiting:
                yield ".".join(path), " ".join(waiting)
            waiting = []


def _short(value: Any) -> str:
    text = "empty" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)
    return (text if len(text) <= 60 else f"{text[:57]}…").replace("|", "\\|").replace("`", "'")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in row)} |" for row in lines) + "\n"
