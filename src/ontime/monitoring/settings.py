"""The section `monitor` of `params.yaml`."""

from ontime.common.params import Positive, Section


class Monitor(Section):
    """`k`: how many times as far as on any day of the reference an input may move."""

    k: Positive
