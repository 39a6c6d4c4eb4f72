"""Types of the arrays that stages work on, apart from the packages that fill them."""

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
"""Encoded rows: (rows, features)."""
Labels = npt.NDArray[np.int8]
"""Whether the event happened, 0 or 1: (rows,)."""
Probability = npt.NDArray[np.float64]
"""Probability of the event: (rows,)."""
