"""The daily checks by name, in the order in which `ontime monitor day` calls them."""

from collections.abc import Callable

from ontime.monitoring import inputs
from ontime.monitoring.days import Checked, Day

CHECKS: dict[str, Callable[[Day], Checked]] = {
    "inputs": inputs.check,
}
"""A check that cannot run raises OntimeError with the reason."""
