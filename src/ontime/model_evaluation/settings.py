"""The sections of `params.yaml` that say what is evaluated, and what mistakes cost."""

from ontime.common.params import Positive, Section


class Decision(Section):
    """What the two kinds of mistake cost, in one unit; the threshold minimises the sum on validation."""

    false_alarm_cost: Positive
    missed_event_cost: Positive


class Evaluate(Section):
    """Columns whose values are evaluated one by one, and the group whose past rate is a baseline."""

    slices: list[str]
    baseline_group: list[str]
