"""Which dataset the graph is about, as `params.yaml` says it."""

from typing import Any

from ontime.common.params import Section


class Data(Section):
    """A package that `datasets.registry` names, or a table of one's own, and the options of that dataset."""

    source: str
    options: dict[str, Any]
