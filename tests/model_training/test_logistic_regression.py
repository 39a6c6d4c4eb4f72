"""What the linear model makes of codes."""

import pytest

from ontime.model_training.logistic_regression import LogisticRegression, LogisticRegressionParameters
from ontime.tasks.binary import Binary
from tests.encoded import Encoded


def test_a_code_without_training_rows_gets_no_weight(encoded: Encoded) -> None:
    matrix, labels = encoded.train
    known = matrix[:, 9] != 0
    train, parameters = (matrix[known], labels[known]), LogisticRegressionParameters(C=0.1, max_iter=50)
    fitted, _ = LogisticRegression.fit(
        train, encoded.validation, encoded.encoder, parameters, 0, progress=False, task=Binary()
    )
    weights = fitted.model["classifier"].coef_[0]
    assert weights[9] == pytest.approx(0)
    assert weights[9 + 3] > 0.1
