"""The files `OUTPUT/day/DAY.json`: what the checks of a day found, and what follows from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ontime.common.errors import OntimeError, one_line
from ontime.common.files import write_json
from ontime.data_processing.split import Day
from ontime.monitoring.days import Finding

FOLDER = "day"
MOST_BYTES = 1_000_000
QUARANTINING = ("inputs", "replay", "skew")
"""Checks whose alarm says that the day's data are not to be trusted."""
LABELS = "labels"


CheckName = Annotated[str, Field(pattern=r"^[a-z]{1,20}$")]
Reason = Literal["schedule", "labels"]
"""Why a challenger is to be trained."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Found(_Record):
    """An alarm: its cause, and the number that was beyond its limit."""

    cause: Annotated[str, Field(min_length=1, max_length=500)]
    found: float
    limit: float


class DayRecord(_Record):
    """One day: the alarms of the checks that ran, why others did not, and what follows."""

    day: Day
    checks: dict[CheckName, list[Found]]
    skipped: dict[CheckName, str]
    quarantined: bool
    challenger: Reason | None


def found_of(findings: Sequence[Finding]) -> list[Found]:
    """The alarms of a check as they are kept."""
    return [Found(cause=one.cause, found=float(one.found), limit=float(one.limit)) for one in findings]


def write_day(output: Path, record: DayRecord) -> None:
    """Write the file of a day."""
    write_json(output / FOLDER / f"{record.day}.json", record.model_dump())


def read_days(output: Path, last: str | None = None) -> list[DayRecord]:
    """The days that were checked, oldest first, up to a last one.

    Raises:
        OntimeError: a file is not what `ontime monitor day` writes; it is data, which may come from another job.
    """
    found = []
    for path in sorted((output / FOLDER).glob("*.json")):
        if path.is_symlink() or path.stat().st_size > MOST_BYTES:
            raise OntimeError(f"{path}: a link, or larger than {MOST_BYTES:,} bytes; no file of `ontime monitor day`")
        try:
            record = DayRecord.model_validate_json(path.read_bytes())
        except ValueError as error:
            raise OntimeError(f"{path}: no file of `ontime monitor day`: {one_line(error)}") from None
        if record.day != path.stem:
            raise OntimeError(f"{path}: is of {record.day}")
        if last is None or record.day <= last:
            found.append(record)
    return found
