"""From records to the model's matrix; training, evaluation, batch scoring and the service share it.

In: columns by name and `vocabulary.json`. Out: one float32 matrix, numbers first, then a code per category:
0 for a value that training did not see (or saw too rarely), 1 for a missing one, 2 and up for the vocabulary; then for
each text how many of its words are known. So the first columns are the features; the weights of the texts' terms come
after them. A missing number or text is NaN. Needs numpy alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ontime.terms import TextColumns

UNKNOWN, MISSING, FIRST_CATEGORY = 0, 1, 2


@runtime_checkable
class Categorical(Protocol):
    """A column as its distinct values and the place of each row's value among them, -1 where missing; such as
    `pandas.Categorical`."""

    @property
    def categories(self) -> Iterable[Any]:
        """The distinct values."""

    @property
    def codes(self) -> npt.NDArray[Any]:
        """Their places: (rows,)."""

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Encoder:
    """Feature names in the matrix's order, for each category feature its known values in the order of codes, and for
    each text feature its known terms with their rarity."""

    numbers: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    texts: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def from_vocabulary(cls, vocabulary: Mapping[str, Any]) -> "Encoder":
        """From the content of `vocabulary.json`."""
        categories = {name: tuple(values) for name, values in vocabulary["categories"].items()}
        texts = {name: dict(terms) for name, terms in vocabulary.get("texts", {}).items()}
        return cls(tuple(vocabulary["numbers"]), categories, texts)

    @property
    def features(self) -> list[str]:
        """Names of the features, which are the matrix's first columns."""
        return [*self.numbers, *self.categories, *self.texts]

    @property
    def coded(self) -> slice:
        """The columns of categories' codes."""
        return slice(len(self.numbers), len(self.numbers) + len(self.categories))

    @cached_property
    def feature_of(self) -> npt.NDArray[np.intp]:
        """For each column of the matrix the place of its feature: (columns,)."""
        own = np.arange(len(self.features))
        of_terms = np.array([len(terms) for terms in self.texts.values()], dtype=np.intp)
        return np.concatenate([own, np.repeat(own[self.coded.stop :], of_terms)])

    @property
    def width(self) -> int:
        """Number of columns of the matrix."""
        return len(self.features) + sum(map(len, self.texts.values()))

    @property
    def category_sizes(self) -> list[int]:
        """Number of codes of each category feature."""
        return [len(values) + FIRST_CATEGORY for values in self.categories.values()]

    @cached_property
    def codes(self) -> list[dict[str, int]]:
        """For each category feature the code of each known value."""
        return [
            {value: code for code, value in enumerate(values, start=FIRST_CATEGORY)}
            for values in self.categories.values()
        ]

    @cached_property
    def _text_columns(self) -> list[TextColumns]:
        return [TextColumns(terms) for terms in self.texts.values()]

    @property
    def _text_places(self) -> range:
        return range(self.coded.stop, len(self.features))

    def transform(
        self, columns: Mapping[str, Sequence[Any] | npt.NDArray[Any] | Categorical]
    ) -> npt.NDArray[np.float32]:
        """Encode columns of equal length.

        Args:
            columns: for each feature its values; None or NaN where missing. Categories may be a `Categorical`, which
                is faster, because each distinct value is looked up once.

        Returns:
            float32 matrix (rows, columns).
        """
        rows = len(columns[self.features[0]])
        matrix = np.empty((rows, self.coded.stop), dtype=np.float32)
        for column, name in enumerate(self.numbers):
            matrix[:, column] = np.asarray(columns[name], dtype=np.float64)
        for column, (name, codes) in enumerate(zip(self.categories, self.codes, strict=True), start=len(self.numbers)):
            matrix[:, column] = category_codes(columns[name], codes)
        return self.with_texts(matrix, [columns[name] for name in self.texts])

    def with_texts(self, matrix: npt.NDArray[np.float32], texts: Sequence[Any]) -> npt.NDArray[np.float32]:
        """The whole matrix, from that of numbers and categories and the column of each text feature."""
        if not self.texts:
            return matrix
        parts = [columns.transform(values) for columns, values in zip(self._text_columns, texts, strict=True)]
        return np.column_stack([matrix, *(known for known, _ in parts), *(weights for _, weights in parts)])

    def transform_records(self, records: Sequence[Sequence[Any]]) -> npt.NDArray[np.float32]:
        """Encode records of equal length, which for a few rows is faster than columns.

        Args:
            records: for each row the values in the order of `features`; None where missing.

        Returns:
            float32 matrix (rows, columns), the same as `transform` of the columns.
        """
        count, coded, width = len(self.numbers), self.coded, self.coded.stop
        encoded = [
            [
                *record[:count],
                *(
                    MISSING if value is None else codes.get(value, UNKNOWN)
                    for codes, value in zip(self.codes, record[coded], strict=True)
                ),
            ]
            for record in records
        ]
        matrix = np.array(encoded, dtype=np.float64).reshape(len(records), width).astype(np.float32)
        return self.with_texts(matrix, [[record[place] for record in records] for place in self._text_places])


def category_codes(
    values: Sequence[Any] | npt.NDArray[Any] | Categorical, known: Mapping[str, int]
) -> npt.NDArray[np.intp]:
    """Codes of a category feature's values (rows,)."""
    if isinstance(values, Categorical):
        return np.append(category_codes(list(values.categories), known), MISSING).take(values.codes)
    codes = [known.get(value, UNKNOWN) if isinstance(value, str) else MISSING for value in values]
    return np.array(codes, dtype=np.intp)
