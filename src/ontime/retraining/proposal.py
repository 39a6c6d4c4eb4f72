"""Take over what a training job made, as data: `dvc.lock` and `.dvc` files, in which hashes alone are other ones.

In: a folder that the job left, the settings of the retraining on standard input, the alert that asked for it in the
environment variable `ALERT`. Out: these files and `params.yaml` in the checkout, and on standard output the text of the
pull request. The job ran the graph on data from elsewhere, so nothing that it left is run or believed: a file with
another name, form, stage, command or path is refused. `params.yaml` is made here, from the settings and one hash.
"""

import json
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.common.params import PARAMS_FILE
from ontime.parameters import load_params
from ontime.repository.git import git
from ontime.repository.lock_file import LOCK
from ontime.repository.yaml_files import editing, plain
from ontime.retraining.plain_yaml import loaded
from ontime.retraining.settings import MOST_CHARACTERS, apply, read_settings

MOST_BYTES, MOST_FILES = 1_000_000, 100
MOST_ALERT = 4_000
"""Characters of an alert that the pull request shows."""
SHA256 = re.compile(r"[0-9a-f]{64}")
CHANGING = {
    "md5": re.compile(r"[0-9a-f]{32}(\.dir)?"),
    "size": re.compile(r"[0-9]{1,18}"),
    "nfiles": re.compile(r"[0-9]{1,12}"),
    **dict.fromkeys(("etag", "checksum", "version_id", "rev_lock"), re.compile(r"[\w+/=.\":-]{1,200}", re.ASCII)),
}
"""Keys of an entry in `dvc.lock` or a `.dvc` file that say what its content is, not what it is or where."""
PARAMETERS = re.compile(r"stages\..*\.params\.[^.]+\.yaml")
"""Place of a stage's parameters in `dvc.lock`."""


@click.command(name="propose")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def command(folder: Path) -> None:
    """Check what a training job left in FOLDER, take it over, and print the text of its pull request."""
    settings = read_settings(sys.stdin.read(MOST_CHARACTERS + 1))
    take_over(read_files(folder), settings)
    click.echo(description(settings, os.environ.get("ALERT", "")))


def read_files(folder: Path) -> dict[str, bytes]:
    """Content of each file of a folder by its path there.

    Raises:
        OntimeError: a link, a device, too many files or too large ones.
    """
    found: dict[str, bytes] = {}
    for top, folders, names in os.walk(folder, followlinks=False):
        for name in [*folders, *names]:
            path = Path(top) / name
            inside, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
            if stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                raise OntimeError(f"{inside!r}: not a regular file; a training job leaves files alone")
            if len(found) == MOST_FILES or path.stat().st_size > MOST_BYTES:
                raise OntimeError(f"{inside!r}: more than {MOST_FILES} files, or a file above {MOST_BYTES:,} bytes")
            found[inside] = path.read_bytes()
    return found


def take_over(files: Mapping[str, bytes], settings: Mapping[str, Any]) -> None:
    """Write the files into the checkout, all or none, after a check of each.

    Raises:
        OntimeError: a file that retraining does not change, or a difference that is more than a hash.
    """
    allowed = {str(LOCK), str(PARAMS_FILE), *git("ls-files", "-z", "--", "*.dvc").split("\0")}
    if unknown := sorted(files.keys() - allowed):
        raise OntimeError(f"{unknown[0]!r}: retraining changes {LOCK}, {PARAMS_FILE} and .dvc files alone")
    if not files:
        raise OntimeError("the training job left no file")
    hashed = {name: content for name, content in files.items() if name != str(PARAMS_FILE)}
    for name, content in hashed.items():
        _check_hashes_alone(name, loaded(name, content))
    before = load_params(PARAMS_FILE).data.options
    made = loaded(str(PARAMS_FILE), files.get(str(PARAMS_FILE), PARAMS_FILE.read_bytes()))
    with editing(PARAMS_FILE) as content:
        apply(settings, content, PARAMS_FILE)
        if "sha256" in before:
            content["data"]["options"]["sha256"] = _pinned(made)
        _check_same(plain(content), made)
    for name, text in hashed.items():
        with replacing(Path(name)) as temporary:
            temporary.write_bytes(text)


def _pinned(made: Mapping[str, Any]) -> str:
    """The content of a table that the job read."""
    try:
        found = str(made["data"]["options"]["sha256"])
    except (KeyError, TypeError):
        found = ""
    if not SHA256.fullmatch(found):
        raise OntimeError(f"the job's {PARAMS_FILE}: data.options.sha256: not a SHA-256")
    return found


def _check_same(here: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """The job's parameters must be those that are written here."""
    differing = sorted(str(name) for name in {*here, *made} if here.get(name) != made.get(name))
    if differing:
        raise OntimeError(f"the job's {PARAMS_FILE}: {differing[0]!r:.80}: not what the settings say")


def _check_hashes_alone(name: str, made: dict[str, Any]) -> None:
    """A `dvc.lock` or `.dvc` file must be the checkout's but for hashes, sizes and the lock's values of parameters."""
    if not Path(name).is_file():
        raise OntimeError(f"{name}: not in this checkout; run the graph on a branch of your own first")
    here = dict(_fixed(loaded(name, Path(name).read_bytes())))
    there = dict(_fixed(made))
    for place in sorted(here.keys() | there.keys()):
        if here.get(place) != there.get(place):
            raise OntimeError(f"the job's {name}: {place!r:.120}: not as in main; retraining changes hashes alone")


def _fixed(content: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """What retraining leaves as it is, by its place: every value but hashes and sizes, whose form is checked.

    Of a lock's parameters it is their names.
    """
    if isinstance(content, dict) and PARAMETERS.fullmatch(place):
        yield from ((f"{place}.{key}", "a parameter") for key in content)
    elif isinstance(content, dict):
        for key, value in content.items():
            inner = f"{place}.{key}" if place else str(key)
            if key not in CHANGING:
                yield from _fixed(value, inner)
            elif not CHANGING[key].fullmatch(str(value)):
                raise OntimeError(f"{inner!r:.120}: {value!r:.60}: not the form of such a value")
            elif key == "md5":
                yield inner, "of a folder" if str(value).endswith(".dir") else "of a file"
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _fixed(value, f"{place}.{number}")
    else:
        yield place, repr(content)


def description(settings: Mapping[str, Any], alert: str) -> str:
    """The pull request's text as Markdown; what others wrote is in fences that it cannot end."""
    parts = ["The graph on new data or parameters; the pull request's report says what it does to the model."]
    if settings:
        parts += ["Its settings:", fenced("\n".join(f"{key}={json.dumps(value)}" for key, value in settings.items()))]
    if alert and alert != "null":
        parts += ["The alert that asked for it:", fenced(_readable(alert))]
    return "\n\n".join(parts)


def _readable(alert: str) -> str:
    try:
        # in ASCII, because other characters can change the order or the look of a line
        text = json.dumps(json.loads(alert), indent=2)
    except (ValueError, RecursionError):
        text = ascii(alert)
    return text if len(text) <= MOST_ALERT else f"{text[:MOST_ALERT]}\n(cut)"


def fenced(text: str) -> str:
    """The text as a block of code in Markdown, whose fence is longer than any in it."""
    longest = max((len(run) for run in re.findall("~+", text)), default=0)
    fence = "~" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
