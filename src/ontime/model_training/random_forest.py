"""A random forest, grown a few trees at a time, so that progress and the loss by number of trees can be seen."""

from typing import Annotated, Any, Self

from pydantic import Field

from ontime.common.environment import threads
from ontime.common.params import Count, Section
from ontime.model_training.families import History, Rows, Setting, weights_of
from ontime.model_training.scikit_learn_model import ScikitLearnModel, outputs_of

MISSING_NUMBER = -1e6
"""What a forest sees for a missing number: below every real one."""
TREES_PER_STEP = 10


class RandomForestParameters(Section):
    """scikit-learn's names."""

    n_estimators: Count
    max_features: Annotated[float, Field(gt=0, le=1)]
    min_samples_leaf: Count


class RandomForest(ScikitLearnModel):
    """A pipeline of imputer and forest."""

    Parameters = RandomForestParameters

    @classmethod
    def fit(cls, train: Rows, validation: Rows, setting: Setting) -> tuple[Self, History]:
        """Grow the forest.

        Returns:
            The fitted model and its history: validation loss by number of trees.
        """
        from tqdm import tqdm

        parameters, task = setting.parameters, setting.task
        impute, forest = _unfitted(setting)
        inputs, checked = impute.fit_transform(train[0]), impute.transform(validation[0])
        history: History = []
        votes: Any = 0.0
        with tqdm(total=parameters.n_estimators, unit="tree", disable=not setting.progress) as bar:
            while (grown := forest.n_estimators) < parameters.n_estimators:
                forest.n_estimators = min(grown + TREES_PER_STEP, parameters.n_estimators)
                forest.fit(inputs, train[1], weights_of(train))
                for tree in forest.estimators_[grown:]:
                    votes = votes + outputs_of(tree, checked)
                loss = task.loss(validation[1], votes / forest.n_estimators, weights_of(validation))
                history.append({"step": float(forest.n_estimators), f"validation_{task.loss_name}": loss})
                bar.update(forest.n_estimators - grown)
        return cls(_finished(impute, forest)), history

    @classmethod
    def fit_all(cls, rows: Rows, setting: Setting, steps: int) -> Self:
        """Grow `steps` trees."""
        impute, forest = _unfitted(setting)
        forest.set_params(n_estimators=steps, verbose=int(setting.progress))
        forest.fit(impute.fit_transform(rows[0]), rows[1], weights_of(rows))
        return cls(_finished(impute, forest))


def _unfitted(setting: Setting) -> tuple[Any, Any]:
    """An imputer, and a forest without trees."""
    from sklearn import ensemble
    from sklearn.impute import SimpleImputer

    impute = SimpleImputer(strategy="constant", fill_value=MISSING_NUMBER, keep_empty_features=True)
    forest = getattr(ensemble, f"RandomForest{setting.task.estimator}")(
        n_estimators=0,
        max_features=setting.parameters.max_features,
        min_samples_leaf=setting.parameters.min_samples_leaf,
        random_state=setting.seed,
        n_jobs=threads(),
        warm_start=True,
    )
    return impute, forest


def _finished(impute: Any, forest: Any) -> Any:
    """The fitted pipeline without what depends on the terminal and the machine."""
    from sklearn.pipeline import Pipeline

    # stored in the object, and with more than one the sum over trees depends on which finishes first
    forest.set_params(n_jobs=1, warm_start=False, verbose=0)
    return Pipeline([("missing", impute), ("classifier", forest)])
