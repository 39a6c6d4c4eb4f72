"""What one check of the machine found."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ontime.common.errors import OntimeError, one_line

State = Literal["ok", "missing", "absent"]


@dataclass(frozen=True)
class Finding:
    """What was found. `missing` stops `make repro`; `absent` stops only what `purpose` says."""

    name: str
    state: State
    found: str
    purpose: str
    mend: str


@dataclass(frozen=True)
class Check:
    """One thing that the machine should have.

    `look` returns what is there, or raises an OntimeError that says what is not.
    """

    name: str
    needed: bool
    purpose: str
    mend: str
    look: Callable[[], str]

    def run(self) -> Finding:
        """Look, and say it."""
        try:
            return Finding(self.name, "ok", self.look(), self.purpose, self.mend)
        except (OntimeError, ImportError) as error:
            state: State = "missing" if self.needed else "absent"
            return Finding(self.name, state, one_line(error), self.purpose, self.mend)
