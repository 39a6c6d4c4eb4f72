"""Histogram gradient boosting, stopped when the validation loss no longer falls."""

from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field

from ontime.common.params import Count, Positive, Section
from ontime.model_training.families import History, Rows, Setting, weights_of
from ontime.model_training.scikit_learn_model import ScikitLearnModel


class GradientBoostingParameters(Section):
    """Names of scikit-learn's HistGradientBoostingClassifier and -Regressor."""

    learning_rate: Positive
    max_iter: Count
    max_leaf_nodes: Annotated[int, Field(ge=2)]
    min_samples_leaf: Count
    max_features: Annotated[float, Field(gt=0, le=1)]
    l2_regularization: Annotated[float, Field(ge=0)]
    n_iter_no_change: Count


class GradientBoosting(ScikitLearnModel):
    """scikit-learn's HistGradientBoostingClassifier, or -Regressor."""

    Parameters = GradientBoostingParameters

    @classmethod
    def fit(cls, train: Rows, validation: Rows, setting: Setting) -> tuple[Self, History]:
        """Boost until the validation loss no longer falls.

        Returns:
            The fitted model and its history: loss by iteration, on a sample of train and on validation.
        """
        task = setting.task
        model = _unfitted(setting.parameters.model_dump(), True, setting)
        model.fit(*train, X_val=validation[0], y_val=validation[1], sample_weight_val=weights_of(validation))
        history = [
            {
                "step": float(step),
                f"train_{task.loss_name}": task.loss_of_boosting(float(-seen)),
                f"validation_{task.loss_name}": task.loss_of_boosting(float(-unseen)),
            }
            for step, (seen, unseen) in enumerate(zip(model.train_score_, model.validation_score_, strict=True))
        ]
        return cls(_finished(model)), history

    @classmethod
    def fit_all(cls, rows: Rows, setting: Setting, steps: int) -> Self:
        """Boost `steps` times."""
        model = _unfitted({**setting.parameters.model_dump(), "max_iter": max(steps, 1)}, False, setting)
        return cls(_finished(model.fit(*rows)))


def _unfitted(parameters: dict[str, Any], stops: bool, setting: Setting) -> Any:
    """An unfitted estimator; `stops`: validation rows decide when."""
    from sklearn import ensemble

    return getattr(ensemble, f"HistGradientBoosting{setting.task.estimator}")(
        **parameters,
        categorical_features=None,
        early_stopping=stops,
        scoring="loss",
        verbose=int(setting.progress),
        random_state=setting.seed,
    )


def _finished(model: Any) -> Any:
    """The fitted estimator without what depends on the terminal and the machine, and with thresholds of float32.

    Each threshold is the greatest float32 not above the fitted one, and so divides float32 rows in the same way. Of
    others, skl2onnx takes the nearest float32, and a value that it lands on goes to the other side.
    """
    model.verbose = 0
    # the number of threads that sorted values into bins is stored in the object
    model._bin_mapper.n_threads = 1
    for tree in (tree for trees in model._predictors for tree in trees):
        fitted = tree.nodes["num_threshold"]
        nearest = fitted.astype(np.float32)
        tree.nodes["num_threshold"] = np.where(nearest > fitted, np.nextafter(nearest, np.float32(-np.inf)), nearest)
    return model
