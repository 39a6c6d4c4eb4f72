"""A signed record: it says that somebody was forgotten to who has the key and the name, and nothing to anybody else."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.signing import make_key
from ontime.privacy.record import RECORD, Digests, Record, known_rows, now, read_records, write_record

PERSON = "ada-7311"


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Path]:
    """A private key, and the folder with a record."""
    key = tmp_path / "model.key"
    make_key(key)
    digests = Digests(key)
    rows = {digests.of(PERSON): [digests.of(PERSON, "41")]}
    record = Record(what="forgotten", time=now().isoformat(), rows=rows, objects=["ab" * 16], remove_from="2024-01-01")
    write_record(record, key, tmp_path / "forgotten")
    return key, tmp_path / "forgotten"


def test_it_names_nobody_and_whoever_has_the_key_recognises_the_rows(written: tuple[Path, Path]) -> None:
    key, folder = written
    (path,) = folder.glob(f"*/{RECORD}")
    assert PERSON not in path.read_text()
    records = list(read_records(key, folder).values())
    digests = Digests(key)
    assert known_rows(records, digests, [PERSON, "bob"]) == {PERSON: {digests.of(PERSON, "41")}, "bob": set()}


def test_another_key_recognises_nobody(written: tuple[Path, Path], tmp_path: Path) -> None:
    key, folder = written
    other = tmp_path / "other.key"
    make_key(other)
    assert known_rows(list(read_records(key, folder).values()), Digests(other), [PERSON]) == {PERSON: set()}
    with pytest.raises(OntimeError, match="not signed by"):
        read_records(other, folder)


def test_a_record_that_was_changed_is_refused(written: tuple[Path, Path]) -> None:
    key, folder = written
    (path,) = folder.glob(f"*/{RECORD}")
    path.write_text(path.read_text().replace("2024-01-01", "2034-01-01"))
    with pytest.raises(OntimeError, match="not what was signed"):
        read_records(key, folder)


def test_without_a_key_it_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(OntimeError, match=r"not found; make a key with `ontime sign --new-key`$"):
        Digests(tmp_path / "model.key")
