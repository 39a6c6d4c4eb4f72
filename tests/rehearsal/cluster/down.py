"""Removes the cluster that an earlier run left, by hand: `python tests/rehearsal/cluster/down.py`.

With --when-closed it waits until its standard input closes first: so it outlives a test that is killed.
"""

import sys
import types
from pathlib import Path

# a package of the environment has the name `tests` as well
tests = types.ModuleType("tests")
tests.__path__ = [str(Path(__file__).parents[2])]
sys.modules["tests"] = tests

from ontime.common.errors import OntimeError  # noqa: E402
from tests.rehearsal.cluster.machine import locked, remove_leftovers  # noqa: E402

if "--when-closed" in sys.argv:
    sys.stdin.read()
try:
    with locked():
        remove_leftovers()
except OntimeError as error:
    sys.exit(str(error))
