"""What the columns of a table are, from all their values: the types of a schema, for a person to edit.

Nothing is lost by a type found here: digits with a leading zero and whole numbers beyond 64 bits stay text. A column of
which nearly all values are of one type is not decided on: it is told, for a person to say.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ontime.datasets.csv_form import CsvForm
from ontime.datasets.schema import FieldType
from ontime.datasets.values import (
    FALSE,
    LARGEST_EXACT,
    NATURAL,
    TRUE,
    Array,
    Flags,
    flags,
    known,
    matches,
    number_pattern,
    stripped,
    times_of,
    without,
)

MISSING_WORDS = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "none", "?", "-", ".")
"""Words that stand for no value in a column whose other values are all numbers, times or booleans."""
NEARLY = 0.9
SAMPLE = 1000
LEAST_PROSE_ROWS, LEAST_DISTINCT, LEAST_WORDS = 20, 0.5, 6
"""What makes strings a text: so many rows, that share of different ones, and the median of their words."""
ISO_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?$"
COMPACT_DATE, COMPACT_FORMAT = r"^(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$", "%Y%m%d"
LIKE_DATE = r"^([0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}|[0-9]{4}[./][0-9]{1,2}[./][0-9]{1,2})\b"
CODE = r"^[+-]?0[0-9]+$"
SIGNS: tuple[dict[str, Any], ...] = (
    {"decimal": "."},
    {"decimal": ".", "thousands": ","},
    {"decimal": ","},
    {"decimal": ",", "thousands": "."},
    {"decimal": ".", "thousands": " "},
    {"decimal": ",", "thousands": " "},
    {"decimal": ".", "thousands": "'"},
)
WORDS: dict[str, str] = {"number": "numbers", "datetime": "dates", "boolean": "true or false"}


@dataclass
class Inferred:
    """Plain fields of a schema, what was decided on the way, and what a person has to decide, a line each."""

    fields: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def infer(
    columns: Mapping[str, Array],
    form: CsvForm | None = None,
    declared: Mapping[str, dict[str, Any]] | None = None,
    missing: Sequence[str] = (),
    personal: Collection[str] = (),
    mixed: Collection[str] = (),
) -> Inferred:
    """The fields of a schema for natural columns (`values.natural`), `required` where nothing is missing.

    A text of a file that has types, as parquet has, is a date or a text, whatever it looks like, but for a column of
    several types.

    Numbers get no bounds and texts no list of values: what a column may hold is for a person to say.

    Args:
        form: of a CSV file.
        declared: fields that are given, by column; missing: texts that stand for no value in any column.
        personal: columns to mark so; mixed: columns of several types, as texts.
    """
    found, declared = Inferred(), declared or {}
    for name, values in columns.items():
        if name in declared:
            content = declared[name]
        elif _is_text(values):
            written = form or (CsvForm() if name in mixed else None)
            content = {"name": name, **_of_texts(name, without(values, missing), written, found, name not in personal)}
        else:
            content = {"name": name, "type": _of_natural(values)}
        if name not in declared and content["type"] == "string" and _is_prose(without(values, missing)):
            content["text"] = True
            found.notes.append(
                f"{name}: text of many words, from which a model learns; if it tells of persons, --personal {name} "
                f"leaves it out; --type {name}=string takes it as a category"
            )
        words = [*content.get("missingValues", []), *missing]
        there = without(values, words) if _is_text(values) else values
        if "constraints" not in content and not there.null_count:
            content["constraints"] = {"required": True}
        if name in personal:
            content["personal"] = True
        found.fields.append(content)
    return found


def _is_prose(values: Array) -> bool:
    """Whether strings are mostly different ones of many words each, such as reviews."""
    there = values.drop_null()
    if len(there) < LEAST_PROSE_ROWS or pc.count_distinct(there).as_py() < len(there) * LEAST_DISTINCT:
        return False
    some = there.take(np.linspace(0, len(there) - 1, min(SAMPLE, len(there))).astype(np.int64))
    return float(np.median(pc.list_value_length(pc.utf8_split_whitespace(some)).to_numpy())) >= LEAST_WORDS


def _is_text(values: Array) -> bool:
    return bool(pa.types.is_large_string(values.type))


def _of_natural(values: Array) -> FieldType:
    (kind,) = (name for name, arrow in NATURAL.items() if arrow == values.type)
    if kind == "number":
        numbers = values.drop_null().to_numpy()
        if len(numbers) and (np.abs(numbers) < LARGEST_EXACT).all() and (numbers == np.round(numbers)).all():
            return "integer"
    return kind  # type: ignore[return-value]


def _of_texts(name: str, values: Array, form: CsvForm | None, found: Inferred, shown: bool) -> dict[str, Any]:
    """Type, format and missing words of a column of texts, with what is to be said of it."""
    cells = stripped(values)
    texts, rows = cells.drop_null(), np.flatnonzero(known(cells)) + 1
    if not len(texts):
        return {"type": "number" if form and values.null_count == len(values) else "string"}
    for kind in WORDS if form else ("datetime",):
        fits = _fits(texts, kind, form or CsvForm())
        others = texts.filter(pa.array(~fits)).unique().to_pylist()
        if fits.any() and set(others) <= set(MISSING_WORDS):
            content = _exact(name, texts.filter(pa.array(fits)), kind, form or CsvForm(), found)
            if others and content["type"] != "string":
                count = len(texts) - int(fits.sum())
                found.notes.append(f"{name}: {count} of {len(texts)} values read as missing: {', '.join(others)}")
                content["missingValues"] = others
            return content
        if kind == "number" and any(re.match(CODE, text) for text in others):
            found.notes.append(f"{name}: read as text, so that leading zeros stay")
            return {"type": "string"}
        if fits.mean() >= NEARLY:
            place = int(np.flatnonzero(~fits)[0])
            example = f"{texts[place].as_py()!r:.40} in row {rows[place]}" if shown else f"that in row {rows[place]}"
            found.problems.append(
                f"{name}: {int(fits.sum())} of {len(texts)} values are {WORDS[kind]}, not {example}; correct the "
                f"others, or say what they are: --missing WORD, or --type {name}=string to take all as text"
            )
            return {"type": "string"}
    if form:
        _check_other_signs(name, texts, form, found, shown)
    if matches(texts, LIKE_DATE).all():
        found.notes.append(f"{name}: read as text; if it is a date, say how: --type {name}=datetime:%d/%m/%Y")
    return {"type": "string"}


def _fits(texts: Array, kind: str, form: CsvForm) -> Flags:
    if kind == "boolean":
        return flags(pc.is_in(texts, value_set=pa.array((*TRUE, *FALSE), texts.type)))
    if kind == "number":
        return matches(texts, number_pattern(form, codes=False))
    written = matches(texts, ISO_DATE)
    if written.any():
        written &= times_of(texts, None).notna().to_numpy()
    return written


def _exact(name: str, texts: Array, kind: str, form: CsvForm, found: Inferred) -> dict[str, Any]:
    """The type of texts that are all of one kind."""
    if kind != "number":
        return {"type": kind}
    plain = pc.replace_substring(texts, form.thousands, "") if form.thousands else texts
    if not matches(plain, "^[+-]?[0-9]+$").all():
        # digits with nothing but zeros after the sign, as in 1.0, are whole numbers
        whole = matches(plain, f"^[+-]?[0-9]{{1,15}}(?:{re.escape(form.decimal)}0*)?$").all()
        return {"type": "integer" if whole else "number"}
    if matches(texts, COMPACT_DATE).all() and times_of(texts, COMPACT_FORMAT).notna().all():
        found.notes.append(f"{name}: read as dates of the form {COMPACT_FORMAT}")
        return {"type": "datetime", "format": COMPACT_FORMAT}
    long = plain.filter(pa.array(matches(plain, "^[+-]?[0-9]{19,}$"))).unique().to_pylist()
    if any(not -(1 << 63) <= int(text) < 1 << 63 for text in long):
        found.notes.append(f"{name}: read as text, as whole numbers of more than 64 bits")
        return {"type": "string"}
    return {"type": "integer"}


def _check_other_signs(name: str, texts: Array, form: CsvForm, found: Inferred, shown: bool) -> None:
    """Tell of a column whose values are numbers with other signs than those of the file."""
    for signs in SIGNS:
        fits = matches(texts, number_pattern(CsvForm(**signs), codes=False))
        if fits.mean() >= NEARLY:
            example = f", for example {texts[int(np.flatnonzero(fits)[0])].as_py()!r:.40}" if shown else ""
            words = " and ".join(f"the {what} sign {sign!r}" for what, sign in signs.items())
            found.problems.append(
                f"{name}: {int(fits.sum())} of {len(texts)} values are numbers with {words}{example}, but other "
                f"columns have {form.decimal!r}; write all in one way, or --type {name}=string to take them as text"
            )
            return


def find_signs(columns: Sequence[Array], delimiter: str) -> dict[str, Any]:
    """Decimal and thousands sign of texts: those by which most columns are numbers.

    Raises:
        ValueError: as many columns are numbers with a comma for decimals as with a comma for thousands.
    """
    # what is no number with any signs is not looked at again
    texts = [found for values in columns if len(found := stripped(values).drop_null())]
    counts = []
    for signs in SIGNS:
        pattern = number_pattern(CsvForm(delimiter=delimiter, **signs), codes=False)
        counts.append(sum(_all_match(values, pattern) for values in texts))
    best = [signs for signs, count in zip(SIGNS, counts, strict=True) if count == max(counts)]
    if SIGNS[0] in best:
        return dict(SIGNS[0])
    if SIGNS[1] in best and SIGNS[2] in best:
        raise ValueError(
            "a comma may be the decimal or the thousands sign of its numbers; say which: "
            "--csv decimal=, or --csv thousands=,"
        )
    return dict(best[0])


def _all_match(texts: Array, pattern: str) -> bool:
    words = pa.array(MISSING_WORDS, texts.type)

    def match(part: Array) -> bool:
        fits = matches(part, pattern)
        return bool(fits.any() and (fits | flags(pc.is_in(part, value_set=words))).all())

    return match(texts.slice(0, SAMPLE)) and match(texts)
