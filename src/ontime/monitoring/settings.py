"""The sections `monitor` and `retraining` of `params.yaml`."""

from typing import Annotated

from pydantic import Field

from ontime.common.params import Count, Positive, Section


class Monitor(Section):
    """What the daily checks decide by.

    `k`: how many times as far as on any day of the reference an input may move. `sample_rows`: rows of a day that are
    scored again and compared with the graph's features. `skew_share`: share of the compared rows in which a feature may
    differ from the graph's. `watermark_hours`: hours after the end of a day when its labels are taken as known.
    `sound_days`: an incident is over when its cause was absent on so many days in a row on which its check ran.
    """

    k: Positive
    sample_rows: Count
    skew_share: Annotated[float, Field(ge=0, lt=1)]
    watermark_hours: Annotated[float, Field(ge=0)]
    sound_days: Count


class Retraining(Section):
    """When a challenger is trained, and which rows judge it.

    `every_days`: age of the served model's newest row. `pause_days`: after a challenger was asked for, none is for so
    many days. `test_days` and, before them, `validation_days`: the last days before the watermark.
    """

    every_days: Count
    pause_days: Count
    validation_days: Count
    test_days: Count
