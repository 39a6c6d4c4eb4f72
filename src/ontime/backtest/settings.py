"""The section `retraining` of params.yaml: when a challenger is trained."""

from typing import Literal

from ontime.common.params import Count, Section

PolicyName = Literal["never", "schedule", "label_alarm", "challenger", "significant_challenger"]


class Retraining(Section):
    """The policy that `ontime backtest` found best, and the days between two challengers."""

    policy: PolicyName
    every_days: Count
