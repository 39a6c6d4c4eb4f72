"""Logistic regression with an L2 penalty: scaled numbers, one column per category code."""

from typing import Any

from ontime.common.params import Count, Positive, Section
from ontime.model_training.scikit_learn_model import LinearModel


class LogisticRegressionParameters(Section):
    """scikit-learn's names."""

    C: Positive
    max_iter: Count


class LogisticRegression(LinearModel):
    """scikit-learn's LogisticRegression behind a scaler and a one-hot encoder."""

    Parameters = LogisticRegressionParameters
    step = "classifier"

    @classmethod
    def estimator(cls, parameters: LogisticRegressionParameters, sparse: bool) -> Any:
        """Newton's method, which needs a few steps."""
        from sklearn import linear_model

        del sparse
        return linear_model.LogisticRegression(C=parameters.C, max_iter=parameters.max_iter, solver="newton-cholesky")

    def iterations(self) -> float:
        """Newton's steps."""
        return float(self.model[self.step].n_iter_[0])
