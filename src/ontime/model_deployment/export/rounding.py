"""Numbers as the reference and the daily checks keep them."""

from typing import Any


def rounded(number: Any) -> float:
    """A number with six significant digits: the last ones of a sum may differ between processors."""
    return float(f"{float(number):.6g}")
