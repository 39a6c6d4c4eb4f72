"""All of `params.yaml`: every mistake in it is one line that names its place, as the section alone would."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ontime.common.errors import OntimeError
from ontime.common.params import check, load_section
from ontime.model_training.families import parameters_of
from ontime.parameters import Params, load_params
from tests.commands import write_params
from tests.live import PARAMS, live


@pytest.fixture
def content() -> dict[str, Any]:
    """The checkout's parameters as plain content, split by time whatever the checkout does."""
    plain: dict[str, Any] = YAML(typ="safe", pure=True).load(PARAMS)
    plain["split"] |= {"by": "time", "validation_from": "2013-10-01T04:00:00Z", "test_from": "2013-11-01T04:00:00Z"}
    return plain


@pytest.fixture
def refused(tmp_path: Path, content: dict[str, Any]) -> Callable[[], str]:
    """A function that writes the content to a file and returns why it is refused."""

    def explain() -> str:
        path = tmp_path / "params.yaml"
        write_params(content, path)
        with pytest.raises(OntimeError) as error:
            load_params(path)
        message = str(error.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message.removeprefix(f"{path}: ")

    return explain


def test_the_parameters_of_the_checkout_are_accepted_and_frozen() -> None:
    params = load_params(live("params.yaml"))
    with pytest.raises(ValueError, match="frozen"):
        params.engine.backend = "spark"


@pytest.mark.parametrize(
    ("place", "misspelt", "meant"),
    [
        ("split", "validaton_from", "validation_from"),
        ("train.gradient_boosting", "learning_rates", "learning_rate"),
        ("decision", "false_alarm_costs", "false_alarm_cost"),
        ("", "selekt", "select"),
    ],
)
def test_a_misspelt_key_suggests_the_right_one(
    content: dict[str, Any], refused: Callable[[], str], place: str, misspelt: str, meant: str
) -> None:
    section = content
    for part in filter(None, place.split(".")):
        section = section[part]
    section[misspelt] = section[meant]
    prefix = f"{place}." if place else ""
    assert refused() == f"{prefix}{misspelt}: unknown key; did you mean {meant}?"


def test_a_key_like_no_other_lists_the_known_ones(content: dict[str, Any], refused: Callable[[], str]) -> None:
    content["engine"]["zzz"] = 1
    assert refused() == "engine.zzz: unknown key; known: backend"


def test_a_missing_key_is_named(content: dict[str, Any], refused: Callable[[], str]) -> None:
    del content["train"]["random_forest"]["n_estimators"]
    assert refused() == "train.random_forest.n_estimators: missing"


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("train.random_forest.n_estimators", "60", "valid integer"),
        ("train.random_forest.n_estimators", 60.5, "valid integer"),
        ("train.random_forest.n_estimators", True, "valid integer"),
        ("train.random_forest.n_estimators", 0, "greater than or equal to 1"),
        ("train.random_forest.max_features", 1.5, "less than or equal to 1"),
        ("train.logistic_regression.C", 0, "greater than 0"),
        ("train.logistic_regression.C", float("nan"), "greater than 0"),
        ("train.neural_network.batch_size", 257, "less than or equal to 256"),
        ("train.neural_network.hidden_units", 64, "valid list"),
        ("split.validation_fraction", 1, "less than 1"),
        ("split.seed", -1, "greater than or equal to 0"),
        ("split.by", "month", "'time', 'group' or 'stratified'"),
        ("decision.missed_event_cost", None, "valid number"),
        ("engine.backend", "dask", "'loky', 'spark' or 'sequential'"),
        ("select.metric", "lift", "'roc_auc'"),
        ("export.name", "Flight Delay", "match pattern"),
        ("evaluate.slices", "carrier", "valid list"),
    ],
)
def test_a_wrong_type_or_a_value_out_of_range_is_named_with_what_was_found(
    content: dict[str, Any], refused: Callable[[], str], place: str, value: Any, reason: str
) -> None:
    *sections, key = place.split(".")
    section = content
    for part in sections:
        section = section[part]
    section[key] = value
    message = refused()
    assert message.startswith(f"{place}: ")
    assert reason in message
    assert message.endswith(f"found {value!r}")


def test_several_mistakes_are_all_told(content: dict[str, Any], refused: Callable[[], str]) -> None:
    content["split"]["seed"] = -1
    del content["tune"]["trials"]
    message = refused()
    assert "split.seed: " in message
    assert "tune.trials: missing" in message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"test_from": "2013-10-01T04:00:00Z"}, "validation_from must be before test_from"),
        ({"validation_from": "2013-12-01T04:00:00Z"}, "validation_from must be before test_from"),
        ({"validation_from": "2013-10-31T23:30:00-05:00"}, "validation_from must be before test_from"),
        ({"validation_from": "autumn", "test_from": "winter"}, "not an ISO 8601 time: autumn"),
        ({"validation_from": None}, "by: time needs validation_from and test_from"),
        ({"test_from": ""}, "by: time needs validation_from and test_from"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "leave nothing to train on"),
    ],
)
def test_boundaries_and_fractions_must_leave_three_parts(
    content: dict[str, Any], refused: Callable[[], str], changes: dict[str, Any], reason: str
) -> None:
    content["split"] |= changes
    message = refused()
    assert message.startswith("split: ")
    assert reason in message


def test_a_stratified_split_needs_no_boundaries(content: dict[str, Any]) -> None:
    content["split"] |= {"by": "stratified", "validation_from": None, "test_from": None}
    assert check(Params, content, "here").split.by == "stratified"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("split.by", "month"),
        ("split.validation_fraction", 1),
        ("split.test_from", "2013-10-01T04:00:00Z"),
        ("split.seeds", 0),
        ("engine.backend", "dask"),
        ("select", None),
        ("train.seed", -1),
        ("train.random_forest.n_estimators", 0),
        ("train.neural_network", []),
        ("gate.slices.absolute", -1),
        ("export.golden_records", "64"),
        ("tune.space.random_forest", 1),
    ],
)
def test_a_section_alone_is_refused_in_the_words_for_the_whole_file(
    content: dict[str, Any], tmp_path: Path, place: str, value: Any
) -> None:
    *sections, key = place.split(".")
    section = content
    for part in sections:
        section = section[part]
    section[key] = value
    path = tmp_path / "params.yaml"
    write_params(content, path)
    with pytest.raises(OntimeError) as whole:
        load_params(path)
    name, *inner = place.split(".")
    kind: Any = Params.model_fields[name].annotation
    with pytest.raises(OntimeError) as alone:
        found = load_section(name, kind, path)
        parameters_of(inner[0], found, str(path))
    assert str(alone.value) == str(whole.value)
