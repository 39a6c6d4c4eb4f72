"""Which columns of a feature table are its key, its time and its features; `target` holds 0, 1 or missing."""

from dataclasses import dataclass
from typing import Any

TARGET = "target"
KNOWN_AT = "known_at"
"""Column of a table of labels: since when a label is known, in UTC, or missing."""


@dataclass(frozen=True)
class Layout:
    """Column names by role. `time` is a column of UTC times to split by, or None."""

    key: list[str]
    time: str | None
    numbers: list[str]
    categories: list[str]

    @property
    def features(self) -> list[str]:
        """The model's inputs in the order of its matrix: numbers first, then categories."""
        return [*self.numbers, *self.categories]

    @property
    def columns(self) -> list[str]:
        """All columns of a feature table, in order."""
        carried = [*self.key, *([self.time] if self.time else [])]
        return list(dict.fromkeys([*carried, *self.features, TARGET]))

    def as_json(self) -> dict[str, Any]:
        """Plain content of `feature_layout.json`."""
        return {"key": self.key, "time": self.time, "numbers": self.numbers, "categories": self.categories}
