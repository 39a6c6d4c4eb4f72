"""The daily checks by name, in the order in which `ontime monitor day` calls them."""

from collections.abc import Callable
from dataclasses import dataclass

from ontime.common.errors import OntimeError
from ontime.monitoring import inputs, labels, replay, skew
from ontime.monitoring.days import Checked, Day
from ontime.monitoring.label_kinds import labels_of
from ontime.monitoring.label_source import read_labels


@dataclass(frozen=True)
class LabelSource:
    """Where a day's labels are: a file's address, or a database's with a query; nowhere by default."""

    address: str | None = None
    query: str | None = None

    def given(self) -> tuple[str, str | None]:
        """The address and the query.

        Raises:
            OntimeError: there is none, so no check can use labels.
        """
        if self.address is None:
            raise OntimeError("no labels were given; name them with --labels")
        return self.address, self.query


CHECKS: dict[str, Callable[[Day, LabelSource], Checked]] = {
    "inputs": lambda where, _: inputs.check(where),
    "replay": lambda where, _: replay.check(where),
    "skew": lambda where, _: skew.check(where),
    "labels": lambda where, source: labels.check(where, read_labels(*source.given(), labels_of(where.model))),
}
"""A check that cannot run raises OntimeError with the reason."""
