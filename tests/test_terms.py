"""Terms of texts: which are kept, and that their weights are those of scikit-learn's TF-IDF."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from ontime import terms
from ontime.terms import TextColumns, fit_terms, words_of

TEXTS = [
    "Good tea, very good tea.",
    "The tea is NOT good",
    "not good at all: cold soup",
    "good soup; very   hot soup!",
    "it's caf\u00e9 food_2, 100% caf\u00e9",
    "",
]


def test_words_are_letters_digits_and_underscores_in_lower_case() -> None:
    assert words_of("It's CAF\u00c9-food_2, 100%!") == ["it", "s", "caf\u00e9", "food_2", "100"]


def test_a_term_is_kept_if_enough_texts_have_it() -> None:
    expected = ["good", "not", "not good", "soup", "tea", "very"]
    assert list(fit_terms([*TEXTS, None, float("nan")], 2)) == expected


def test_the_most_frequent_terms_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "MOST_TERMS", 3)
    assert list(fit_terms(TEXTS, 1)) == ["good", "not", "not good"]


def test_no_text_makes_no_terms() -> None:
    assert fit_terms([None, "", "?!"], 1) == {}
    known, weights = TextColumns({}).transform(["some", None])
    np.testing.assert_array_equal(known, np.array([0, np.nan], dtype=np.float32))
    assert weights.shape == (2, 0)


def test_weights_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(40)]
    texts = [" ".join(random.choice(words, random.integers(0, 30))) for _ in range(300)]
    found = fit_terms(texts, 5)
    assert any(" " in term for term in found)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, vocabulary=[*found])
    expected = vectorizer.fit_transform(texts).toarray()
    known, weights = TextColumns(found).transform([*texts, "w1 unheard W1"])
    np.testing.assert_allclose(weights[:-1], expected, rtol=0, atol=1e-6)
    assert known[-1] == 2
    assert np.count_nonzero(weights[-1]) == 1
