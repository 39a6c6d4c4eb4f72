"""What the linear model makes of codes."""

import pytest
import scipy.sparse

from ontime.model_deployment.export.onnx_graph import onnx_probability, to_onnx
from ontime.model_training import logistic_regression
from ontime.model_training.logistic_regression import LogisticRegression, LogisticRegressionParameters
from tests.encoded import Encoded


def test_a_code_without_training_rows_gets_no_weight(encoded: Encoded) -> None:
    matrix, labels = encoded.train
    known = matrix[:, 9] != 0
    train, parameters = (matrix[known], labels[known]), LogisticRegressionParameters(C=0.1, max_iter=50)
    fitted, _ = LogisticRegression.fit(train, encoded.validation, encoded.encoder, parameters, 0, progress=False)
    weights = fitted.model["classifier"].coef_[0]
    assert weights[9] == pytest.approx(0)
    assert weights[9 + 3] > 0.1


def test_a_wide_matrix_is_held_sparse_and_gives_the_same_model(
    encoded: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = LogisticRegressionParameters(C=0.1, max_iter=50)
    matrix, width = encoded.validation[0], len(encoded.encoder.features)
    fitted, exported = [], []
    for most in (logistic_regression.MOST_DENSE_BYTES, 0):
        monkeypatch.setattr(logistic_regression, "MOST_DENSE_BYTES", most)
        arguments = (encoded.train, encoded.validation, encoded.encoder, parameters, 0)
        model, _ = LogisticRegression.fit(*arguments, progress=False)
        fitted.append(model)
        exported.append(onnx_probability(to_onnx("logistic_regression", model, width), matrix))
    dense, sparse = (model.model["columns"].transform(matrix) for model in fitted)
    assert (scipy.sparse.issparse(dense), scipy.sparse.issparse(sparse)) == (False, True)
    expected = fitted[0].probability(matrix)
    assert fitted[1].probability(matrix) == pytest.approx(expected, abs=1e-9)
    for probability in exported:
        assert probability == pytest.approx(expected, abs=1e-6)
