"""Linear regression with an L2 penalty (ridge): scaled numbers, one column per category code."""

from typing import Any

from ontime.common.params import Positive, Section
from ontime.model_training.scikit_learn_model import LinearModel


class LinearRegressionParameters(Section):
    """scikit-learn's name of Ridge."""

    alpha: Positive


class LinearRegression(LinearModel):
    """scikit-learn's Ridge behind a scaler and a one-hot encoder."""

    Parameters = LinearRegressionParameters
    step = "regressor"

    @classmethod
    def estimator(cls, parameters: LinearRegressionParameters, sparse: bool) -> Any:
        """The normal equations, solved once."""
        from sklearn.linear_model import Ridge

        # of a sparse matrix, scikit-learn solves them by steps alone
        return Ridge(alpha=parameters.alpha, solver="sparse_cg" if sparse else "cholesky")
