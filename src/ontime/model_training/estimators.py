"""The three scikit-learn families on the encoded matrix, numbers first and then category codes.

Trees take codes as numbers, for the vocabulary orders them by their share of events; the linear model
gets one column per code.
"""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tqdm import tqdm

from ontime.common import params
from ontime.common.arrays import Labels, Matrix, Probability
from ontime.common.environment import threads
from ontime.encoder import Encoder
from ontime.model_training.runs import History

MISSING_NUMBER = -1e6
"""What a forest sees for a missing number: below every real one."""
TREES_PER_STEP = 10


def fit_logistic_regression(
    train: tuple[Matrix, Labels],
    validation: tuple[Matrix, Labels],
    encoder: Encoder,
    settings: params.LogisticRegression,
    seed: int,
    progress: bool,
) -> tuple[Pipeline, History]:
    """Scaled numbers with the mean where one is missing, one column per category code; L2 penalty.

    Newton's method needs a few steps and draws nothing, so `seed` is not used.

    Returns:
        The fitted pipeline and one row of history: log loss at the end.
    """
    del seed
    count = len(encoder.numbers)
    numbers = make_pipeline(SimpleImputer(strategy="mean", keep_empty_features=True), StandardScaler())
    codes = OneHotEncoder(
        categories=[np.arange(size, dtype=np.float32) for size in encoder.category_sizes],
        handle_unknown="ignore",
        sparse_output=False,
    )
    columns = [("numbers", numbers, list(range(count))), ("codes", codes, list(range(count, len(encoder.features))))]
    model = Pipeline(
        [
            ("columns", ColumnTransformer([step for step in columns if step[2]])),
            ("classifier", LogisticRegression(C=settings.C, max_iter=settings.max_iter, solver="newton-cholesky")),
        ]
    )
    if progress:
        model.set_params(verbose=True)
    model.fit(*train)
    model.set_params(verbose=False)
    history = _losses(model, train, validation) | {"step": float(model["classifier"].n_iter_[0])}
    return model, [history]


def fit_random_forest(
    train: tuple[Matrix, Labels],
    validation: tuple[Matrix, Labels],
    encoder: Encoder,
    settings: params.RandomForest,
    seed: int,
    progress: bool,
) -> tuple[Pipeline, History]:
    """Trees grown a few at a time, so that progress and the validation loss by number of trees can be seen.

    Returns:
        The fitted pipeline and its history: validation log loss by number of trees.
    """
    del encoder
    impute = SimpleImputer(strategy="constant", fill_value=MISSING_NUMBER, keep_empty_features=True)
    inputs, checked = impute.fit_transform(train[0]), impute.transform(validation[0])
    forest = RandomForestClassifier(
        n_estimators=0,
        max_features=settings.max_features,
        min_samples_leaf=settings.min_samples_leaf,
        random_state=seed,
        n_jobs=threads(),
        warm_start=True,
    )
    history: History = []
    votes = np.zeros(len(checked))
    with tqdm(total=settings.n_estimators, unit="tree", disable=not progress) as bar:
        while (grown := forest.n_estimators) < settings.n_estimators:
            forest.n_estimators = min(grown + TREES_PER_STEP, settings.n_estimators)
            forest.fit(inputs, train[1])
            for tree in forest.estimators_[grown:]:
                votes += tree.predict_proba(checked)[:, 1]
            loss = log_loss(validation[1], votes / forest.n_estimators)
            history.append({"step": float(forest.n_estimators), "validation_log_loss": float(loss)})
            bar.update(forest.n_estimators - grown)
    # stored in the object, and with more than one the sum over trees depends on which finishes first
    forest.n_jobs = 1
    forest.warm_start = False
    return Pipeline([("missing", impute), ("classifier", forest)]), history


def fit_gradient_boosting(
    train: tuple[Matrix, Labels],
    validation: tuple[Matrix, Labels],
    encoder: Encoder,
    settings: params.GradientBoosting,
    seed: int,
    progress: bool,
) -> tuple[HistGradientBoostingClassifier, History]:
    """Histogram gradient boosting, stopped when the validation log loss no longer falls.

    Returns:
        The fitted model and its history: log loss by iteration, on a sample of train and on validation.
    """
    del encoder
    model = HistGradientBoostingClassifier(
        learning_rate=settings.learning_rate,
        max_iter=settings.max_iter,
        max_leaf_nodes=settings.max_leaf_nodes,
        min_samples_leaf=settings.min_samples_leaf,
        max_features=settings.max_features,
        l2_regularization=settings.l2_regularization,
        categorical_features=None,
        early_stopping=True,
        n_iter_no_change=settings.n_iter_no_change,
        scoring="loss",
        verbose=int(progress),
        random_state=seed,
    )
    model.fit(*train, X_val=validation[0], y_val=validation[1])
    history = [
        {"step": float(step), "train_log_loss": float(-seen), "validation_log_loss": float(-unseen)}
        for step, (seen, unseen) in enumerate(zip(model.train_score_, model.validation_score_, strict=True))
    ]
    model.verbose = 0
    # the number of threads that sorted values into bins is stored in the object
    model._bin_mapper.n_threads = 1
    return model, history


def _losses(
    model: ClassifierMixin, train: tuple[Matrix, Labels], validation: tuple[Matrix, Labels]
) -> dict[str, float]:
    return {
        "train_log_loss": float(log_loss(train[1], model.predict_proba(train[0])[:, 1])),
        "validation_log_loss": float(log_loss(validation[1], model.predict_proba(validation[0])[:, 1])),
    }


def probability_of(model: Any, matrix: Matrix) -> Probability:
    """Probability of the event by a scikit-learn model: float64 (rows,)."""
    return np.asarray(model.predict_proba(matrix)[:, 1], dtype=np.float64)
