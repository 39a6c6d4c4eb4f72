"""The section `monitor` of `params.yaml`."""

from typing import Annotated

from pydantic import Field

from ontime.common.params import Count, Positive, Section


class Monitor(Section):
    """What the daily checks decide by.

    `k`: how many times as far as on any day of the reference an input may move. `sample_rows`: rows of a day that are
    scored again and compared with the graph's features. `skew_share`: share of the compared rows in which a feature may
    differ from the graph's.
    """

    k: Positive
    sample_rows: Count
    skew_share: Annotated[float, Field(ge=0, lt=1)]
