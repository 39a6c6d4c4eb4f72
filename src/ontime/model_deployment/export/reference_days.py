"""The reference that a champion takes with it: its training and validation rows, counted by day."""

import numpy as np

from ontime.common import paths
from ontime.common.files import read_parquet
from ontime.encoder import Encoder
from ontime.model_deployment.export.profile import Bins, quantile_edges
from ontime.model_deployment.export.reference import Reference, make_reference
from ontime.model_training.families import Predict
from ontime.model_training.rows import load_rows

PARTS = ("train", "validation")


def reference_of(encoder: Encoder, predict: Predict, time: str) -> Reference:
    """Count training and validation rows and their probabilities by day, without the first and the last day.

    Args:
        time: the column of UTC times; rows without one are left out.
    """
    matrix = np.concatenate([load_rows(part, encoder)[0] for part in PARTS])
    times = [read_parquet(paths.split_rows(part), columns=[time])[time] for part in PARTS]
    day = np.concatenate([one.to_numpy(dtype="datetime64[D]") for one in times])
    matrix, day = matrix[~np.isnat(day)], day[~np.isnat(day)]
    probability = predict(matrix)
    bins = Bins(
        {name: quantile_edges(matrix[:, column]) for column, name in enumerate(encoder.numbers)},
        dict(zip(encoder.categories, encoder.category_sizes, strict=True)),
        quantile_edges(probability),
    )
    days, group = np.unique(day, return_inverse=True)
    counts = bins.count(matrix, probability, group.astype(np.int64), len(days))
    # the first and the last day may be cut
    return make_reference(bins, [str(one) for one in days[1:-1]], counts[1:-1])
