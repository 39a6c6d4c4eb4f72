"""The reference that a champion takes with it: the rows that were asked before its test, counted by day.

Rows without a label count too. The service is asked about every row, and on a day when few labels came, such as that of
a blizzard, the labelled rows alone are so unlike the others that no later fault would stand out.
"""

import numpy as np
import pandas as pd

from ontime.common import paths
from ontime.common.layout import Layout
from ontime.data_processing.split import Split, assign_parts, feature_rows
from ontime.encoder import Encoder
from ontime.model_deployment.export.profile import Bins, quantile_edges
from ontime.model_deployment.export.reference import Reference, make_reference
from ontime.model_training.families import Predict
from ontime.tasks.answers import one_number
from ontime.tasks.task import Task


def reference_of(
    encoder: Encoder, predict: Predict, layout: Layout, split: Split, asked_minutes_before: int, task: Task
) -> Reference | None:
    """Count the rows of the training and validation parts, and what is said of them, by the day when they were asked.

    The first and the last day are left out, because they may be cut; so are rows without a time, and what the
    split leaves out.

    Args:
        asked_minutes_before: how long before its time a row is asked about.

    Returns:
        None if the rows have no time.
    """
    if layout.time is None:
        return None
    rows = feature_rows(layout, split)
    part = assign_parts(rows, layout, split, task)
    rows = rows[np.isin(part, paths.FITTED_PARTS) & rows[layout.time].notna()]
    asked = rows[layout.time] - pd.Timedelta(minutes=asked_minutes_before)
    matrix = encoder.transform({name: rows[name].to_numpy() for name in encoder.features})
    outputs = one_number(predict(matrix))
    bins = Bins(
        {name: quantile_edges(matrix[:, column]) for column, name in enumerate(encoder.numbers)},
        dict(zip(encoder.categories, encoder.category_sizes, strict=True)),
        quantile_edges(outputs),
        {name: quantile_edges(matrix[:, column]) for column, name in enumerate(encoder.texts, encoder.coded.stop)},
    )
    days, group = np.unique(asked.to_numpy(dtype="datetime64[D]"), return_inverse=True)
    counts = bins.count(matrix, outputs, group.astype(np.int64), len(days))
    return make_reference(bins, [str(one) for one in days[1:-1]], counts[1:-1])
