"""A network of residual blocks: two dense layers, whose output is added to their input.

After Gorishniy et al. 2021, "Revisiting deep learning models for tabular data", without its normalization.
"""

from typing import TYPE_CHECKING, Any

from ontime.model_training.neural_network import NeuralNetwork

if TYPE_CHECKING:
    import keras


class Residual(NeuralNetwork):
    """As many blocks as `hidden_units` has widths, on a stem as wide as the first of them."""

    @staticmethod
    def layers(features: "keras.KerasTensor", parameters: Any) -> "keras.KerasTensor":
        """What lies between features (rows, columns) and head: a tensor (rows, units)."""
        # here, so that no command but those that train or ask the network loads TensorFlow
        import keras

        width = parameters.hidden_units[0]
        hidden = keras.layers.Dense(width)(features)
        for units in parameters.hidden_units:
            inside = keras.layers.Dense(units, activation="relu")(hidden)
            hidden = keras.layers.Add()([hidden, keras.layers.Dense(width)(inside)])
        return keras.layers.Activation("relu")(hidden)
