"""Entry point of `ontime`: pins the process environment before it imports more, which would be imported twice."""

import atexit
import gc
import sys
from typing import Any

from ontime.common.environment import pin

NEW_OBJECTS = 100_000
"""Made between two runs of the garbage collector: Python's 700 cost a tenth of the time that large packages load in."""


def start() -> Any:
    """Run a command in the pinned environment."""
    pin()
    gc.set_threshold(NEW_OBJECTS)
    # nothing that is garbage at the end has to be found
    atexit.register(gc.freeze)
    from ontime.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(start())
