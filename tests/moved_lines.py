"""A service's log, moved to the days that were replayed.

The service stamps its lines with the time that it is, and a replayed day takes seconds. A request id that begins with a
day, as in 2013-07-01/1, says which day the request stands for.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date

REQUEST_ID = re.compile(rb'"request_id":"(\d{4}-\d\d-\d\d)/')
STAMP = re.compile(rb'"time":"\d{4}-\d\d-\d\dT')


def moved(lines: Iterable[bytes], only: date | None = None) -> Iterator[bytes]:
    """The log's lines of replayed requests, of one day or of all, with the day's date in place of the one of writing.

    Lines of what others asked meanwhile are left out; nothing else of a line is touched.
    """
    wanted = None if only is None else str(only).encode()
    for line in lines:
        found = REQUEST_ID.search(line)
        if found is not None and wanted in (None, found[1]):
            yield STAMP.sub(b'"time":"' + found[1] + b"T", line, count=1)
