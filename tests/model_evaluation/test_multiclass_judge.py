"""Probabilities of classes against scikit-learn: metrics, resamples of rows, slices and what is told of each class."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn import metrics

from ontime.common.errors import OntimeError
from ontime.model_evaluation.baseline_answers import _answer
from ontime.model_evaluation.multiclass_judge import MulticlassJudge
from ontime.model_evaluation.resampling import OF_CLASSES, resamples, score_of
from ontime.tasks.multiclass import Multiclass

NAMES = ("fern", "moss", "rose", "thyme")


def drawn(rows: int = 200) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
    """Numbers of four classes, and probabilities that know a little of them."""
    random = np.random.default_rng(0)
    target = random.choice(4, rows, p=[0.1, 0.2, 0.3, 0.4]).astype(np.int8)
    outputs = random.random((rows, 4)) + 0.5 * np.eye(4)[target]
    return target, (outputs / outputs.sum(axis=1, keepdims=True)).round(3)


def expected(target: npt.NDArray[np.int8], outputs: npt.NDArray[np.float64]) -> dict[str, float]:
    """What scikit-learn says."""
    decided, shares = outputs.argmax(axis=1), outputs / outputs.sum(axis=1, keepdims=True)
    return {
        "log_loss": float(-np.log(outputs[np.arange(len(target)), target]).mean()),
        "roc_auc_ovr": float(np.mean([metrics.roc_auc_score(target == one, outputs[:, one]) for one in range(4)])),
        "roc_auc_of_shares": float(metrics.roc_auc_score(target, shares, multi_class="ovr", average="macro")),
        "accuracy": float(metrics.accuracy_score(target, decided)),
        "f1_macro": float(metrics.f1_score(target, decided, average="macro")),
    }


def test_metrics_are_scikit_learns() -> None:
    target, outputs = drawn()
    found, wanted = MulticlassJudge(NAMES).summarize(target, outputs, {}), expected(target, outputs)
    for name in OF_CLASSES:
        assert found[name] == pytest.approx(wanted[name], abs=1e-6)
    assert found["roc_auc_ovr"] == pytest.approx(wanted["roc_auc_of_shares"], abs=1e-3)
    assert found["rows"] == len(target)
    assert MulticlassJudge().rule(target, outputs) == {}


@pytest.mark.parametrize("name", OF_CLASSES)
def test_a_metric_of_resampled_rows_is_that_of_the_rows_repeated(name: str) -> None:
    target, outputs = drawn()
    for times in (np.ones(len(target), dtype=np.int64), *resamples(np.arange(len(target)), 3, 0)):
        repeated = expected(np.repeat(target, times), np.repeat(outputs, times, axis=0))
        assert score_of(name, target, outputs)(times) == pytest.approx(repeated[name], abs=1e-9)


def test_a_metric_of_events_is_refused_of_classes_in_one_line() -> None:
    with pytest.raises(OntimeError, match=r"^params\.yaml: brier_score: no metric of classes; known: log_loss, "):
        score_of("brier_score", *drawn())


def test_slices_and_classes_have_their_own_figures() -> None:
    target, outputs = drawn()
    rows = pd.DataFrame({"soil": ["clay"] * 160 + ["sand"] * 40})
    table = MulticlassJudge(NAMES).by_slice(rows, ["soil"], target, outputs, {})
    assert table["slice"].tolist() == ["soil=clay", "soil=sand"]
    assert table["log_loss"].isna().tolist() == table["accuracy"].isna().tolist() == [False, True]
    curves = MulticlassJudge(NAMES).curves(target, outputs)
    assert curves["classes"]["class"].tolist() == list(NAMES)
    assert curves["classes"]["rows"].tolist() == np.bincount(target).tolist()
    recall = metrics.recall_score(target, outputs.argmax(axis=1), average=None)
    assert curves["classes"]["recall"].tolist() == pytest.approx(recall, abs=1e-6)
    assert curves["confusion"]["rows"].sum() == len(target)
    assert set(curves["calibration_by_class"]["class"]) == set(NAMES)


def test_baselines_answer_with_past_shares_of_the_classes() -> None:
    train = pd.DataFrame(
        {"soil": ["clay"] * 6 + ["sand"] * 4, "target": pd.Series([0] * 5 + [1] * 3 + [2] * 2, dtype="Int8")}
    )
    task = Multiclass(NAMES[:3])
    everywhere, by_soil = (_answer(train, train, names, task) for names in ([], ["soil"]))
    np.testing.assert_allclose(everywhere[0], [0.5, 0.3, 0.2])
    np.testing.assert_allclose(by_soil.sum(axis=1), 1)
    assert by_soil[0, 0] > 0.5 > by_soil[-1, 0]
