"""What the linear model makes of codes."""

import pytest
import scipy.sparse

from ontime.model_deployment.export.onnx_graph import onnx_outputs, to_onnx
from ontime.model_training import scikit_learn_model
from ontime.model_training.families import Setting
from ontime.model_training.logistic_regression import LogisticRegression, LogisticRegressionParameters
from ontime.tasks.binary import Binary
from tests.encoded import Encoded


def test_a_code_without_training_rows_gets_no_weight(encoded: Encoded) -> None:
    matrix, labels = encoded.train
    known = matrix[:, 9] != 0
    train, parameters = (matrix[known], labels[known]), LogisticRegressionParameters(C=0.1, max_iter=50)
    fitted, _ = LogisticRegression.fit(train, encoded.validation, Setting(encoded.encoder, parameters, 0, Binary()))
    weights = fitted.model["classifier"].coef_[0]
    assert weights[9] == pytest.approx(0)
    assert weights[9 + 3] > 0.1


def test_a_wide_matrix_is_held_sparse_and_gives_the_same_model(
    encoded: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = LogisticRegressionParameters(C=0.1, max_iter=50)
    matrix, width = encoded.validation[0], len(encoded.encoder.features)
    fitted, exported = [], []
    for most in (scikit_learn_model.MOST_DENSE_BYTES, 0):
        monkeypatch.setattr(scikit_learn_model, "MOST_DENSE_BYTES", most)
        setting = Setting(encoded.encoder, parameters, 0, Binary())
        model, _ = LogisticRegression.fit(encoded.train, encoded.validation, setting)
        fitted.append(model)
        exported.append(onnx_outputs(to_onnx("logistic_regression", model, width, "probability"), matrix))
    dense, sparse = (model.model["columns"].transform(matrix) for model in fitted)
    assert (scipy.sparse.issparse(dense), scipy.sparse.issparse(sparse)) == (False, True)
    expected = fitted[0].predict(matrix)
    assert fitted[1].predict(matrix) == pytest.approx(expected, abs=1e-9)
    for probability in exported:
        assert probability == pytest.approx(expected, abs=1e-6)
