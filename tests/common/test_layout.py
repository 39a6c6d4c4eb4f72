"""A column of our own has a name that no other column has, and is found again among them."""

from hypothesis import given, settings, strategies

from ontime.common.layout import TARGET, Layout, own, own_in

NAMES = strategies.lists(
    strategies.sampled_from(["target", "target_", "target__", "_target", "Target", "x", "_"]), unique=True
)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(NAMES, strategies.data())
def test_our_own_column_is_apart_from_any_others_and_found_among_some_of_them(
    names: list[str], data: strategies.DataObject
) -> None:
    ours = own(TARGET, names)
    assert ours not in names
    assert ours.rstrip("_") == TARGET
    some = data.draw(strategies.permutations([*names[: len(names) // 2], ours]))
    assert own_in(TARGET, some) == ours


def test_the_labels_column_is_the_last_one_of_a_layout() -> None:
    layout = Layout(key=["target"], time="when", numbers=["x"], categories=["target_"])
    assert layout.columns == ["target", "when", "x", "target_", "target__"]
    grouped = Layout(key=["id"], time=None, numbers=["x"], categories=[], group="target")
    assert grouped.columns == ["id", "target", "x", "target_"]
    assert Layout(**grouped.as_json()) == grouped
    assert Layout(key=["id"], time=None, numbers=["x"], categories=[]).target == "target"


def test_a_weight_is_carried_beside_the_features() -> None:
    layout = Layout(key=["id"], time="when", numbers=["x"], categories=[], group="g", weight="target")
    assert layout.columns == ["id", "when", "g", "target", "x", "target_"]
    assert layout.features == ["x"]
    assert Layout(**layout.as_json()) == layout
    assert "weight" not in Layout(key=["id"], time=None, numbers=["x"], categories=[]).as_json()
