"""Four usual models of the rows that the graph divided, tuned on validation rows, in an environment of their own.

Of a table with texts it is one, the usual one: a linear model of the TF-IDF weights of all words and pairs of words.

`python tuned.py FOLDER LAYOUT TASK OUTPUT`: LAYOUT is JSON with numbers, categories, texts and target. Each model's
settings are those of the best validation score; it is then fitted on training and validation rows, as the champion is.
OUTPUT (.npz) gets what each says of the test rows; the last line printed is JSON with the settings.
"""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

MOST_CODES = 255
"""Most values of a category in scikit-learn's boosting."""
MOST_STEPS = 500
PATIENCE = 20
SEED = 0


def score(task: str, target: Any, outputs: Any) -> float:
    """ROC AUC, of several classes the mean of each against the others; of numbers R2."""
    if task == "regression":
        return float(r2_score(target, outputs))
    if task == "binary":
        return float(roc_auc_score(target, outputs))
    return float(roc_auc_score(target, outputs, multi_class="ovr"))


def outputs_of(task: str, model: Any, rows: Any) -> Any:
    """Numbers, probabilities of the event, or of each class in the order of the classes' values."""
    if task == "regression":
        return model.predict(rows)
    probability = model.predict_proba(rows)
    return probability[:, 1] if task == "binary" else probability


def grid(**values: list[Any]) -> list[dict[str, Any]]:
    """Every combination."""
    return [dict(zip(values, drawn, strict=True)) for drawn in itertools.product(*values.values())]


class Rows:
    """Training, validation and test rows, and how each model wants the columns."""

    def __init__(self, folder: Path, layout: dict[str, Any], task: str) -> None:
        self.task, self.numbers, self.categories = task, layout["numbers"], layout["categories"]
        self.texts = layout["texts"]
        self.parts = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "validation", "test")}
        for frame in self.parts.values():
            texts = frame[self.categories].astype(object)
            frame[self.categories] = texts.where(texts.notna(), None)
            frame[self.numbers] = frame[self.numbers].astype("float64")
            frame[self.texts] = frame[self.texts].fillna("")
        self.target = {name: frame[layout["target"]].to_numpy() for name, frame in self.parts.items()}

    def both(self) -> tuple[Any, Any]:
        """Training and validation rows, and their targets."""
        return (
            pd.concat([self.parts["train"], self.parts["validation"]], ignore_index=True),
            np.concatenate([self.target["train"], self.target["validation"]]),
        )

    def one_hot(self) -> ColumnTransformer:
        """Scaled numbers, a column per value of a category, and one per word or pair of words of a text."""
        numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
        texts = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5)
        words = [(f"words of {name}", TfidfVectorizer(ngram_range=(1, 2)), name) for name in self.texts]
        return ColumnTransformer([("numbers", numbers, self.numbers), ("texts", texts, self.categories), *words])

    def codes(self) -> ColumnTransformer:
        """Numbers as they are and categories by number."""
        texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
        return ColumnTransformer([("numbers", "passthrough", self.numbers), ("texts", texts, self.categories)])

    def few_and_many(self) -> tuple[ColumnTransformer, list[int]]:
        """Numbers; categories of many values by their mean target, out of fold; places of the others, by number."""
        many = [name for name in self.categories if self.parts["train"][name].nunique() >= MOST_CODES]
        few = [name for name in self.categories if name not in many]
        texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
        means = TargetEncoder(random_state=SEED)
        parts: list[Any] = [("numbers", "passthrough", self.numbers), ("few", texts, few), ("many", means, many)]
        return ColumnTransformer(parts), list(range(len(self.numbers), len(self.numbers) + len(few)))

    def native(self, frame: Any, levels: dict[str, list[str]]) -> Any:
        """The columns with pandas' categories."""
        found = frame[[*self.numbers, *self.categories]].copy()
        for name in self.categories:
            found[name] = pd.Categorical(found[name].where(found[name].isin(levels[name])), categories=levels[name])
        # LightGBM takes no name with the signs of JSON
        found.columns = [f"column_{place}" for place in range(len(found.columns))]
        return found


def tuned_pipeline(rows: Rows, make: Any, settings: list[dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
    """A pipeline with the settings of the best validation score, fitted on both parts: what it says of test rows."""
    scores = []
    for setting in settings:
        model = make(setting).fit(rows.parts["train"], rows.target["train"])
        found = outputs_of(rows.task, model, rows.parts["validation"])
        scores.append(score(rows.task, rows.target["validation"], found))
    best = settings[int(np.argmax(scores))]
    return outputs_of(rows.task, make(best).fit(*rows.both()), rows.parts["test"]), best


def linear(rows: Rows) -> tuple[Any, dict[str, Any]]:
    """Logistic regression or ridge."""
    if rows.task == "regression":
        settings = grid(alpha=[0.1, 1.0, 10.0, 100.0, 1000.0])
        return tuned_pipeline(rows, lambda one: make_pipeline(rows.one_hot(), Ridge(**one)), settings)
    settings = grid(C=[0.001, 0.01, 0.1, 1.0, 10.0])
    return tuned_pipeline(
        rows, lambda one: make_pipeline(rows.one_hot(), LogisticRegression(max_iter=2000, **one)), settings
    )


def forest(rows: Rows) -> tuple[Any, dict[str, Any]]:
    """A random forest of 200 trees."""
    kind = RandomForestRegressor if rows.task == "regression" else RandomForestClassifier

    def make(setting: dict[str, Any]) -> Any:
        model = kind(n_estimators=200, n_jobs=-1, random_state=SEED, **setting)
        return make_pipeline(rows.codes(), SimpleImputer(strategy="constant", fill_value=-1e6), model)

    return tuned_pipeline(rows, make, grid(min_samples_leaf=[1, 5], max_features=["sqrt", 0.5]))


def boosting(rows: Rows) -> tuple[Any, dict[str, Any]]:
    """scikit-learn's histogram boosting with categories, stopped by validation rows."""
    kind = HistGradientBoostingRegressor if rows.task == "regression" else HistGradientBoostingClassifier
    columns, few = rows.few_and_many()
    train = columns.fit_transform(rows.parts["train"], rows.target["train"])
    validation = columns.transform(rows.parts["validation"])
    scores, steps, settings = (
        [],
        [],
        grid(learning_rate=[0.05], max_leaf_nodes=[7, 31], l2_regularization=[0.0, 10.0]),
    )
    fixed = {"categorical_features": few, "random_state": SEED}
    for setting in settings:
        model = kind(max_iter=MOST_STEPS, early_stopping=True, n_iter_no_change=PATIENCE, **fixed, **setting)
        model.fit(train, rows.target["train"], X_val=validation, y_val=rows.target["validation"])
        steps.append(max(1, int(np.argmax(model.validation_score_))))
        again = kind(max_iter=steps[-1], early_stopping=False, **fixed, **setting).fit(train, rows.target["train"])
        scores.append(score(rows.task, rows.target["validation"], outputs_of(rows.task, again, validation)))
    best = int(np.argmax(scores))
    both, target = rows.both()
    columns, few = rows.few_and_many()
    model = kind(max_iter=steps[best], early_stopping=False, **fixed, **settings[best])
    model.fit(columns.fit_transform(both, target), target)
    return outputs_of(rows.task, model, columns.transform(rows.parts["test"])), settings[best] | {"steps": steps[best]}


def light_gbm(rows: Rows) -> tuple[Any, dict[str, Any]]:
    """LightGBM with its own categories, stopped by validation rows."""
    kind = lightgbm.LGBMRegressor if rows.task == "regression" else lightgbm.LGBMClassifier
    both, target = rows.both()
    levels = {name: sorted(both[name].dropna().unique()) for name in rows.categories}
    train, validation, test = (rows.native(rows.parts[name], levels) for name in ("train", "validation", "test"))
    scores, steps = [], []
    settings = grid(learning_rate=[0.05], num_leaves=[7, 31], min_child_samples=[5, 20])
    fixed = {"random_state": SEED, "verbose": -1, "deterministic": True, "force_row_wise": True, "n_jobs": 1}
    for setting in settings:
        model = kind(n_estimators=MOST_STEPS, **fixed, **setting)
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        model.fit(train, rows.target["train"], eval_X=validation, eval_y=rows.target["validation"], callbacks=[stop])
        steps.append(max(1, int(model.best_iteration_)))
        scores.append(score(rows.task, rows.target["validation"], outputs_of(rows.task, model, validation)))
    best = int(np.argmax(scores))
    model = kind(n_estimators=steps[best], **fixed, **settings[best]).fit(rows.native(both, levels), target)
    return outputs_of(rows.task, model, test), settings[best] | {"steps": steps[best]}


OF_TEXTS = {"linear": linear}
RIVALS = {"linear": linear, "boosting": boosting, "lightgbm": light_gbm, "forest": forest}


def main() -> None:
    """Tune them, write what they say of the test rows, and print their settings."""
    folder, layout, task, output = sys.argv[1:]
    rows = Rows(Path(folder), json.loads(layout), task)
    outputs, settings = {}, {}
    for name, tune in (OF_TEXTS if rows.texts else RIVALS).items():
        outputs[name], settings[name] = tune(rows)
    np.savez(output, **outputs)
    print(json.dumps(settings))


if __name__ == "__main__":
    main()
