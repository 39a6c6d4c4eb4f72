"""What weights do in a fit: rows of weight 1 are plain ones, of weight 0 none, of weight 2 two."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ontime.common.arrays import Matrix, Target, Weights
from ontime.common.weights import weighted_moments
from ontime.model_deployment.export.onnx_graph import onnx_outputs, to_onnx
from ontime.model_training.families import FAMILIES, Setting, family, parameters_of, weights_of
from ontime.model_training.rows import fit_rows
from ontime.tasks.names import TaskName
from ontime.tasks.task import Task, task_of
from tests.encoded import TRAIN, Encoded

MOST_ROWS = 600
CASES = [(task, name) for task, names in FAMILIES.items() for name in names]
SETTINGS = TRAIN.model_copy(update={"linear_regression": {"alpha": 10.0}})


def rows_of(task: TaskName, encoded: Encoded, part: str) -> tuple[Matrix, Target]:
    """The rows of a part with a target of the task."""
    matrix, labels = (array[:MOST_ROWS] for array in getattr(encoded, part))
    if task == "multiclass":
        return matrix, (labels + 2 * (matrix[:, 9] == 3)).clip(0, 2).astype(np.int8)
    return matrix, labels if task == "binary" else labels + np.nan_to_num(matrix[:, 1])


def task_named(name: TaskName) -> Task:
    return task_of(name, ["a", "b", "c"] if name == "multiclass" else ())


def fit(name: str, task: TaskName, encoded: Encoded, train: Any, validation: Any) -> Any:
    setting = Setting(encoded.encoder, parameters_of(name, SETTINGS), 0, task_named(task))
    return family(name).fit(train, validation, setting)


@pytest.fixture(scope="module")
def plain_fit(encoded: Encoded) -> Callable[[TaskName, str], Any]:
    """A function that gives the model and the history of a family's fit without weights, made once."""
    return functools.cache(
        lambda task, name: fit(
            name, task, encoded, rows_of(task, encoded, "train"), rows_of(task, encoded, "validation")
        )
    )


def weights(rows: int, least: int = 0) -> Weights:
    """Whole numbers, each as often as the others."""
    return np.random.default_rng(rows).integers(least, 4, rows).astype(np.float64)


@pytest.mark.parametrize(("task", "name"), CASES)
def test_weights_of_one_give_the_model_of_no_weights(
    encoded: Encoded, plain_fit: Callable[[TaskName, str], Any], task: TaskName, name: str
) -> None:
    train, validation = rows_of(task, encoded, "train"), rows_of(task, encoded, "validation")
    plain, history = plain_fit(task, name)
    ones = [fit_rows(*rows, np.ones(len(rows[1]))) for rows in (train, validation)]
    again, told = fit(name, task, encoded, *ones)
    assert told == history
    assert again.predict(validation[0]).tobytes() == plain.predict(validation[0]).tobytes()


@pytest.mark.parametrize(("task", "name"), CASES)
def test_rows_of_weight_0_do_not_influence_a_fit(
    encoded: Encoded, plain_fit: Callable[[TaskName, str], Any], task: TaskName, name: str
) -> None:
    train, validation = rows_of(task, encoded, "train"), rows_of(task, encoded, "validation")
    counts, checked = weights(len(train[1])), weights(len(validation[1]))
    kept, kept_checked = counts > 0, checked > 0
    first, history = fit(name, task, encoded, fit_rows(*train, counts), fit_rows(*validation, checked))
    # what stands in rows that do not count is of no account
    other = np.where(kept[:, None], train[0], 0), np.where(kept, train[1], train[1][kept][0])
    unseen = np.where(kept_checked[:, None], validation[0], 0), validation[1]
    again, told = fit(name, task, encoded, fit_rows(*other, counts), fit_rows(*unseen, checked))
    assert told == history
    np.testing.assert_array_equal(again.predict(validation[0]), first.predict(validation[0]))
    plain, _ = plain_fit(task, name)
    assert not np.array_equal(plain.predict(validation[0]), first.predict(validation[0]))


@pytest.mark.parametrize(("task", "name"), [case for case in CASES if case[1].endswith("_regression")])
def test_a_linear_model_of_whole_weights_is_that_of_repeated_rows(encoded: Encoded, task: TaskName, name: str) -> None:
    (matrix, target), validation = rows_of(task, encoded, "train"), rows_of(task, encoded, "validation")
    times = weights(len(target))
    weighted, history = fit(name, task, encoded, fit_rows(matrix, target, times), validation)
    every = np.repeat(np.arange(len(target)), times.astype(int))
    repeated, again = fit(name, task, encoded, (matrix[every], target[every]), validation)
    spread = np.std(repeated.predict(validation[0]))
    np.testing.assert_allclose(
        weighted.predict(validation[0]), repeated.predict(validation[0]), atol=1e-4 * spread, rtol=0
    )
    assert history[-1] == pytest.approx(again[-1], rel=1e-4)


@pytest.mark.parametrize(("task", "name"), CASES)
def test_a_fit_follows_the_rows_that_weigh_more(encoded: Encoded, task: TaskName, name: str) -> None:
    """Of two halves whose targets contradict each other, the heavier one is learned; that one also when stopped."""
    matrix, target = rows_of(task, encoded, "train")
    half = np.arange(len(target)) % 2 == 0
    turned = np.where(half, target, target.max() - target).astype(target.dtype)
    heavy = fit_rows(matrix, turned, np.where(half, 9.0, 1.0))
    model, _ = fit(name, task, encoded, heavy, heavy)
    all_rows = family(name).fit_all(
        heavy, Setting(encoded.encoder, parameters_of(name, SETTINGS), 0, task_named(task)), 4
    )
    loss = task_named(task).loss
    for one in (model, all_rows):
        outputs = one.predict(matrix)
        assert loss(turned[half], outputs[half]) < loss(turned[~half], outputs[~half])


@pytest.mark.parametrize(("task", "name"), CASES)
def test_the_history_has_the_loss_by_the_weights(encoded: Encoded, task: TaskName, name: str) -> None:
    train, validation = rows_of(task, encoded, "train"), rows_of(task, encoded, "validation")
    heavy = np.random.default_rng(0).gamma(0.5, 100, len(validation[1]))
    rows = fit_rows(*train, weights(len(train[1]), 1))
    model, history = fit(name, task, encoded, rows, fit_rows(*validation, heavy))
    kept = family(name).kept_steps(history)
    step = next(one for one in history if one["step"] == kept)
    loss = task_named(task).loss(validation[1], model.predict(validation[0]), heavy)
    assert next(value for key, value in step.items() if key.startswith("validation_")) == pytest.approx(loss, rel=1e-3)


@pytest.mark.parametrize("name", FAMILIES["binary"])
def test_a_weighted_model_is_exported_as_it_is(encoded: Encoded, name: str) -> None:
    train = rows_of("binary", encoded, "train")
    model, _ = fit(name, "binary", encoded, fit_rows(*train, weights(MOST_ROWS)), encoded.validation)
    matrix = encoded.validation[0]
    graph = to_onnx(name, model, matrix.shape[1], "probability")
    np.testing.assert_allclose(onnx_outputs(graph, matrix), model.predict(matrix), atol=2e-6)


def test_only_rows_that_count_are_fitted_on() -> None:
    matrix, target = np.arange(4, dtype=np.float32)[:, None], np.array([0, 1, 0, 1], np.int8)
    assert len(fit_rows(matrix, target, None)) == 2
    rows = fit_rows(matrix, target, np.array([2.0, 0.0, 1.0, 0.5]))
    assert rows[1].tolist() == [0, 0, 1]
    assert (found := weights_of(rows)) is not None and found.tolist() == [2.0, 1.0, 0.5]
    rest = fit_rows(matrix, target, np.array([0.0, 1.0, 0.0, 1.0]))
    assert (rest[1].tolist(), weights_of(rest)) == ([1, 1], None)


def test_moments_of_whole_weights_are_those_of_repeated_values() -> None:
    numbers = np.array([[1.0, np.nan, 5.0], [2.0, 3.0, np.nan], [4.0, 7.0, np.nan]])
    mean, variance = weighted_moments(numbers, np.array([3.0, 1.0, 2.0]))
    every = numbers[[0, 0, 0, 1, 2, 2]]
    np.testing.assert_allclose(mean, np.nanmean(every, axis=0))
    np.testing.assert_allclose(variance, np.nanvar(every, axis=0))
    assert [one.tolist() for one in weighted_moments(np.array([[np.nan]]), np.ones(1))] == [[0.0], [0.0]]
