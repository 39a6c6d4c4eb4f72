"""Logistic regression with an L2 penalty: scaled numbers, one column per category code."""

from typing import TYPE_CHECKING, Self

from ontime.common.params import Count, Positive, Section
from ontime.encoder import Encoder
from ontime.model_training.families import History, Rows
from ontime.model_training.scikit_learn_model import ScikitLearnModel, linear_columns

if TYPE_CHECKING:
    from ontime.tasks.task import Task


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
        task: "Task",
    ) -> tuple[Self, History]:
        """Scaled numbers with the mean where one is missing, one column per category code.

        Newton's method needs a few steps and draws nothing, so `seed` is not used.

        Returns:
            The fitted model and one row of history: loss at the end.
        """
        fitted = cls.fit_all(train, encoder, parameters, seed, 0, progress, task)
        losses = {
            f"{part}_{task.loss_name}": task.loss(labels, fitted.predict(matrix))
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
        task: "Task",
    ) -> Self:
        """Newton's method until it converges, whatever `steps` says."""
        from sklearn import linear_model
        from sklearn.pipeline import Pipeline

        del seed, steps, task
        classifier = linear_model.LogisticRegression(
            C=parameters.C, max_iter=parameters.max_iter, solver="newton-cholesky"
        )
        model = Pipeline([("columns", linear_columns(encoder, len(rows[1]))), ("classifier", classifier)])
        if progress:
            model.set_params(verbose=True)
        model.fit(*rows)
        return cls(model.set_params(verbose=False))
