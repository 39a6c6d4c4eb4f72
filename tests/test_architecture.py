"""The diagram of packages in `docs/architecture.md` matches the import contracts and the commands."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from ontime.cli import all_commands
from tests.checkouts import TOP
from tests.pages import blocks

PACKAGE = TOP / "src" / "ontime"
HEADING = "## Packages"
DIAGRAMS = {"ontime": 0, "ontime.model_deployment": 1}
"""Position of a package's diagram among those below the heading."""


def lines(package: str) -> list[str]:
    """The lines of a package's diagram, one for each of its packages and modules."""
    text = (TOP / "docs" / "architecture.md").read_text(encoding="utf-8")
    earlier = text[: text.index(HEADING)].count("\n```text\n")
    return blocks(TOP / "docs" / "architecture.md")[earlier + DIAGRAMS[package]][1].splitlines()


def layers_in_diagram(package: str) -> list[set[str]]:
    """Packages and modules of each layer, from the top."""
    layers: list[set[str]] = []
    for line in lines(package):
        if not line.startswith(" "):
            layers.append(set())
        layers[-1].add(line.split()[0])
    return layers


def layers_in_contract(package: str) -> list[set[str]]:
    """Packages and modules of each layer in the contract, from the top."""
    settings: Any = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers" and contract["containers"] == [package]
    )
    return [set(layer.split(" | ")) for layer in contract["layers"]]


def members(package: str) -> Iterator[str]:
    """Packages and modules of a package."""
    for path in PACKAGE.joinpath(*package.split(".")[1:]).iterdir():
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").is_file():
            yield path.stem


@pytest.mark.parametrize("package", DIAGRAMS)
def test_the_diagram_is_the_contract_and_names_every_package(package: str) -> None:
    assert layers_in_diagram(package) == layers_in_contract(package)
    assert {name for layer in layers_in_diagram(package) for name in layer} == set(members(package))


def test_the_diagram_names_every_command_in_its_package() -> None:
    named = {line.split()[0]: line for package in DIAGRAMS for line in lines(package)}
    for command, module in all_commands().items():
        parts = module.split(".")
        package = parts[2] if parts[1] == "model_deployment" else parts[1]
        listed = named[package].split(None, 1)[1].partition(":")[0]
        assert command in listed.replace(",", " ").split(), f"{command} is in {package}"
