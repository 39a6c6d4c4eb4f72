"""Show what is held of a person: the rows in the raw table, the prediction log, labels and what monitoring kept.

In: the places that `privacy:` in `params.yaml` names. Out: JSON, a list of rows for each file that has some. Older
versions of the data, which have the same rows, are only counted by `ontime forget --check`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click

from ontime.common.errors import OntimeError
from ontime.common.files import write_text
from ontime.privacy.record import Digests, known_rows, read_records
from ontime.privacy.rows import Source, load_source, parts_of
from ontime.privacy.search import Search, names_of
from ontime.privacy.settings import NO_PERSONS, Privacy, load_privacy

STANDARD_INPUT = "-"


@click.command(name="subject")
@click.argument("key", metavar="KEY")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; otherwise standard output.")
def command(key: str, output: Path | None) -> None:
    """Show what is held of the person KEY, or of the one in standard input with `-`."""
    privacy = load_privacy()
    if privacy.subject is None:
        click.echo(NO_PERSONS)
        return
    names = read_names([key])
    text = json.dumps(held(privacy, load_source(privacy), names), indent=2, ensure_ascii=False)
    if output is None:
        click.echo(text)
    else:
        write_text(output, f"{text}\n")
        output.chmod(0o600)


def read_names(keys: list[str] | tuple[str, ...]) -> frozenset[str]:
    """Names of subjects from arguments, of which `-` stands for the lines of standard input.

    Raises:
        OntimeError: there is none.
    """
    lines = sys.stdin.read().splitlines() if STANDARD_INPUT in keys else []
    names = names_of([*(key for key in keys if key != STANDARD_INPUT), *lines])
    if not names:
        raise OntimeError("KEY: empty; name a person by a value of the column that privacy.subject names")
    return names


def search_for(source: Source, names: frozenset[str], private_key: Path | None = None) -> Search:
    """What to look for: the names, and their rows by key, now in the raw table or removed from it earlier.

    Args:
        private_key: that signed the records of what was removed; without it only rows that are there now are known.

    Raises:
        OntimeError: there are records, and the key is absent or another one.
    """
    rows = {row for name in names for row in source.row_keys(name)}
    records = list(read_records(private_key).values()) if private_key else []
    if private_key is None or not records:
        return Search(names, source.subject, source.key, rows.__contains__)
    if not private_key.exists():
        raise OntimeError(f"{private_key}: not found; only the key that signed the records tells whose they are")
    digests = Digests(private_key)
    removed = known_rows(records, digests, names)

    def is_row(key: str) -> bool:
        return key in rows or any(digests.of(name, key) in known for name, known in removed.items() if known)

    return Search(names, source.subject, source.key, is_row)


def held(privacy: Privacy, source: Source, names: frozenset[str]) -> dict[str, Any]:
    """Rows by place and file, as plain content."""
    found: dict[str, Any] = {}
    for part in parts_of(privacy, source, search_for(source, names)):
        if part.mask.any():
            rows = json.loads(part.found.to_json(orient="records", date_format="iso"))
            found.setdefault(part.place, {})[part.name] = rows
    return found
