"""LightGBM, stopped when the validation loss no longer falls."""

import re
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ontime.common.params import Count, Positive, Section
from ontime.model_training.families import History, Rows, Setting, weights_of
from ontime.model_training.scikit_learn_model import ScikitLearnModel

if TYPE_CHECKING:
    import onnx

PATIENCE = 15


class LightGbmParameters(Section):
    """LightGBM's names."""

    n_estimators: Count
    learning_rate: Positive
    num_leaves: Count
    min_child_samples: Count


class LightGbm(ScikitLearnModel):
    """LightGBM's LGBMClassifier, or LGBMRegressor, which are saved and asked like scikit-learn's."""

    Parameters = LightGbmParameters
    packages = ("lightgbm", "numpy", "onnxmltools")

    @classmethod
    def fit(cls, train: Rows, validation: Rows, setting: Setting) -> tuple[Self, History]:
        """Boost until the validation loss no longer falls."""
        import lightgbm

        told: dict[str, dict[str, list[float]]] = {}
        calls = [lightgbm.early_stopping(PATIENCE, verbose=False), lightgbm.record_evaluation(told)]
        weights = weights_of(validation)
        _unfitted(setting, setting.parameters.n_estimators).fit(
            *train,
            eval_X=validation[0],
            eval_y=validation[1],
            eval_sample_weight=None if weights is None else [weights],
            callbacks=calls,
        )
        (losses,) = told["valid_0"].values()
        steps = losses[: losses.index(min(losses)) + 1]
        history = [
            {"step": float(step), f"validation_{setting.task.loss_name}": loss}
            for step, loss in enumerate(steps, start=1)
        ]
        return cls.fit_all(train, setting, len(steps)), history

    @classmethod
    def fit_all(cls, rows: Rows, setting: Setting, steps: int) -> Self:
        """Boost `steps` times."""
        return cls(_unfitted(setting, steps).fit(*rows))

    def exported(self, columns: int) -> "onnx.ModelProto":
        """By onnxmltools, with thresholds that float32 has, so that the graph sends each row the same way."""
        import lightgbm
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        types = [("features", FloatTensorType([None, columns]))]
        text = re.sub(r"^threshold=(.*)$", _floored, self.model.booster_.model_to_string(), flags=re.MULTILINE)
        # the sizes of the trees' texts, which are others now, may be absent
        booster = lightgbm.Booster(model_str=re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE))
        return convert_lightgbm(booster, initial_types=types, target_opset=15, zipmap=False)


def _floored(line: re.Match[str]) -> str:
    """Thresholds of a tree, each rounded down to float32: the same numbers of that type are at most it."""
    exact = np.array(line[1].split(), dtype=np.float64)
    near = exact.astype(np.float32)
    floored = np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float64)
    return f"threshold={' '.join(map(repr, floored.tolist()))}"


def _unfitted(setting: Setting, steps: int) -> Any:
    """An unfitted estimator; one thread and fixed orders, so that it is the same on every machine."""
    import lightgbm

    return getattr(lightgbm, f"LGBM{setting.task.estimator}")(
        **{**setting.parameters.model_dump(), "n_estimators": steps},
        metric="rmse" if setting.task.name == "regression" else None,
        random_state=setting.seed,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )
