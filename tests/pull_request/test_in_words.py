"""What a comparison means is said in words, the worst first, and every comparison is in one line."""

import pytest

from ontime.pull_request.gate import Comparison
from ontime.pull_request.in_words import MOST_NAMED, in_words, mark

REGRESSED = Comparison("roc_auc", 0.75, 0.74, 0.002, 0.018, 0.004)
WORSE = Comparison("carrier=A|<b>", 0.75, 0.74, 0.002, 0.018, 0.05, "roc_auc")
BETTER = Comparison("log_loss", 0.40, 0.39, -0.012, -0.008, 0.01)
SAME = Comparison("cost_per_1000", 400.0, 401.0, -2.0, 4.0, 12.0)


@pytest.mark.parametrize(
    ("one", "word"), [(REGRESSED, "**regressed**"), (WORSE, "worse"), (BETTER, "better"), (SAME, "")]
)
def test_a_comparison_is_marked_if_its_whole_interval_says_the_same(one: Comparison, word: str) -> None:
    assert mark(one) == word


def test_the_worst_is_said_first() -> None:
    assert in_words([BETTER, SAME, REGRESSED], [WORSE]).splitlines() == [
        "- **Worse than allowed**: ROC AUC from 0.7500 to 0.7400.",
        "- Worse beyond chance, within what is allowed: carrier=A\\|&lt;b> (ROC AUC) from 0.7500 to 0.7400.",
        "- Better beyond chance: log loss from 0.4000 to 0.3900.",
        "- No difference beyond chance: 1 of 4 comparisons.",
    ]


def test_many_slices_make_one_line() -> None:
    (line,) = in_words([], [WORSE] * (MOST_NAMED + 3)).splitlines()
    assert line.endswith("; and 3 more.")
