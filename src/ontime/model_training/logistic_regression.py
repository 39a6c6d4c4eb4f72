"""Logistic regression with an L2 penalty: scaled numbers, one column per category code."""

from typing import Self

import numpy as np

from ontime.common.params import Count, Positive, Section
from ontime.encoder import Encoder
from ontime.model_training.families import History, Rows
from ontime.model_training.scikit_learn_model import ScikitLearnModel

MOST_DENSE_BYTES = 1 << 30
"""A matrix of one column per code that would be larger is held sparse; a fit holds it about three times."""
BYTES_PER_VALUE = 8


class LogisticRegressionParameters(Section):
    """scikit-learn's names."""

    C: Positive
    max_iter: Count


class LogisticRegression(ScikitLearnModel):
    """A pipeline of scaler, one-hot encoder and classifier."""

    Parameters = LogisticRegressionParameters

    @classmethod
    def fit(
        cls,
        train: Rows,
        validation: Rows,
        encoder: Encoder,
        parameters: LogisticRegressionParameters,
        seed: int,
        progress: bool,
    ) -> tuple[Self, History]:
        """Scaled numbers with the mean where one is missing, one column per category code.

        Newton's method needs a few steps and draws nothing, so `seed` is not used.

        Returns:
            The fitted model and one row of history: log loss at the end.
        """
        from sklearn.metrics import log_loss

        fitted = cls.fit_all(train, encoder, parameters, seed, 0, progress)
        losses = {
            f"{part}_log_loss": float(log_loss(labels, fitted.probability(matrix)))
            for part, (matrix, labels) in (("train", train), ("validation", validation))
        }
        return fitted, [{**losses, "step": float(fitted.model["classifier"].n_iter_[0])}]

    @classmethod
    def fit_all(
        cls,
        rows: Rows,
        encoder: Encoder,
        parameters: LogisticRegressionParameters,
        seed: int,
        steps: int,
        progress: bool,
    ) -> Self:
        """Newton's method until it converges, whatever `steps` says."""
        from sklearn import linear_model
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import Pipeline, make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        del seed, steps
        count = len(encoder.numbers)
        numbers = make_pipeline(SimpleImputer(strategy="mean", keep_empty_features=True), StandardScaler())
        is_sparse = len(rows[1]) * (count + sum(encoder.category_sizes)) * BYTES_PER_VALUE > MOST_DENSE_BYTES
        codes = OneHotEncoder(
            categories=[np.arange(size, dtype=np.float32) for size in encoder.category_sizes],
            handle_unknown="ignore",
            sparse_output=is_sparse,
        )
        parts = [("numbers", numbers, list(range(count))), ("codes", codes, list(range(count, len(encoder.features))))]
        classifier = linear_model.LogisticRegression(
            C=parameters.C, max_iter=parameters.max_iter, solver="newton-cholesky"
        )
        columns = ColumnTransformer([part for part in parts if part[2]], sparse_threshold=1.0 if is_sparse else 0.3)
        model = Pipeline([("columns", columns), ("classifier", classifier)])
        if progress:
            model.set_params(verbose=True)
        model.fit(*rows)
        return cls(model.set_params(verbose=False))
