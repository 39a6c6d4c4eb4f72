"""`page.json`: what it says follows from the training rows, the data card's fields and the parameters."""

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from ontime.common.errors import OntimeError
from ontime.common.layout import Layout
from ontime.datasets.features import CLOCK, MOMENT, FeatureField
from ontime.model_deployment.export.page import CANDIDATES, PageTexts, examples, make_page
from ontime.model_deployment.inference.page import Page

TRAIN = pd.DataFrame(
    {
        "leaves": [600.0, 1430.0, 700.0, 800.0, 900.0],
        "minutes": [60.0, 60.0, 61.0, 62.0, 62.0],
        "arrives": [660.0, 50.0, 761.0, 862.0, 962.0],
        "load": [1.5, np.nan, np.nan, np.nan, 0.1],
        "day": [0.0, 1.0, 1.0, 2.0, 2.0],
        "from": ["a", "a", "a", "b", None],
        "maker": ["x", "y", "y", None, None],
    }
).astype(dict.fromkeys(("leaves", "minutes", "arrives", "load", "day"), "float32"))
NUMBERS, CATEGORIES = list(TRAIN.columns[:5]), list(TRAIN.columns[5:])
LAYOUT = Layout(key=["row"], time=None, numbers=NUMBERS, categories=CATEGORIES)
VOCABULARY = {
    "numbers": NUMBERS,
    "categories": {"from": ["b", "a"], "maker": ["y", "x"]},
    "may_be_missing": ["load", "from", "maker"],
    "typical": {
        "leaves": 800.0,
        "minutes": 61.0,
        "arrives": 761.0,
        "load": 0.800000011920929,
        "day": 1.0,
        "from": "a",
        "maker": "y",
    },
}
GOLDEN: dict[str, list[Any]] = {
    "records": [dict.fromkeys(TRAIN.columns, number) for number in range(20)],
    "probabilities": [(7 * number) % 20 / 20 for number in range(20)],
}
FIELDS = {
    name: FeatureField(name=name, type="number" if name in NUMBERS else "string", title=name.title())
    for name in TRAIN.columns
} | {
    "leaves": FeatureField(name="leaves", type="integer", title="Leaves", unit=CLOCK, description="Here."),
    "arrives": FeatureField(name="arrives", type="integer", title="Arrives", unit=CLOCK),
    "day": FeatureField(name="day", type="integer", title="Day", labels={2: "Wed", 1: "Tue", 0: "Mon"}),
    "from": FeatureField(name="from", type="string", title="From", labels={"a": "Zed", "b": "Alpha", "q": "gone"}),
}


def test_a_text_is_shown_as_one() -> None:
    typical: dict[str, Any] = {**cast("dict[str, Any]", VOCABULARY["typical"]), "note": "Dry."}
    vocabulary = VOCABULARY | {"texts": {"note": {"dry": 1.0}}, "typical": typical}
    note = FeatureField(name="note", type="string", title="Note")
    train = TRAIN.assign(note=pd.Series(["Dry.", None, "Very dry.", "Wet.", "Dry."]))
    made = page(
        vocabulary=vocabulary, fields=FIELDS | {"note": note}, train=train, asked=["note"], records=[], outputs=[]
    )
    shown = made.features[-1]
    assert (shown.name, shown.kind, shown.choices, shown.candidates) == ("note", "text", [], [])
    assert (made.asked, made.starts[0]["note"]) == (["note"], "Dry.")


def page(**changes: Any) -> Page:
    """The page of the rows above."""
    arguments: dict[str, Any] = {
        "texts": PageTexts(question="Late?"),
        "asked": ["from", "leaves", "day"],
        "follows": {},
        "sums": {},
        "fields": FIELDS,
        "vocabulary": VOCABULARY,
        "train": TRAIN,
        "records": GOLDEN["records"],
        "outputs": GOLDEN["probabilities"],
    }
    return make_page(**(arguments | changes))


def test_a_feature_is_shown_by_its_labels_or_its_unit() -> None:
    fields = FIELDS | {"load": FeatureField(name="load", type="datetime", title="Load", unit=MOMENT)}
    found = {feature.name: feature for feature in page(fields=fields).features}
    assert {name: feature.kind for name, feature in found.items()} == {
        "leaves": "clock",
        "minutes": "number",
        "arrives": "clock",
        "load": "moment",
        "day": "choice",
        "from": "choice",
        "maker": "choice",
    }
    assert [(choice.value, choice.label) for choice in found["day"].choices] == [(2, "Wed"), (1, "Tue"), (0, "Mon")]
    assert [(choice.value, choice.label) for choice in found["from"].choices] == [("b", "Alpha"), ("a", "Zed")]
    assert [choice.label for choice in found["maker"].choices] == ["x", "y"]
    assert (found["leaves"].title, found["leaves"].description, found["leaves"].unit) == ("Leaves", "Here.", "")


def test_bounds_and_candidates_are_values_of_training_rows() -> None:
    many = pd.DataFrame({name: np.arange(1000, dtype=np.float32) / 7 for name in NUMBERS})
    feature = page(train=many.assign(**{"from": "a", "maker": "x"})).features[1]
    assert len(feature.candidates) == CANDIDATES
    assert (feature.minimum, feature.maximum) == (feature.candidates[0], feature.candidates[-1]) == (0, 142.71428)
    assert np.isin(np.array(feature.candidates, dtype=np.float32), many["minutes"]).all()
    assert page().features[1].candidates == [60, 61, 62]
    nothing = page(train=TRAIN.assign(load=np.float32("nan"))).features[3]
    assert (nothing.minimum, nothing.maximum, nothing.candidates) == (None, None, [])


def test_what_follows_is_the_usual_value_of_each_combination() -> None:
    rules = {"minutes": ["from"], "load": ["day"], "maker": ["from", "day"]}
    found = page(follows=rules).follows
    assert page(follows=dict(reversed(rules.items()))).follows == found
    assert [rule.model_dump() for rule in found] == [
        {"feature": "minutes", "of": ["from"], "values": [["a", 60], ["b", 62], [None, 62]]},
        # at least half of a day's rows have a value, or it is missing
        {"feature": "load", "of": ["day"], "values": [[0, 1.5], [1, None], [2, 0.1]]},
        {
            "feature": "maker",
            "of": ["from", "day"],
            "values": [["a", 0, "x"], ["a", 1, "y"], ["b", 2, None], [None, 2, None]],
        },
    ]


def test_the_typical_start_agrees_with_itself() -> None:
    found = page(follows={"minutes": ["from"]}, sums={"arrives": ["leaves", "minutes"]}).starts[0]
    assert found == {
        "leaves": 800,
        "minutes": 60,
        "arrives": 860,
        "load": 0.8,
        "day": 1,
        "from": "a",
        "maker": "y",
    }


def test_examples_go_from_the_least_to_the_most_probable_golden_record() -> None:
    found = [
        GOLDEN["probabilities"][GOLDEN["records"].index(start)]
        for start in examples(GOLDEN["records"], GOLDEN["probabilities"])
    ]
    assert len(found) == 8
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 0.95)
    assert len(examples(GOLDEN["records"][:3], [0.5] * 3)) == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"asked": ["form"]}, "page_features: the model has no feature form; did you mean from?"),
        ({"asked": ["from", "from"]}, "page_features: from is already set"),
        ({"follows": {"milage": ["from"]}}, "page_follows: the model has no feature milage; known: "),
        ({"follows": {"from": ["day"]}}, "page_follows: from is already set"),
        ({"follows": {"load": ["day", "day"]}}, "page_follows.load: day is already set"),
        ({"follows": {"load": ["day"], "maker": ["load"]}}, "page_follows.maker: load is not in page_features"),
        ({"follows": {"load": ["day"]}, "sums": {"load": ["day"]}}, "page_sums: load is already set"),
        ({"follows": {"load": ["form"]}}, "page_follows.load: the model has no feature form; did you mean from?"),
        ({"follows": {"load": ["minutes"]}}, "page_follows.load: minutes is not in page_features"),
        ({"follows": {"load": []}}, "page_follows.load: names no feature"),
        ({"sums": {"arrives": ["leaves", "minutes"]}}, "page_sums.arrives: minutes is not in page_features or page_f"),
        ({"sums": {"arrives": ["leaves"]}}, "page_sums.arrives: not the sum of leaves in 5 of 5 training rows"),
        ({"sums": {"arrives": ["from"]}}, "page_sums.arrives: from is no number"),
    ],
)
def test_what_the_page_cannot_set_is_refused_in_one_line(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(OntimeError) as refused:
        page(**changes)
    assert str(refused.value).startswith(f"params.yaml: export.{reason}")
    assert "\n" not in str(refused.value)


def test_what_follows_from_a_value_of_every_row_is_refused() -> None:
    many = pd.DataFrame({name: np.arange(10_001, dtype=np.float32) for name in NUMBERS})
    with pytest.raises(
        OntimeError, match=r"page_follows\.load: 10001 combinations of leaves in the training rows, more"
    ):
        page(train=many.assign(**{"from": "a", "maker": "x"}), follows={"load": ["leaves"]})


def test_a_sum_without_a_clock_holds_without_a_days_limit() -> None:
    fields = FIELDS | {"arrives": FeatureField(name="arrives", type="integer", title="Arrives")}
    arguments = {"follows": {"minutes": ["from"]}, "sums": {"arrives": ["leaves", "minutes"]}, "fields": fields}
    with pytest.raises(OntimeError, match="not the sum of leaves, minutes in 1 of 5 training rows"):
        page(**arguments)
