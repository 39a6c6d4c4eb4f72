"""Words and pairs of words of a text, and what each weighs: a text feature's columns of the model's matrix.

A term is a word in lower case or two words that follow each other; a word is letters, digits and underscores. Weights
are TF-IDF: one plus the logarithm of how often the text has the term, times how rare it is among the training texts,
divided by the length of the vector (Salton and Buckley 1988, "Term-weighting approaches in automatic text retrieval";
scikit-learn's `TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)`). Needs numpy alone.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

WORD = re.compile(r"\w+")
MOST_TERMS = 2000
"""Of one text feature, the most frequent: a dense matrix has a column for each."""
DECIMALS = 6


def words_of(text: str) -> list[str]:
    """The words of a text in their order."""
    return WORD.findall(text.lower())


def _terms_of(words: Sequence[str]) -> Iterator[str]:
    yield from words
    for pair in pairwise(words):
        yield " ".join(pair)


def fit_terms(texts: Sequence[Any], min_rows: int) -> dict[str, float]:
    """The terms in at least so many of the texts, and how rare each is among them, in the order of the alphabet.

    Args:
        texts: of the training rows; what is no text is missing.
    """
    known = [words_of(text) for text in texts if isinstance(text, str)]
    rows = Counter(word for words in known for word in set(words))
    frequent = {word for word, count in rows.items() if count >= min_rows}
    # a pair is in no more texts than each of its words
    pairs = Counter(" ".join(pair) for words in known for pair in set(pairwise(words)) if frequent.issuperset(pair))
    counts = {term: count for term, count in (rows + pairs).items() if count >= min_rows}
    kept = sorted(counts, key=lambda term: (-counts[term], term))[:MOST_TERMS]
    return {term: round(log((1 + len(known)) / (1 + counts[term])) + 1, DECIMALS) for term in sorted(kept)}


class TextColumns:
    """The columns of one text feature: how many of its words are known, and the weight of each known term.

    Args:
        terms: what `fit_terms` found.
    """

    def __init__(self, terms: Mapping[str, float]) -> None:
        self._place = {term: place for place, term in enumerate(terms)}
        self._rarity = list(terms.values())

    def transform(self, texts: Sequence[Any]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Encode texts; what is no text is missing.

        Returns:
            How many words are known, NaN of a missing text: float32 (rows,); weights: float32 (rows, terms).
        """
        known = np.full(len(texts), np.nan, dtype=np.float32)
        weights = np.zeros((len(texts), len(self._place)), dtype=np.float32)
        for row, text in enumerate(texts):
            if isinstance(text, str):
                words = words_of(text)
                known[row] = sum(word in self._place for word in words)
                for place, weight in self._weights(words):
                    weights[row, place] = weight
        return known, weights

    def _weights(self, words: Sequence[str]) -> list[tuple[int, float]]:
        counts = Counter(self._place[term] for term in _terms_of(words) if term in self._place)
        # rounded, because the last digit of a logarithm may differ between processors
        found = [(place, (1 + round(log(count), DECIMALS)) * self._rarity[place]) for place, count in counts.items()]
        length = sqrt(sum(weight * weight for _, weight in found))
        return [(place, weight / length) for place, weight in found]
