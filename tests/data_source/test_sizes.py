"""What `init` sets by the number of rows, and that it searches a small table before the graph is run."""

from pathlib import Path
from typing import Any

import pytest

from ontime.data_source import sizes
from ontime.data_source.sizes import SPACE, search_small, set_sizes
from ontime.parameters import load_params
from ontime.repository.yaml_files import editing


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (300, (5, 5, 5, 7, 20)),
        (10_000, (5, 5, 10, 7, 20)),
        (10_001, (1, 5, 10, 7, 20)),
        (20_000, (1, 5, 20, 7, 20)),
        (60_000, (1, 15, 50, 31, 50)),
        (3_000_000, (1, 100, 50, 31, 50)),
    ],
)
@pytest.mark.usefixtures("graph")
def test_a_larger_table_has_larger_trees_rarer_categories_count_as_unknown_and_one_fold_is_enough(
    rows: int, expected: tuple[int, ...]
) -> None:
    with editing(Path("params.yaml")) as content:
        set_sizes(content, rows, has_texts=False)
    params = load_params()
    train = params.train
    assert (
        params.split.folds,
        params.split.min_category_rows,
        train.random_forest["min_samples_leaf"],
        train.gradient_boosting["max_leaf_nodes"],
        train.gradient_boosting["min_samples_leaf"],
    ) == expected
    assert params.tune.space["gradient_boosting"] == SPACE["gradient_boosting"]


@pytest.mark.usefixtures("graph")
def test_a_forest_of_texts_looks_at_fewer_columns_at_a_time() -> None:
    shares = []
    for has_texts in (True, False):
        with editing(Path("params.yaml")) as content:
            set_sizes(content, 300, has_texts)
        shares.append(load_params().train.random_forest["max_features"])
    assert shares == [0.03, 0.3]


@pytest.mark.parametrize(("rows", "searched"), [(20_000, True), (20_001, False)])
@pytest.mark.usefixtures("graph")
def test_only_a_small_table_is_searched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rows: int, searched: bool
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(sizes, "show", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(sizes, "search", asked.append)
    search_small(rows)
    families = [name for name in load_params().tune.space if name in SPACE]
    assert asked == ([("repro", "split"), *families] if searched else [])
    assert ("settings not searched" in capsys.readouterr().out) == (not searched)
