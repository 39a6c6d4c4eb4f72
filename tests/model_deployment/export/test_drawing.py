"""Charts: round ticks around all values, and each figure at its place."""

import re

import pytest

from ontime.model_deployment.export.drawing import MOST_TICKS, Scale, Series, dot_chart, line_chart, ticks


@pytest.mark.parametrize(
    "limits", [(0.7, 0.76), (0, 1), (3, 3), (0, 0), (-2.5, 7), (1e6, 1.3e6), (1e-7, 3e-7), (0, 161), (-5, -4.9)]
)
def test_ticks_are_few_and_have_all_values_between_them(limits: tuple[float, float]) -> None:
    found = ticks(*limits)
    assert found == sorted(set(found))
    assert found[0] <= limits[0] <= limits[1] <= found[-1]
    assert 2 <= len(found) <= MOST_TICKS + 2


def test_a_value_is_drawn_between_its_neighbours() -> None:
    assert [Scale(0, 10, 100, 200).at(value) for value in (0, 2.5, 10)] == ["100.0", "125.0", "200.0"]
    # the vertical axis of a picture points down
    assert Scale(0, 1, 300, 40).at(1) == "40.0"


def test_a_line_goes_through_its_points_and_each_series_has_a_class_of_its_own() -> None:
    chart = line_chart("a", "Title <1>", [Series("x&y", [(0, 0), (1, 1)]), Series("z", [(0, 1), (1, 0)])], "x", "y")
    assert re.findall(r'class="(line s\d)" d="M[\d. ]+L', chart) == ["line s0", "line s1"]
    assert '<title id="a">Title &lt;1&gt;</title>' in chart
    assert "x&amp;y" in chart


def test_a_dot_chart_has_a_mark_for_each_known_value() -> None:
    chart = dot_chart("a", "t", {"one": {"v": 1.0, "w": 2.0}, "two": {"w": 1.5}, "n" * 99: {"v": 1.2}}, "x")
    # one more of each in the legend
    assert (chart.count("<circle"), chart.count("M-5-5h10")) == (3, 3)
    assert "n" * 30 not in chart
