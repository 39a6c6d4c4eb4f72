"""Signed records of who was forgotten, without saying who: `data/forgotten/TIME/record.json` and its signature.

Names and keys of rows are there as HMAC-SHA256 with a secret that comes from the private key of `ontime sign`: without
that key nobody can try names. With another key, rows of earlier records are no longer recognised.
"""

import hashlib
import hmac
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ontime.common.errors import OntimeError
from ontime.common.files import listed, read_json, write_json
from ontime.common.params import Section, check
from ontime.model_deployment.inference.signing import KEY_ENDING, PRIVATE_KEY, Signer, sign_folder, verify

FOLDER = Path("data/forgotten")
RECORD = "record.json"
DOMAIN = b"ontime forget\0"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(Section):
    """What was removed.

    `rows` has the digests of the removed rows' keys by the digest of the subject; `counts` how many rows or objects
    were removed by place; `objects` the MD5s of objects that have the subject in them, `derived` those of what was made
    from them, `versions` those of tables by their address, `images` the addresses of images, and `runs` the ids of
    MLflow's runs, all to be removed from `remove_from` on, an ISO 8601 date.
    """

    what: Literal["forgotten", "older versions removed"]
    time: str
    rows: dict[Digest, list[Digest]] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    objects: list[str] = Field(default_factory=list)
    derived: list[str] = Field(default_factory=list)
    versions: dict[str, list[str]] = Field(default_factory=dict)
    images: list[str] = Field(default_factory=list)
    runs: list[str] = Field(default_factory=list)
    remove_from: str | None = None
    of: str | None = None


class Digests:
    """Keyed digests of names and rows."""

    def __init__(self, private_key: Path = PRIVATE_KEY) -> None:
        try:
            self._secret = hashlib.sha256(DOMAIN + private_key.read_bytes()).digest()
        except FileNotFoundError:
            raise OntimeError(f"{private_key}: not found; make a key with `ontime sign --new-key`") from None

    def of(self, subject: str, row: str = "") -> str:
        """Of a subject, or of a row of a subject by its key."""
        return hmac.new(self._secret, f"{subject}\0{row}".encode(), "sha256").hexdigest()


def write_record(record: Record, private_key: Path, folder: Path = FOLDER) -> Path:
    """Write and sign a record; the folder that has it."""
    target = folder / record.time.replace(":", "").replace("+0000", "Z")
    write_json(target / RECORD, record.model_dump(exclude_defaults=True))
    sign_folder(target, target.with_suffix(".sig"), private_key)
    return target


def read_records(private_key: Path, folder: Path = FOLDER) -> dict[str, Record]:
    """All records by the names of their folders, each verified: by the public half of the key or, where that is not at
    hand, as in a scheduled job, by the one beside the record in git.

    Raises:
        OntimeError: one was changed or is signed by another key.
    """
    found = {}
    own = private_key.with_suffix(KEY_ENDING)
    for path in listed(folder, f"*/{RECORD}") if folder.is_dir() else []:
        public = own if own.exists() else path.parent.with_suffix(KEY_ENDING)
        verify(path.parent, path.parent.with_suffix(".sig"), Signer(public))
        found[path.parent.name] = check(Record, read_json(path), str(path))
    return found


def known_rows(records: Collection[Record], digests: Digests, subjects: Collection[str]) -> dict[str, set[str]]:
    """Digests of the rows that were removed of each of the subjects, by subject."""
    rows: dict[str, set[str]] = {}
    for subject in subjects:
        name = digests.of(subject)
        rows[subject] = {row for record in records for row in record.rows.get(name, [])}
    return rows


def forgotten_at(records: Mapping[str, Record], subjects: Collection[str], private_key: Path) -> float | None:
    """When the last record that names one of the subjects was written, in seconds since 1970; None if there is none."""
    if not records:
        return None
    digests = Digests(private_key)
    names = {digests.of(subject) for subject in subjects}
    times = [record.time for record in records.values() if names & record.rows.keys()]
    return datetime.fromisoformat(max(times)).timestamp() if times else None


def now() -> datetime:
    """The time of a record, to the microsecond, so that no two have the same."""
    return datetime.now(UTC)


def remove_from(time: datetime, days: int) -> date:
    """When older versions are removed."""
    return time.date() + timedelta(days=days)
