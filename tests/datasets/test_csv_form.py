"""How a text file is written is found from it, and a row that does not match the names stops the reading."""

import pytest

from ontime.common.errors import OntimeError
from ontime.common.params import check
from ontime.datasets.csv_form import CsvForm, find_encoding, find_separators, read_cells
from ontime.datasets.reader import read_columns
from tests.own_tables import content_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n", (",", '"')),
        ("a;b\n0,5;1\n1,5;2\n", (";", '"')),
        ("a\tb\nx, y\t2\n", ("\t", '"')),
        ("a|b|c\n1|2|3\n", ("|", '"')),
        ("a\n1\n", (",", '"')),
        ("'a';'b'\n'x;y';'2'\n", (";", "'")),
        ('a,b\n"x;1\ny;2",2\n', (",", '"')),
        ("it's,b\n1,2\n", (",", '"')),
        # rows of other lengths: by the names
        ("a;b;c\n1;2;3;4\n", (";", '"')),
    ],
)
def test_delimiter_and_quote_are_found(text: str, expected: tuple[str, str]) -> None:
    assert find_separators(text) == expected


def test_a_head_that_is_cut_in_a_row_does_not_mislead() -> None:
    row = "x" * 100 + ";2,5\n"
    assert find_separators("a;b\n" + row * 20_000) == (";", '"')


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_is_found_and_the_text_is_the_same(encoding: str) -> None:
    data = "stadt,n\nZürich,1\nGenève,2\n".encode(encoding)
    columns = read_columns(content_of(data), "t.csv")
    assert columns.found["stadt"].to_pylist() == ["Zürich", "Genève"]
    assert columns.form is not None
    assert columns.form.encoding == encoding.removesuffix("-sig")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(OntimeError, match=r"no text in UTF-8 or Windows-1252; save it as UTF-8, or name it"):
        find_encoding(b"a,b\n\x00\x81\xff,1\n")
    with pytest.raises(OntimeError, match=r"t\.csv: not readable: .*; data\.options\.csv\.encoding says utf-16"):
        read_columns(content_of(b"abc"), "t.csv", {"encoding": "utf-16"})


@pytest.mark.parametrize(
    ("values", "decimal", "thousands"),
    [
        (["0.5", "1,234.5"], ".", ","),
        (["0,5", "12"], ",", None),
        (["0,5", "1.234,5"], ",", "."),
        (["0.5", "1 234"], ".", " "),
        (["1'234.5", "2"], ".", "'"),
        (["1,234,567", "2"], ".", ","),
        (["a,5", "b"], ".", None),
        (["1,5", "b"], ".", None),
        (["0,5", "NA"], ",", None),
    ],
)
def test_the_signs_of_numbers_are_found(values: list[str], decimal: str, thousands: str | None) -> None:
    form = read_columns(content_of("\n".join(["a;b", *(f"{value};x" for value in values)]).encode()), "t.csv").form
    assert form is not None
    assert (form.decimal, form.thousands) == (decimal, thousands)


def test_a_comma_that_may_be_either_sign_is_for_a_person_to_name() -> None:
    data = b"a;b\n1,234;x\n5,678;y\n"
    with pytest.raises(OntimeError, match=r"may be the decimal or the thousands sign .*--csv decimal=, or --csv thou"):
        read_columns(content_of(data), "t.csv")
    form = read_columns(content_of(data), "t.csv", {"thousands": ","}).form
    assert form is not None
    assert (form.decimal, form.thousands) == (".", ",")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a,b\n1,2,3\n", r"line 2 has 3 values under 2 names"),
        (b"a,b\n1,2\n1\n", r"line 3 has 1 value under 2 names"),
        (b"a,b\n1,2,\n3,4,\n", r"line 2 has 3 values under 2 names"),
        (b'a,b\n"x\ny",2\n\n1,2,3\n', r"line 5 has 3 values under 2 names"),
        (b'a,b\n1,2\n"open,1\n', r"line 3 has 1 value under 2 names"),
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (b"a,b\n", "the table has no rows"),
        (b"a,b,a\n1,2,3\n", "column a is there twice"),
    ],
)
def test_a_table_that_does_not_fit_its_names_is_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(OntimeError, match=reason) as error:
        read_columns(content_of(data), "t.csv")
    assert str(error.value).startswith("t.csv: ")
    assert "\n" not in str(error.value)


def test_cells_are_texts_and_only_an_empty_one_is_missing() -> None:
    names, table = read_cells(b'a,b\r\n1,\r\n"",NA\r\n"x ""y""\n", \r\n', CsvForm())
    assert names == ["a", "b"]
    assert table.columns[0].to_pylist() == ["1", None, 'x "y"\n']
    assert table.columns[1].to_pylist() == [None, "NA", " "]


def test_a_column_without_a_name_is_left_out_and_told() -> None:
    columns = read_columns(content_of(b",a\n0,x\n1,y\n"), "t.csv")
    assert list(columns.found) == ["a"]
    assert columns.notes == ["left out: 1 column without a name"]


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"delimiter": ",,"}, "delimiter"),
        ({"encoding": "klingon"}, "no encoding klingon"),
        ({"decimal": ";"}, "decimal"),
        ({"decimal": ",", "thousands": ","}, "must be two signs"),
        ({"separator": ";"}, "unknown key"),
    ],
)
def test_a_form_that_is_none_is_one_line(form: dict[str, str], reason: str) -> None:
    with pytest.raises(OntimeError, match=reason):
        check(CsvForm, form, "here")
