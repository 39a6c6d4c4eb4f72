"""What the scikit-learn families share: saved by joblib, asked by `predict_proba`, or `predict` for a number.

They see the encoded matrix: numbers, category codes, then columns of texts. Trees take codes as numbers, for the
vocabulary orders them by their share of events, or their mean; the linear models get one column per code.
"""

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ontime.common.arrays import Matrix, Outputs, Weights
from ontime.common.files import replacing
from ontime.common.weights import weighted_moments
from ontime.encoder import Encoder
from ontime.model_training.families import OPSET, Family, History, Rows, Setting, weights_of

if TYPE_CHECKING:
    import onnx

MODEL_FILE = "model.joblib"
MOST_DENSE_BYTES = 1 << 30
"""A matrix of one column per code that would be larger is held sparse; a fit holds it about three times."""
BYTES_PER_VALUE = 8


class ScikitLearnModel(Family):
    """A fitted scikit-learn estimator or pipeline."""

    framework = "scikit-learn"
    packages = ("numpy", "scikit-learn", "scipy")

    def save(self, folder: Path) -> None:
        """Write the model as joblib does."""
        import joblib

        with replacing(folder / MODEL_FILE) as temporary:
            joblib.dump(self.model, temporary)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model; the file names the classes that it needs, and they are imported."""
        import joblib

        return cls(joblib.load(folder / MODEL_FILE))

    def predict(self, matrix: Matrix) -> Outputs:
        """Probability of the event, or a number: float64 (rows,); or of each class: (rows, classes)."""
        return outputs_of(self.model, matrix)

    def exported(self, columns: int) -> "onnx.ModelProto":
        """By skl2onnx."""
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType

        options = {id(self.model): {"zipmap": False}} if hasattr(self.model, "predict_proba") else None
        return convert_sklearn(
            self.model,
            name="model",
            initial_types=[("features", FloatTensorType([None, columns]))],
            target_opset=OPSET,
            options=options,
        )


class LinearModel(ScikitLearnModel):
    """A pipeline of scaler, one-hot encoder and a linear estimator, which validation rows do not stop."""

    step: ClassVar[str]
    """What the pipeline calls the estimator."""

    @classmethod
    @abstractmethod
    def estimator(cls, parameters: Any, sparse: bool) -> Any:
        """The estimator, not fitted; `sparse`: of a matrix that is held so."""

    def iterations(self) -> float:
        """How many steps the fit took."""
        return 1.0

    @classmethod
    def fit(cls, train: Rows, validation: Rows, setting: Setting) -> tuple[Self, History]:
        """Fit on the training rows, which draws nothing, so the seed is not used.

        Returns:
            The fitted model and one row of history: loss at the end.
        """
        task = setting.task
        fitted = cls.fit_all(train, setting, 0)
        losses = {
            f"{part}_{task.loss_name}": task.loss(rows[1], fitted.predict(rows[0]), weights_of(rows))
            for part, rows in (("train", train), ("validation", validation))
        }
        return fitted, [{**losses, "step": fitted.iterations()}]

    @classmethod
    def fit_all(cls, rows: Rows, setting: Setting, steps: int) -> Self:
        """Fit to the end, whatever `steps` says."""
        from scipy.sparse import csr_array
        from sklearn.pipeline import Pipeline

        del steps
        encoder = setting.encoder
        width = encoder.width - len(encoder.categories) + sum(encoder.category_sizes)
        # a text has few of the terms
        sparse = bool(encoder.texts) or len(rows[1]) * width * BYTES_PER_VALUE > MOST_DENSE_BYTES
        columns, estimator = linear_columns(encoder, sparse), cls.estimator(setting.parameters, sparse)
        model = Pipeline([("columns", columns), (cls.step, estimator)])
        if setting.progress:
            model.set_params(verbose=True)
        weights = weights_of(rows)
        if encoder.texts or weights is not None:
            inputs = columns.fit_transform(rows[0])
            if weights is not None:
                weigh_numbers(columns, rows[0], weights)
                inputs = columns.transform(rows[0])
            estimator.fit(csr_array(inputs) if encoder.texts else inputs, rows[1], weights)
        else:
            model.fit(*rows)
        return cls(model.set_params(verbose=False))


def linear_columns(encoder: Encoder, sparse: bool) -> Any:
    """What linear models see, not fitted: scaled numbers, the mean for a missing one, one column per category code.

    Of a text the number of known words is such a number; its terms' weights are seen as they are.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    features, coded = len(encoder.features), encoder.coded
    numbers = make_pipeline(SimpleImputer(strategy="mean", keep_empty_features=True), StandardScaler())
    codes = OneHotEncoder(
        categories=[np.arange(size, dtype=np.float32) for size in encoder.category_sizes],
        handle_unknown="ignore",
        sparse_output=sparse,
    )
    parts = [
        ("numbers", numbers, [*range(coded.start), *range(coded.stop, features)]),
        ("codes", codes, list(range(coded.start, coded.stop))),
        ("terms", "passthrough", list(range(features, encoder.width))),
    ]
    return ColumnTransformer([part for part in parts if part[2]], sparse_threshold=1.0 if sparse else 0.3)


def weigh_numbers(columns: Any, matrix: Matrix, weights: Weights) -> None:
    """Give fitted columns the mean and the spread of the numbers as the rows count; the imputer itself takes none."""
    for name, numbers, places in columns.transformers_:
        if name == "numbers":
            imputer, scaler = numbers
            imputer.statistics_, _ = weighted_moments(matrix[:, places].astype(np.float64), weights)
            scaler.fit(imputer.transform(matrix[:, places]), sample_weight=weights)


def outputs_of(model: Any, matrix: Matrix) -> Outputs:
    """What a fitted estimator says of rows: of two classes the probability of the second, of more that of each."""
    if not hasattr(model, "predict_proba"):
        return np.asarray(model.predict(matrix), dtype=np.float64)
    found = np.asarray(model.predict_proba(matrix), dtype=np.float64)
    return found[:, 1] if found.shape[1] == 2 else found
