"""The rows of a part of the data as models see them: encoded, with labels."""

from pathlib import Path

import numpy as np
import pandas as pd

from ontime.common import paths
from ontime.common.arrays import Labels, Matrix
from ontime.common.files import column_names, read_json, read_parquet
from ontime.common.layout import TARGET, own_in
from ontime.encoder import Encoder


def load_encoder(checkout: Path = Path()) -> Encoder:
    """The encoder of `vocabulary.json`."""
    return Encoder.from_vocabulary(read_json(checkout / paths.VOCABULARY))


def load_rows(part: str, encoder: Encoder, checkout: Path = Path()) -> tuple[Matrix, Labels]:
    """Encoded matrix float32 (rows, features) and labels int8 (rows,) of `train`, `validation` or `test`."""
    path = checkout / paths.split_rows(part)
    target = own_in(TARGET, column_names(path))
    return encoded(read_parquet(path, columns=[*encoder.features, target]), encoder)


def encoded(rows: pd.DataFrame, encoder: Encoder) -> tuple[Matrix, Labels]:
    """Encoded matrix float32 (rows, features) and labels int8 (rows,) of labelled rows."""
    columns = {name: rows[name].to_numpy() for name in encoder.features}
    return encoder.transform(columns), rows[own_in(TARGET, rows.columns)].to_numpy(dtype=np.int8)
