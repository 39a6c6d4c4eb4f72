"""A split in which no group, such as a patient or a customer, has rows in two parts."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def group_parts(
    groups: "pd.Series[Any]", labels: "pd.Series[Any]", shares: Mapping[str, float], seed: int
) -> npt.NDArray[np.object_]:
    """Name of the part that each row belongs to: the same for all rows of a group.

    Groups come in the order of a hash of the seed and their value, so that the order of the rows is of no account, and
    each goes to the part that still lacks most of its share of the labelled rows. Groups with an event and those
    without are divided apart, so that each part has both where they are many.

    Args:
        groups: value of each row (rows,), or missing; labels: 0, 1 or missing (rows,).
        shares: share of the rows by part.

    Returns:
        Array (rows,) of the names of `shares`; empty where a row has no group.
    """
    codes, values = pd.factorize(groups)
    labelled = labels.notna().to_numpy() & (codes >= 0)
    event = (labels == 1).fillna(False).to_numpy(dtype=bool) & labelled
    sizes, events = (np.bincount(codes[chosen], minlength=len(values)) for chosen in (labelled, event))
    keys = [hashlib.sha256(f"{seed}/{value}".encode()).digest() for value in values]
    names = np.array([*shares, ""], dtype=object)
    part = np.full(len(values) + 1, len(shares))
    for of_stratum in (events > 0, events == 0):
        members = sorted(np.flatnonzero(of_stratum), key=keys.__getitem__)
        lacking = np.array(list(shares.values())) * sizes[of_stratum].sum()
        for member in members:
            part[member] = int(np.argmax(lacking))
            lacking[part[member]] -= sizes[member]
    # a missing group has code -1, which is the last one
    found: npt.NDArray[np.object_] = names[part[codes]]
    return found
