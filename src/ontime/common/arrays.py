"""Types of the arrays that stages work on, apart from the packages that fill them."""

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
"""Encoded rows: (rows, features)."""
Labels = npt.NDArray[np.int8]
"""Whether the event happened, 0 or 1: (rows,)."""
Probability = npt.NDArray[np.float64]
"""Probability of the event: (rows,)."""
Weights = npt.NDArray[np.float64]
"""What each row counts, none of them negative: (rows,)."""
Target = npt.NDArray[Any]
"""What a model learns to say: 0 or 1 as `Labels`, numbers of classes as int8, or numbers of float64: (rows,)."""
Outputs = npt.NDArray[np.float64]
"""What a model says of rows, by its task: the probability of the event, or the expected number: (rows,); of classes the
probability of each: (rows, classes)."""
