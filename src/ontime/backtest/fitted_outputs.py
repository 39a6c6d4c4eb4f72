"""What a model that is fitted on some rows says of others."""

import sys

import numpy as np
import numpy.typing as npt
import pandas as pd

from ontime.common.layout import Layout
from ontime.common.weights import weights_in
from ontime.data_processing.split import vocabulary_of
from ontime.encoder import Encoder
from ontime.model_training.recipe import Recipe
from ontime.model_training.rows import encoded, fit_rows


def fitted_outputs(
    recipe: Recipe, fitted: pd.DataFrame, asked: pd.DataFrame, layout: Layout, least_rows: int
) -> npt.NDArray[np.float32]:
    """Outputs (rows,), or of classes (rows, classes), for the rows that are asked, by a model of the `fitted` rows.

    The vocabulary is that of the fitted rows as well: the order of its categories tells of their targets.

    Args:
        least_rows: categories with fewer of the fitted rows count as unknown.
    """
    encoder = Encoder.from_vocabulary(vocabulary_of(fitted, fitted, layout, least_rows, recipe.task))
    rows = fit_rows(*encoded(fitted, encoder), weights_in(fitted, layout.weight))
    model = recipe.fit_all(rows, encoder, sys.stderr.isatty())
    return model.predict(encoded(asked, encoder)[0]).astype(np.float32)
