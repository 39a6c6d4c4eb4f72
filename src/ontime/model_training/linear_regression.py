"""Linear regression with an L2 penalty (ridge): scaled numbers, one column per category code."""

from typing import TYPE_CHECKING, Self

from ontime.common.params import Positive, Section
from ontime.encoder import Encoder
from ontime.model_training.families import History, Rows
from ontime.model_training.scikit_learn_model import ScikitLearnModel, is_sparse, linear_columns

if TYPE_CHECKING:
    from ontime.tasks.task import Task


class LinearRegressionParameters(Section):
    """scikit-learn's name of Ridge."""

    alpha: Positive


class LinearRegression(ScikitLearnModel):
    """A pipeline of scaler, one-hot encoder and ridge regression."""

    Parameters = LinearRegressionParameters

    @classmethod
    def fit(
        cls,
        train: Rows,
        validation: Rows,
        encoder: Encoder,
        parameters: LinearRegressionParameters,
        seed: int,
        progress: bool,
        task: "Task",
    ) -> tuple[Self, History]:
        """Solve the normal equations once, which draws nothing, so `seed` is not used.

        Returns:
            The fitted model and one row of history: loss at the end.
        """
        fitted = cls.fit_all(train, encoder, parameters, seed, 0, progress, task)
        losses = {
            f"{part}_{task.loss_name}": task.loss(target, fitted.predict(matrix))
            for part, (matrix, target) in (("train", train), ("validation", validation))
        }
        return fitted, [{**losses, "step": 1.0}]

    @classmethod
    def fit_all(
        cls,
        rows: Rows,
        encoder: Encoder,
        parameters: LinearRegressionParameters,
        seed: int,
        steps: int,
        progress: bool,
        task: "Task",
    ) -> Self:
        """The one solution, whatever `steps` says."""
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import Pipeline

        del seed, steps, task
        count = len(rows[1])
        # of a sparse matrix, scikit-learn solves the normal equations by steps alone
        ridge = Ridge(alpha=parameters.alpha, solver="sparse_cg" if is_sparse(encoder, count) else "cholesky")
        model = Pipeline([("columns", linear_columns(encoder, count)), ("regressor", ridge)])
        if progress:
            model.set_params(verbose=True)
        model.fit(*rows)
        return cls(model.set_params(verbose=False))
