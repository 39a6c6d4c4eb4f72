"""What a person wrote and git does not have: `ontime init` asks before it overwrites it."""

import sys
from collections.abc import Iterator

import click

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.datasets.schema import Constraints, TableSchema, load_schemas
from ontime.repository.git import tried


def ask_before_overwriting(table: str, schema: TableSchema, agreed: bool) -> None:
    """Go on if nothing is lost, or a person agrees.

    Args:
        table: the one whose schema is to be written in place of all; agreed: whether the person did already.

    Raises:
        OntimeError: rules would be lost, and nobody is there to ask.
    """
    kept = {(table, column.name, str(column.constraints)) for column in schema.fields}
    lost = sorted({f"{name}.{column}" for name, column, rules in _unsaved() if (name, column, rules) not in kept})
    if lost:
        confirm_loss(f"{paths.SCHEMA}: the rules of {', '.join(lost)} are not committed and would be lost", agreed)


def confirm_loss(what: str, agreed: bool) -> None:
    """Go on if a person agrees to a loss, or did already.

    Raises:
        OntimeError: nobody is there to ask.
    """
    if agreed:
        return
    if not sys.stdin.isatty():
        raise OntimeError(f"{what}; commit them, or overwrite them with --yes")
    click.confirm(f"{what}. Overwrite them?", abort=True)


def _unsaved() -> Iterator[tuple[str, str, str]]:
    """Table, column and rules of each column with rules in a schema that is not as committed."""
    if not paths.SCHEMA.is_dir() or not (changed := tried("status", "--porcelain", "--", str(paths.SCHEMA))):
        return
    names = {line.rpartition("/")[2] for line in changed.splitlines()}
    for name, schema in load_schemas(paths.SCHEMA).items():
        if f"{name}.yaml" not in names and "" not in names:
            continue
        for column in schema.fields:
            # `required` is what init itself infers
            if column.constraints.model_copy(update={"required": False}) != Constraints():
                yield name, column.name, str(column.constraints)
