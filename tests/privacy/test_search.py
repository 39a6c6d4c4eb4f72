"""Somebody is found in every kind of file, and nobody else is."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from ontime.privacy.search import Search, names_of

PERSON, OTHER = "ada-7311", "bob-1000"
ROWS = pd.DataFrame({"visit": [1, 2, 3], "person": [OTHER, PERSON, OTHER], "size": [1.0, 2.5, 7311.0]})


def search(*names: str, subject: str = "person", rows: frozenset[str] = frozenset()) -> Search:
    return Search(names_of(names), subject, ["visit"], rows.__contains__)


def parquet(frame: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.to_parquet(stream, index=False)
    return stream.getvalue()


def archive(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("inside", content)
    return stream.getvalue()


def csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def semicolons(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, sep=";").encode()


def wide(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, sep="\t").encode("utf-16")


def lines(frame: pd.DataFrame) -> bytes:
    return frame.to_json(orient="records", lines=True).encode()


WRITERS = [parquet, csv, semicolons, wide, lines]


@pytest.mark.parametrize(
    "write",
    [*WRITERS, lambda frame: gzip.compress(csv(frame)), lambda frame: archive(parquet(frame))],
)
@pytest.mark.parametrize("name", ["person", "renamed"])
def test_a_copy_is_found_whatever_its_form_and_its_column(write: Callable[[pd.DataFrame], bytes], name: str) -> None:
    content = write(ROWS.rename(columns={"person": name}))
    assert search(PERSON).found_in(content)
    assert not search("ada-73").found_in(content)
    assert not search("7311-ada").found_in(content)


@pytest.mark.parametrize("write", WRITERS)
def test_a_name_of_digits_is_looked_for_in_its_columns_alone(write: Callable[[pd.DataFrame], bytes]) -> None:
    frame = ROWS.assign(person=[10, 73, 11])
    assert search("73").found_in(write(frame))
    for other in ("7311", "7", "3", "25"):
        assert not search(other).found_in(write(frame))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_a_name_with_accents_is_found_in_each_encoding_that_a_table_may_have(encoding: str) -> None:
    text = "visit;person\n1;Zoë Müller\n2;Bob\n".encode(encoding)
    assert search("Zoë Müller").found_in(text)
    assert not search("Zoé Müller", "Zoe Muller").found_in(text)


def test_numbers_with_missing_ones_beside_them_are_names_too() -> None:
    assert search("73").found_in(parquet(ROWS.assign(person=[10, 73, np.nan])))


@pytest.mark.parametrize("write", WRITERS)
def test_a_row_is_found_by_its_key_where_the_person_is_not_named(write: Callable[[pd.DataFrame], bytes]) -> None:
    log = pd.DataFrame({"key": ["1", "2"], "probability": [0.1, 0.2]})
    assert search(PERSON, rows=frozenset(["2"])).found_in(write(log))
    assert not search(PERSON, rows=frozenset(["3"])).found_in(write(log))
    features = ROWS[["visit", "size"]]
    assert search(PERSON, rows=frozenset(["3"])).found_in(write(features))
    assert not search(PERSON, rows=frozenset(["4"])).found_in(write(features))


def test_a_person_in_the_key_is_found_in_keys_that_the_table_never_had() -> None:
    by_person = Search(names_of(["73"]), "person", ["person", "day"])
    assert list(by_person.rows_of(pd.DataFrame({"key": ["73/mon", "7/73", "73", None]}))) == [True, False, False, False]


def test_bytes_that_are_no_text_are_searched_and_short_names_are_not_found_there_by_chance() -> None:
    binary = bytes(range(256)) * 4
    assert search(PERSON).found_in(binary + b"\0" + PERSON.encode() + b"\0")
    assert not search("b").found_in(binary)
    assert search("b").found_in(b"a b c")


def test_a_mention_in_another_row_is_found_but_is_not_their_row() -> None:
    frame = ROWS.assign(note=["", "", f"sent by {PERSON}"])
    assert list(search(PERSON).rows_of(frame)) == [False, True, False]
    assert search(PERSON).found_in(parquet(frame[frame["person"] != PERSON]))


def test_what_ends_too_early_is_searched_as_bytes() -> None:
    assert search(PERSON).found_in(b"PAR1" + json.dumps([PERSON]).encode() + b"PAR1")
    assert not search(PERSON).found_in(gzip.compress(csv(ROWS))[:-20])
