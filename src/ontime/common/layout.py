"""Which columns of a feature table are its key, its time and its features; `target` holds 0, 1 or missing.

Of classes it holds their numbers from 0 on, in the order of `classes`.

A column of the project's own beside columns of a table that anybody made is named by `own`, and found by `own_in`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

TARGET, PROBABILITY = "target", "probability"
KNOWN_AT = "known_at"
"""Column of a table of labels: since when a label is known, in UTC, or missing."""


def own(word: str, names: Iterable[str]) -> str:
    """A name for a column of our own beside columns of these names: the word, with more underscores than any has."""
    return word + "_" * max((len(name) - len(word) + 1 for name in names if name.rstrip("_") == word), default=0)


def own_in(word: str, columns: Iterable[str]) -> str:
    """The column that `own` has named, among all columns of the table or some that contain it."""
    return max((name for name in columns if name.rstrip("_") == word), key=len, default=word)


@dataclass(frozen=True)
class Layout:
    """Column names by role. `time` is a column of UTC times, `group` one of groups to split by, or None.

    `classes` are what the numbers of the target stand for, if it has more than two classes. `texts` are features of
    many words. `weight` is a column of what each row counts, or None.
    """

    key: list[str]
    time: str | None
    numbers: list[str]
    categories: list[str]
    group: str | None = None
    classes: Sequence[str] = ()
    texts: Sequence[str] = ()
    weight: str | None = None

    @property
    def features(self) -> list[str]:
        """The model's inputs in the order of its matrix: numbers first, then categories, then texts."""
        return [*self.numbers, *self.categories, *self.texts]

    @property
    def target(self) -> str:
        """The column of labels."""
        return own(TARGET, [*self._carried, *self.features])

    @property
    def columns(self) -> list[str]:
        """All columns of a feature table, in order."""
        return list(dict.fromkeys([*self._carried, *self.features, self.target]))

    @property
    def _carried(self) -> list[str]:
        """The columns that are no features."""
        return [*self.key, *(name for name in (self.time, self.group, self.weight) if name)]

    def as_json(self) -> dict[str, Any]:
        """Plain content of `feature_layout.json`; without a group, classes, texts or a weight, none are named."""
        content = {"key": self.key, "time": self.time, "numbers": self.numbers, "categories": self.categories}
        more = {"group": self.group, "classes": list(self.classes), "texts": list(self.texts), "weight": self.weight}
        return content | {name: value for name, value in more.items() if value}
