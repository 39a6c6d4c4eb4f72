"""Counts by bin add up, see every value, and their shift is the population stability index."""

import numpy as np
import pytest

from ontime.model_deployment.export.profile import SMOOTHING, Bins, quantile_edges

BINS = Bins({"weight": [1.0, 2.0], "nothing": []}, {"depot": 4}, [0.25, 0.5])
MATRIX = np.array([[1, np.nan, 0], [1.5, np.nan, 1], [2.5, np.nan, 3], [np.nan, np.nan, 2]], dtype=np.float32)
PROBABILITY = np.array([0.1, 0.25, 0.9, np.nan])
ONE = np.zeros(len(MATRIX), dtype=np.int64)


def test_a_value_is_counted_in_the_bin_that_ends_with_it_and_a_missing_one_in_the_last() -> None:
    (counts,) = BINS.count(MATRIX, PROBABILITY, ONE, 1)
    weight, nothing, depot, probability = np.split(counts, BINS.starts[1:])
    assert weight.tolist() == [1, 1, 1, 1]
    assert nothing.tolist() == [0, 4]
    assert depot.tolist() == [1, 1, 1, 1]
    assert probability.tolist() == [2, 0, 1]


def test_the_gaps_are_missing_values_of_every_feature_and_unknown_ones_of_a_category() -> None:
    (counts,) = BINS.count(MATRIX, PROBABILITY, ONE, 1)
    weight, nothing, depot, unknown_depot = BINS.gap_shares(counts)
    assert (weight, nothing, depot, unknown_depot) == (0.25, 1, 0.25, 0.25)
    assert not BINS.gap_shares(np.zeros_like(counts)).any()


def test_of_a_text_its_known_words_are_counted_and_its_terms_are_not() -> None:
    bins = Bins({"weight": [1.0]}, {"depot": 4}, [0.5], {"note": [2.0, 5.0]})
    assert bins.features == ["weight", "depot", "note"]
    matrix = np.array([[1, 0, 2, 0.5, 0.5], [2, 3, 9, 0, 1], [np.nan, 1, np.nan, 0, 0]], dtype=np.float32)
    (counts,) = bins.count(matrix, np.array([0.1, 0.2, 0.9]), np.zeros(3, dtype=np.int64), 1)
    weight, depot, note, probability = np.split(counts, bins.starts[1:])
    assert (weight.tolist(), depot.tolist(), probability.tolist()) == ([1, 1, 1], [1, 1, 0, 1], [2, 1])
    assert note.tolist() == [1, 0, 1, 1]
    assert bins.gap_shares(counts) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 3])


def test_counts_of_parts_add_up_to_the_counts_of_the_whole() -> None:
    random = np.random.default_rng(3)
    rows = random.integers(0, len(MATRIX), 500)
    group = random.integers(0, 7, 500)
    by_group = BINS.count(MATRIX[rows], PROBABILITY[rows], group, 7)
    (whole,) = BINS.count(MATRIX[rows], PROBABILITY[rows], np.zeros(500, dtype=np.int64), 1)
    assert by_group.sum(axis=0).tolist() == whole.tolist()
    for place in range(7):
        members = rows[group == place]
        (alone,) = BINS.count(MATRIX[members], PROBABILITY[members], np.zeros(len(members), dtype=np.int64), 1)
        assert by_group[place].tolist() == alone.tolist()


def test_edges_are_values_that_occur_and_cut_the_rows_in_equal_parts() -> None:
    values = np.random.default_rng(1).permutation(np.arange(1000, dtype=np.float32))
    edges = quantile_edges(np.append(values, np.nan))
    assert edges == [float(place * 20 - 1) for place in range(1, 50)]
    assert quantile_edges(np.array([5.0, 5.0, 5.0])) == [5.0]
    assert quantile_edges(np.array([np.nan])) == []


def test_the_shift_is_the_index_of_the_smoothed_shares() -> None:
    bins = Bins({"weight": [1.0]}, {}, [0.5])
    rows, usual = np.array([30, 10, 0, 5, 5]), np.array([100, 100, 10, 0, 0])
    found = (rows[:3] + SMOOTHING) / (40 + 3 * SMOOTHING)
    expected = (usual[:3] + SMOOTHING) / (210 + 3 * SMOOTHING)
    index = sum((a - b) * np.log(a / b) for a, b in zip(found, expected, strict=True))
    # the probability has no usual rows to be compared with
    assert bins.shift(rows, usual) == pytest.approx([index, 0.0])
    assert bins.shift(usual, usual).tolist() == [0.0, 0.0]
