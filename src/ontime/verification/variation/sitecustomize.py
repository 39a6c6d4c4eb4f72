"""Loaded by every Python process that `ontime verify` starts: another date, another order of directory listings."""

import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

_days = int(os.environ.get("ONTIME_VARIATION_DAYS", "0"))
_listing = os.environ.get("ONTIME_VARIATION_LISTING", "")
_listdir, _scandir = os.listdir, os.scandir


def _ordered(entries: list[Any], name: Callable[[Any], Any]) -> list[Any]:
    entries = sorted(entries, key=name, reverse=_listing == "reversed")
    if _listing == "shuffled":
        random.Random(os.getpid()).shuffle(entries)  # noqa: S311 - no secret depends on it
    return entries


class _Scan:
    """Directory entries in another order; a context manager and an iterator like the one it stands for."""

    def __init__(self, path: Any) -> None:
        with _scandir(path) as entries:
            self._entries = iter(_ordered(list(entries), lambda entry: entry.name))

    def __enter__(self) -> "_Scan":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def close(self) -> None:
        self._entries = iter(())


if _listing:
    vars(os)["listdir"] = lambda path=".": _ordered(_listdir(path), lambda name: name)
    vars(os)["scandir"] = lambda path=".": _Scan(path)

if _days:
    import time_machine

    time_machine.travel(time.time() + _days * 86400, tick=True).start()
