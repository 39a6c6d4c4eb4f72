"""A champion is loaded only if its files are what its manifest says and it still gives the released probabilities."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import read_json, sha256
from ontime.model_deployment.inference.champion import Champion, load_champion
from tests.services import threshold_of

ChangeJson = Callable[[str, Callable[[Any], Any]], None]


@pytest.fixture(scope="module")
def champion(signed: Path) -> Champion:
    """The fork's champion."""
    return load_champion(signed / "model", "1.2.3", "0123456789abcdef")


@pytest.fixture(scope="module")
def golden(signed: Path) -> Any:
    """Its golden records."""
    return read_json(signed / "model" / "golden.json")


def test_a_champion_knows_its_name_version_and_hash(champion: Champion, signed: Path) -> None:
    assert (champion.name, champion.version, champion.git_commit) == ("parcels", "1.2.3", "0123456789abcdef")
    assert champion.sha256 == sha256(signed / "model" / "model.onnx")
    assert champion.may_be_missing.tolist() == [True, True, True, False]
    assert champion.numbers == 2


def test_a_probability_that_differs_is_refused(folder: Path, change_json: ChangeJson) -> None:
    change_json("golden.json", lambda golden: golden | {"probabilities": [p + 1e-4 for p in golden["probabilities"]]})
    with pytest.raises(OntimeError, match=r"golden records differ by up to 1\.0e-04, above 1e-05"):
        load_champion(folder)


def test_a_probability_that_is_not_a_number_is_refused(folder: Path, change_json: ChangeJson) -> None:
    change_json("golden.json", lambda golden: golden | {"probabilities": [float("nan")] * len(golden["probabilities"])})
    with pytest.raises(OntimeError, match=r"golden records differ by up to nan, above 1e-05"):
        load_champion(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: {}, "not a vocabulary; expected `numbers` and `categories`"),
        (lambda _: [], "not a vocabulary; expected `numbers` and `categories`"),
        (lambda known: known | {"numbers": None}, "not a vocabulary; expected `numbers` and `categories`"),
        (lambda known: known | {"categories": []}, "not a vocabulary; expected `numbers` and `categories`"),
        (lambda known: known | {"numbers": known["numbers"][::-1]}, "its features are not those of manifest.json"),
        (lambda known: known | {"numbers": known["numbers"][1:]}, "its features are not those of manifest.json"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(
    folder: Path, change_json: ChangeJson, change: Callable[[Any], Any], reason: str
) -> None:
    change_json("vocabulary.json", change)
    with pytest.raises(OntimeError) as refused:
        load_champion(folder)
    assert str(refused.value) == f"{folder / 'vocabulary.json'}: {reason}"


def test_a_file_that_is_not_what_the_manifest_says_is_not_loaded(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(OntimeError, match=r"model\.onnx: not what manifest\.json says"):
        load_champion(folder)


def test_a_row_has_the_same_probability_alone_and_among_others_but_for_the_last_bits(
    champion: Champion, golden: Any
) -> None:
    matrix = champion.encoder.transform_records([list(record.values()) for record in golden["records"]])
    together = champion.predict(matrix)
    alone = np.concatenate([champion.predict(matrix[row : row + 1]) for row in range(len(matrix))])
    np.testing.assert_allclose(alone, together, rtol=0, atol=2.5e-7)


def test_a_decision_is_the_threshold_or_above(champion: Champion) -> None:
    probability = np.array([0, np.nextafter(np.float32(threshold_of(champion)), 0), 1], dtype=np.float32)
    assert champion.answer.values("decision", probability).tolist() == [False, False, True]


def test_only_a_missing_value_of_a_required_column_is_found(champion: Champion) -> None:
    matrix = champion.encoder.transform_records([(1, 0, "north", "day"), (None, None, None, "day"), (1, 1, None, None)])
    assert champion.required.tolist() == [3]
    assert champion.missing_required(matrix).tolist() == [[False], [False], [True]]


def test_a_required_number_is_missing_where_it_is_nan_and_not_where_it_is_one(champion: Champion) -> None:
    every = dataclasses.replace(champion, may_be_missing=np.zeros(4, dtype=np.bool_))
    matrix = np.array([[1, np.nan, 2, 2], [1, 1, 1, 0]], dtype=np.float32)
    assert every.missing_required(matrix).tolist() == [[False, True, False, False], [False, False, True, False]]
