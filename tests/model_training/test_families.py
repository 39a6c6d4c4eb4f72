"""What every model family does: follow the target, come back as it was saved, and be known by its name."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ontime.common.arrays import Labels, Matrix
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, sha256
from ontime.encoder import Encoder
from ontime.model_deployment.export.onnx_graph import onnx_outputs, to_onnx
from ontime.model_training.families import FAMILIES, Setting, Train, check_family, family, load_model, parameters_of
from ontime.model_training.rows import load_encoder, load_rows
from ontime.tasks.binary import Binary
from tests.encoded import TRAIN, Encoded


def fit(name: str, encoded: Encoded, seed: int = 0) -> Any:
    """A fitted model of a family and its history."""
    setting = Setting(encoded.encoder, parameters_of(name, TRAIN), seed, Binary())
    return family(name).fit(encoded.train, encoded.validation, setting)


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_probabilities_follow_the_target(encoded: Encoded, name: str) -> None:
    fitted, history = fit(name, encoded)
    matrix, labels = encoded.validation
    probability = fitted.predict(matrix)
    assert probability.dtype == np.float64
    assert probability.shape == labels.shape
    assert ((probability >= 0) & (probability <= 1)).all()
    assert probability[labels == 1].mean() > probability[labels == 0].mean() + 0.05
    assert history[-1]["validation_log_loss"] < 0.69


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_the_seed_decides_where_something_is_drawn(encoded: Encoded, name: str) -> None:
    matrix = encoded.validation[0]
    first, again, other = (fit(name, encoded, seed)[0].predict(matrix) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first == other).all() == (name == "logistic_regression")


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_a_fit_of_all_rows_is_the_one_that_validation_rows_stopped(encoded: Encoded, name: str) -> None:
    fitted, history = fit(name, encoded)
    kind, setting = family(name), Setting(encoded.encoder, parameters_of(name, TRAIN), 0, Binary())
    again = kind.fit_all(encoded.train, setting, kind.kept_steps(history))
    matrix = encoded.validation[0]
    np.testing.assert_array_equal(again.predict(matrix), fitted.predict(matrix))


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_the_number_of_threads_changes_no_byte_of_a_saved_model(fitted_folders: list[Path], name: str) -> None:
    one, four = (folder / name for folder in fitted_folders)
    files = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
    assert files == sorted(str(path.relative_to(four)) for path in four.rglob("*") if path.is_file())
    assert [sha256(one / file) for file in files] == [sha256(four / file) for file in files]
    assert (one.parent / f"{name}.csv").read_bytes() == (four.parent / f"{name}.csv").read_bytes()


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_a_saved_model_predicts_as_before_and_says_no_path(tmp_path: Path, encoded: Encoded, name: str) -> None:
    fitted, _ = fit(name, encoded)
    fitted.save(tmp_path / "model")
    matrix = encoded.validation[0]
    np.testing.assert_array_equal(load_model(name, tmp_path / "model").predict(matrix), fitted.predict(matrix))
    for path in (tmp_path / "model").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path.name


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_a_saved_model_gives_the_probabilities_that_were_evaluated(
    fork: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(fork)
    run = fork / "models" / "training_runs" / name
    matrix, labels = load_rows("validation", load_encoder())
    probability = load_model(name, run / "model").predict(matrix)
    brier = float(np.mean((probability - labels) ** 2))
    assert read_json(run / "metrics" / "validation.json")["brier_score"] == pytest.approx(brier, abs=1e-6)


@pytest.mark.parametrize("name", FAMILIES["binary"])
@pytest.mark.parametrize("kept", ["numbers", "categories"])
def test_numbers_alone_and_categories_alone_are_enough(encoded: Encoded, name: str, kept: str) -> None:
    columns = slice(0, 9) if kept == "numbers" else slice(9, 11)
    encoder = Encoder(encoded.encoder.numbers, {}) if kept == "numbers" else Encoder((), encoded.encoder.categories)
    part = type(encoded)(
        encoder,
        (encoded.train[0][:, columns], encoded.train[1]),
        (encoded.validation[0][:, columns], encoded.validation[1]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted, _ = fit(name, part)
    assert np.isfinite(fitted.predict(part.validation[0])).all()


@pytest.mark.parametrize("name", FAMILIES["binary"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_family_learns_from_a_text_and_its_export_says_the_same(encoded: Encoded, name: str, alone: bool) -> None:
    texts = {"note": dict.fromkeys(("bad", "calm", "fine", "fine calm", "good"), 1.0)}
    encoder = Encoder((), {}, texts) if alone else Encoder(encoded.encoder.numbers, encoded.encoder.categories, texts)

    def with_notes(matrix: Matrix, labels: Labels) -> tuple[Matrix, Labels]:
        random = np.random.default_rng(len(labels))
        words = np.where(labels == 1, "Good", "BAD")
        notes = [f"{word}, {random.choice(['calm', 'fine', 'fine calm'])}" for word in words]
        columns: dict[str, Any] = {name: matrix[:, place] for place, name in enumerate(encoded.encoder.numbers)}
        return encoder.transform(
            columns | {"kind": ["a"] * len(labels), "place": ["a"] * len(labels), "note": notes}
        ), labels

    part = type(encoded)(encoder, with_notes(*encoded.train), with_notes(*encoded.validation))
    fitted, _ = fit(name, part)
    matrix, labels = part.validation
    found = fitted.predict(matrix)
    assert roc_auc_score(labels, found) > 0.95
    exported = onnx_outputs(to_onnx(name, fitted, encoder.width, "probability"), matrix)
    np.testing.assert_allclose(exported, found, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_an_absent_model_says_how_to_get_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(OntimeError, match=r"model: not found; run `dvc repro` \(or `ontime pull`\) first"):
        load_model(name, tmp_path / "model")


def test_every_family_has_its_own_parameters_in_the_section_train() -> None:
    assert set(Train.model_fields) == {"seed", "refit", *FAMILIES["binary"], *FAMILIES["regression"]}
    assert len({family(name).Parameters for name in FAMILIES["binary"]}) == len(FAMILIES["binary"])


def test_a_mistake_in_a_familys_parameters_names_its_place() -> None:
    wrong = TRAIN.model_copy(update={"random_forest": {**TRAIN.random_forest, "n_estimators": 0}})
    with pytest.raises(OntimeError, match=r"^params\.yaml: train\.random_forest\.n_estimators: .* found 0$"):
        parameters_of("random_forest", wrong)
    assert parameters_of("logistic_regression", wrong).model_dump() == TRAIN.logistic_regression


def test_a_model_family_is_known_by_its_name() -> None:
    assert [check_family(name) for name in FAMILIES["binary"]] == list(FAMILIES["binary"])


def test_an_unknown_model_family_suggests_a_known_one() -> None:
    with pytest.raises(OntimeError, match=r"^unknown model random_forrest; did you mean random_forest\?$"):
        family("random_forrest")
    with pytest.raises(OntimeError, match=r"^unknown model zzz; known: logistic_regression, random_forest, "):
        check_family("zzz")
