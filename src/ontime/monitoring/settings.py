"""The sections `monitor` and `retraining` of `params.yaml`."""

from ontime.common.params import Count, Positive, Section


class Monitor(Section):
    """What is an alarm, and when what it opened is over.

    `k`: how many times as far as on any day of the reference an input may move. `sound_days`: an incident is over when
    its cause was absent on so many days in a row on which its check ran.
    """

    k: Positive
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
