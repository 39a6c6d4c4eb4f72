"""The Keras family: scaling and one-hot codes inside, dense relu layers, a head by the task, adam."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field

from ontime.common.arrays import Matrix, Outputs
from ontime.common.params import Count, Positive, Section
from ontime.model_training.families import Family, History, Rows, Setting, validation_loss

if TYPE_CHECKING:
    import keras
    import onnx


class NeuralNetworkParameters(Section):
    """Keras: dense layers, relu, adam."""

    hidden_units: list[Count]
    learning_rate: Positive
    # longer sums are split by the size of the processor's cache, which would change bytes
    batch_size: Annotated[int, Field(ge=1, le=256)]
    epochs: Count
    patience: Count


class NeuralNetwork(Family):
    """A Keras model; what works on it is in `keras_model`, which loads TensorFlow.

    Another architecture is a subclass that overrides `layers`.
    """

    Parameters = NeuralNetworkParameters
    framework = "keras"
    packages = ("keras", "numpy", "tensorflow-cpu")

    @staticmethod
    def layers(features: "keras.KerasTensor", parameters: Any) -> "keras.KerasTensor":
        """What lies between the features and the head.

        Args:
            features: scaled numbers and one-hot codes of the categories (rows, columns), nothing missing.
            parameters: an object of the family's `Parameters`.

        Returns:
            A tensor (rows, units), of which the head makes probabilities or numbers.
        """
        from ontime.model_training.keras_model import dense_layers

        return dense_layers(features, parameters)

    @classmethod
    def fit(cls, train: Rows, validation: Rows, setting: Setting) -> tuple[Self, History]:
        """Train with a checkpoint on the best validation loss.

        Returns:
            The fitted model and its history: losses by epoch.
        """
        from ontime.model_training.keras_model import fit_network

        model, history = fit_network(
            train,
            validation,
            setting.encoder,
            setting.parameters,
            setting.seed,
            setting.progress,
            setting.task,
            cls.layers,
        )
        return cls(model), history

    @classmethod
    def fit_all(cls, rows: Rows, setting: Setting, steps: int) -> Self:
        """Train for `steps` epochs."""
        from ontime.model_training.keras_model import fit_epochs

        return cls(
            fit_epochs(
                rows,
                setting.encoder,
                setting.parameters,
                setting.seed,
                steps,
                setting.progress,
                setting.task,
                cls.layers,
            )
        )

    @staticmethod
    def kept_steps(history: History) -> int:
        """The epoch with the least validation loss, whose weights are kept."""
        return int(min(history, key=validation_loss)["step"])

    def save(self, folder: Path) -> None:
        """Write architecture and weights."""
        from ontime.model_training.keras_model import save_network

        save_network(self.model, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved network."""
        from ontime.model_training.keras_model import load_network

        return cls(load_network(folder))

    def exported(self, columns: int) -> "onnx.ModelProto":
        """By Keras."""
        from ontime.model_training.keras_model import network_graph

        return network_graph(self.model, columns)

    def predict(self, matrix: Matrix) -> Outputs:
        """Probability of the event, or a number: float64 (rows,); or of each class: (rows, classes)."""
        from ontime.model_training.keras_model import network_outputs

        return network_outputs(self.model, matrix)
