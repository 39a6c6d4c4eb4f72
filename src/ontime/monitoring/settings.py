"""The sections `monitor` and `retraining` of `params.yaml`."""

from typing import Annotated

from pydantic import Field

from ontime.common.params import Count, Positive, Section


class Monitor(Section):
    """What the daily checks decide by.

    `k`: how many times as far as on any day of the reference an input may move. `sample_rows`: rows of a day that are
    scored again and compared with the graph's features. `skew_share`: share of the compared rows in which a feature may
    differ from the graph's. `watermark_hours`: after the end of a day (UTC), when its labels are taken as known.
    """

    k: Positive
    sample_rows: Count
    skew_share: Annotated[float, Field(ge=0, lt=1)]
    watermark_hours: Annotated[float, Field(ge=0)]


class Retraining(Section):
    """When a challenger is trained: `every_days` is the age of the served model's newest row."""

    every_days: Count
