"""Whose repository this is: every place of the tracked files that a team edits, set together.

A place is found by the text around it, so that a value may be set again. What is set at GitHub and in the cluster is no
file, and is not here.
"""

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ontime.common.errors import OntimeError
from ontime.common.files import write_text
from ontime.repository.git import listed_files, tried
from ontime.repository.places import IAM, OPTIONS, PLACES, ROOTS, Place
from ontime.repository.remote import ADDRESS, set_remote


@dataclass(frozen=True)
class Change:
    """A file's new text, and how often each value there is replaced by which."""

    text: str
    replaced: dict[tuple[str, str], int]


def team_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of this module, and `--dry-run`."""
    for name, option in reversed(OPTIONS.items()):
        command = click.option(f"--{name.replace('_', '-')}", name, help=option.help)(command)
    return click.option("--dry-run", is_flag=True, help="Of what belongs to the team: show it, and write nothing.")(
        command
    )


def present(top: Path = Path()) -> dict[str, str]:
    """Each value as the checkout in a folder has it now, by name; one whose place is gone is absent."""
    found: dict[str, str] = {}
    files = _files(top)
    for place in PLACES:
        if place.name in found:
            continue
        for name in fnmatch.filter(files, place.files):
            if match := _pattern(place, found).search((top / name).read_text(encoding="utf-8")):
                found[place.name] = match["value"]
                break
    return found


def changes(
    given: Mapping[str, str | None], remote: str | None = None, account: str | None = None, top: Path = Path()
) -> dict[str, Change]:
    """What the files would be with other values.

    Args:
        given: values by the names of `OPTIONS`; None leaves one as it is.
        remote: address of the DVC remote, whose bucket and prefix the documents of access name.
        account: Azure's storage account of the remote.
        top: the checkout's folder.

    Returns:
        The changed files by their paths in the checkout, in order.

    Raises:
        OntimeError: a value has not the form of what it stands for, or no file has a place for it.
    """
    now, wanted = present(top), {name: value for name, value in given.items() if value is not None}
    for name, value in wanted.items():
        option = f"--{name.replace('_', '-')}"
        if not re.fullmatch(OPTIONS[name].form, value):
            raise OntimeError(f"{option} {value}: expected a value such as {OPTIONS[name].example}")
        if name not in now:
            raise OntimeError(f"{option}: no file of this checkout has a place for it")
    return _replaced({**wanted, **_following(wanted, now, remote, account)}, now, top)


def name_model(name: str, event: str) -> None:
    """Put a model's name, and what it predicts, wherever a file beside `params.yaml` and `dvc.yaml` has them.

    Args:
        event: what is predicted, in plain words without a semicolon.
    """
    for path, change in _replaced({"model": name, "event": event}, present(), Path()).items():
        write_text(Path(path), change.text)


def event_in(text: str) -> str | None:
    """What the model predicts, in plain words, as the text of a README says it."""
    place = next(place for place in PLACES if place.name == "event")
    found = _pattern(place, {}).search(text)
    return found["value"] if found else None


def _replaced(wanted: Mapping[str, str], now: Mapping[str, str], top: Path) -> dict[str, Change]:
    files = _files(top)
    texts: dict[str, str] = {}
    replaced: dict[str, dict[tuple[str, str], int]] = {}
    for place in PLACES:
        if place.name not in wanted or place.name not in now:
            continue
        # what was replaced before, in texts that have it already
        around = {**{name: wanted.get(name, value) for name, value in now.items()}, place.name: now[place.name]}
        for name in fnmatch.filter(files, place.files):
            before = texts.get(name) or (top / name).read_text(encoding="utf-8")
            text, counts = _put(before, _pattern(place, around), wanted[place.name])
            if counts:
                texts[name] = text
                for pair, count in counts.items():
                    known = replaced.setdefault(name, {})
                    known[pair] = known.get(pair, 0) + count
    return {name: Change(texts[name], replaced[name]) for name in sorted(texts)}


def own(given: Mapping[str, str | None], remote: str | None, account: str | None, dry_run: bool) -> None:
    """Set values and the DVC remote, and print the places file by file.

    Raises:
        OntimeError: a value or the remote is refused; nothing is written.
    """
    if account and not remote:
        raise OntimeError("--account: only with --remote azure://CONTAINER/PREFIX")
    name = set_remote(remote, account, dry_run=True) if remote else ""
    found = changes(given, remote, account)
    for line in _told(found):
        click.echo(line)
    if remote:
        click.echo(f".dvc/config: the remote {name} is {remote}")
    if dry_run:
        click.echo("nothing was written")
        return
    if remote:
        set_remote(remote, account)
        # it writes a file that has other places
        found = changes(given, remote, account)
    for path, change in found.items():
        write_text(Path(path), change.text)
    names = {*found, *([".dvc/config"] if remote else [])}
    then = ", then `ontime cache --push`" if remote else ""
    if not names:
        click.echo("every place has these values already")
        return
    click.echo(f"wrote 1 file; commit it{then}" if len(names) == 1 else f"wrote {len(names)} files; commit them{then}")


def _following(
    wanted: Mapping[str, str], now: Mapping[str, str], remote: str | None, account: str | None
) -> dict[str, str]:
    """Values that follow from others: the owner, an image's name, the parts of the remote's address."""
    found = {}
    if "repository" in wanted:
        found["owner"] = wanted["repository"].partition("/")[0]
    if {"repository", "registry"} & wanted.keys() and {"repository", "registry"} <= now.keys():
        both = {**now, **wanted}
        found["image"] = f"{both['registry']}/{both['repository']}".lower()
    if remote and (match := ADDRESS.fullmatch(remote)):
        found["bucket"], _, prefix = remote.removeprefix(f"{match['kind']}://").rstrip("/").partition("/")
        if not prefix and "prefix" in now:
            raise OntimeError(
                f"--remote {remote}: give a prefix too, to which {IAM} limits the jobs, as in {remote}/dvc"
            )
        found["prefix"] = prefix
    if account:
        found["storage_account"] = account
    return found


def _files(top: Path) -> list[str]:
    if tried("rev-parse", "--git-dir", folder=top) is None:
        return []
    return sorted(name for name in listed_files(top) if Path(name).parts[0] in ROOTS)


def _pattern(place: Place, now: Mapping[str, str]) -> "re.Pattern[str]":
    # what is not known matches nothing
    return re.compile(
        re.sub(r"\{([a-z_]+)\}", lambda match: re.escape(now[match[1]]) if match[1] in now else r"(?!)", place.around)
    )


def _put(text: str, around: "re.Pattern[str]", value: str) -> tuple[str, dict[tuple[str, str], int]]:
    parts, end, counts = [], 0, dict[tuple[str, str], int]()
    for match in around.finditer(text):
        if match["value"] == value:
            continue
        parts += [text[end : match.start("value")], value]
        end = match.end("value")
        counts[match["value"], value] = counts.get((match["value"], value), 0) + 1
    return "".join([*parts, text[end:]]), counts


def _told(found: Mapping[str, Change]) -> Iterator[str]:
    """A line for each file with what is replaced there."""
    for name, change in found.items():
        parts = [
            f"{old} -> {new}" + (f" ({count} places)" if count > 1 else "")
            for (old, new), count in change.replaced.items()
        ]
        yield f"{name}: {'; '.join(parts)}"
