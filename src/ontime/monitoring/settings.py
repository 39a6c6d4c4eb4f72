"""The sections `monitor` and `retraining` of `params.yaml`."""

from ontime.common.params import Count, Positive, Section


class Monitor(Section):
    """How much an input may move: `k` times as far as on any day of the reference."""

    k: Positive


class Retraining(Section):
    """When a challenger is trained: `every_days` is the age of the served model's newest row."""

    every_days: Count
