"""The picture of the rooms in `docs/architecture.md` is what the contracts of the imports and the commands say."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from ontime.cli import all_commands
from tests.checkouts import TOP
from tests.pages import blocks

PACKAGE = TOP / "src" / "ontime"
HEADING = "## The rooms"
PICTURES = {"ontime": 0, "ontime.model_deployment": 1}
"""Place of a package's picture among those below the heading."""


def lines(package: str) -> list[str]:
    """The lines of a package's picture, a room each."""
    text = (TOP / "docs" / "architecture.md").read_text(encoding="utf-8")
    earlier = text[: text.index(HEADING)].count("\n```text\n")
    return blocks(TOP / "docs" / "architecture.md")[earlier + PICTURES[package]][1].splitlines()


def layers_in_picture(package: str) -> list[set[str]]:
    """Rooms that stand on one level, from the top."""
    found: list[set[str]] = []
    for line in lines(package):
        if not line.startswith(" "):
            found.append(set())
        found[-1].add(line.split()[0])
    return found


def layers_in_contract(package: str) -> list[set[str]]:
    """Rooms that the contract puts on one level, from the top."""
    settings: Any = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers" and contract["containers"] == [package]
    )
    return [set(layer.split(" | ")) for layer in contract["layers"]]


def rooms(package: str) -> Iterator[str]:
    """Folders and modules of a package."""
    for path in PACKAGE.joinpath(*package.split(".")[1:]).iterdir():
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").is_file():
            yield path.stem


@pytest.mark.parametrize("package", PICTURES)
def test_the_picture_is_the_contract_and_names_every_room(package: str) -> None:
    assert layers_in_picture(package) == layers_in_contract(package)
    assert {name for layer in layers_in_picture(package) for name in layer} == set(rooms(package))


def test_the_picture_names_every_command_in_its_room() -> None:
    named = {line.split()[0]: line for package in PICTURES for line in lines(package)}
    for command, module in all_commands().items():
        parts = module.split(".")
        room = parts[2] if parts[1] == "model_deployment" else parts[1]
        told = named[room].split(None, 1)[1].partition(":")[0]
        assert command in told.replace(",", " ").split(), f"{command} is in {room}"
