"""Raw tables against their schemas; a violation stops the graph.

In: `data/raw` and `data/schema`. Out: `data/processed/validation.json`: rows, missing values and ranges per table, and
of one's own table the `warnings`: columns to look at twice, such as a copy of the target.
Checks run by pandera, a partition at a time; keys are compared across all partitions of a table. No value of a column
that is marked personal is shown: neither an example nor an extreme.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click
import numpy as np
import pandas as pd

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import partitions, read_parquet, write_json
from ontime.common.params import check, load_section
from ontime.common.weights import weight_fault
from ontime.data_processing.leaks import table_suspicions
from ontime.datasets.schema import Column, TableSchema, load_schemas
from ontime.datasets.source import Data
from ontime.datasets.table import PARTITIONED_TABLE, Options

# pandera imports pyspark where that is installed, which warns of pandas 3
warnings.filterwarnings("ignore", category=FutureWarning, module="pyspark")
import pandera.pandas as pa  # noqa: E402

SAMPLES = 3
HIDDEN = "(personal)"
"""Shown in place of a value of a personal column."""


@click.command(name="validate")
def command() -> None:
    """Check the raw tables against data/schema and write what they hold."""
    schemas = load_schemas(paths.SCHEMA)
    reports, problems = {}, []
    for table, schema in schemas.items():
        frames = {name: read_parquet(paths.RAW / table / f"{name}.parquet") for name in partitions(paths.RAW / table)}
        found = violations(frames, schema)
        if table == PARTITIONED_TABLE:
            found = with_weight(found, frames)
        problems += [f"{table}.{problem}" for problem in found]
        reports[table] = describe(list(frames.values()), schema) if not problems else {}
        if table == PARTITIONED_TABLE and not problems:
            reports[table] |= warnings_of(frames.values(), schemas)
    if problems:
        raise OntimeError("\nerror: ".join(problems))
    write_json(paths.VALIDATION_REPORT, reports)


def with_weight(problems: list[str], frames: Mapping[str, pd.DataFrame]) -> list[str]:
    """The broken rules of one's own table; of a column of weights one line says all that is wrong with its numbers."""
    name = check(Options, load_section("data", Data).options, "params.yaml: data.options").weight
    if name is None or not all(
        name in frame and pd.api.types.is_numeric_dtype(frame[name]) for frame in frames.values()
    ):
        return problems
    fault = weight_fault(frames, name)
    return [fault, *(line for line in problems if not line.startswith(f"{name}: "))] if fault else problems


def warnings_of(parts: Iterable[pd.DataFrame], schemas: Mapping[str, TableSchema]) -> dict[str, list[str]]:
    """`warnings` about the columns of one's own table, whose partitions are given; nothing where there are none."""
    options = check(Options, load_section("data", Data).options, "params.yaml: data.options")
    found = table_suspicions(parts, options, schemas)
    return {"warnings": found} if found else {}


def violations(frames: dict[str, pd.DataFrame], schema: TableSchema) -> list[str]:
    """One line per broken rule: column, rule, count and a sample.

    Args:
        frames: the table's rows by partition.
    """
    if not sum(map(len, frames.values())):
        return ["(table): has no rows"]
    found: dict[tuple[str, str], list[str]] = {}
    for partition, frame in frames.items():
        for column, rule, sample in _violations_of(frame, schema):
            found.setdefault((column, rule), []).append(f"{sample} ({partition})" if sample else "")
    lines = []
    for (column, rule), samples in found.items():
        shown = ", ".join(sample for sample in samples[:SAMPLES] if sample)
        lines.append(f"{column}: {rule}" + (f": {len(samples)} rows, for example {shown}" if shown else ""))
    if not lines:
        for name in [column.name for column in schema.fields if column.constraints.unique]:
            lines += _repeated(pd.concat([frame[[name]] for frame in frames.values()]).dropna(), schema)
        if schema.primaryKey:
            lines += _repeated(pd.concat([frame[schema.primaryKey] for frame in frames.values()]), schema)
    return lines


def _repeated(keys: pd.DataFrame, schema: TableSchema) -> Iterator[str]:
    repeated = keys[keys.duplicated(keep="first")]
    repeated = repeated.assign(**{name: HIDDEN for name in keys.columns if name in schema.personal})
    if len(repeated):
        shown = ", ".join(str(tuple(map(str, row))) for row in repeated.head(SAMPLES).itertuples(index=False))
        yield f"({', '.join(map(str, keys.columns))}): duplicated key: {len(repeated)} rows, for example {shown}"


def _violations_of(frame: pd.DataFrame, schema: TableSchema) -> Iterator[tuple[str, str, str]]:
    names = [column.name for column in schema.fields]
    yield from ((name, "column is missing", "") for name in names if name not in frame)
    yield from ((str(name), "column is not in the schema", "") for name in frame if name not in names)
    for column in schema.fields:
        if column.name not in frame:
            continue
        values = frame[column.name]
        wrong = ~_has_type(values, column.type) & values.notna()
        if wrong.any():
            shown = (HIDDEN if column.personal else f"{value!r}" for value in values[wrong])
            yield from ((column.name, f"type {column.type}", value) for value in shown)
            continue
        try:
            _pandera_schema(column).validate(frame[[column.name]], lazy=True)
        except pa.errors.SchemaErrors as error:
            for case in error.failure_cases.itertuples(index=False):
                value = HIDDEN if column.personal else f"{case.failure_case}"
                yield column.name, _rule_name(column, str(case.check)), value


def _pandera_schema(column: Column) -> pa.DataFrameSchema:
    limits = column.constraints
    checks = []
    if limits.minimum is not None:
        checks.append(pa.Check.ge(limits.minimum))
    if limits.maximum is not None:
        checks.append(pa.Check.le(limits.maximum))
    if limits.enum is not None:
        checks.append(pa.Check.isin(limits.enum))
    if limits.pattern is not None:
        checks.append(pa.Check.str_matches(limits.pattern))
    return pa.DataFrameSchema({column.name: pa.Column(None, checks=checks, nullable=not limits.required)})


def _rule_name(column: Column, check: str) -> str:
    limits = column.constraints
    if check.startswith("greater_than"):
        return f"minimum {limits.minimum:g}"
    if check.startswith("less_than"):
        return f"maximum {limits.maximum:g}"
    if check.startswith("isin"):
        return f"enum {limits.enum}"
    if check.startswith("str_matches"):
        return f"pattern {limits.pattern}"
    return "required" if check == "not_nullable" else check


def _has_type(values: "pd.Series[Any]", kind: str) -> "pd.Series[bool]":
    """For each value whether it has the type; a number stored as text has not."""
    types = pd.api.types
    whole = pd.Series(True, index=values.index)
    if kind == "boolean":
        return whole if types.is_bool_dtype(values) else values.isin([True, False])
    if kind == "datetime":
        return whole if types.is_datetime64_any_dtype(values) else ~whole
    numeric = types.is_numeric_dtype(values) and not types.is_bool_dtype(values)
    if kind == "string":
        return values.map(lambda value: isinstance(value, str)).astype(bool)
    if not numeric:
        return ~whole
    if kind == "integer":
        return pd.Series((values % 1 == 0).to_numpy(dtype=bool, na_value=False), index=values.index)
    return values.abs() != np.inf


def describe(frames: list[pd.DataFrame], schema: TableSchema) -> dict[str, Any]:
    """Rows of all partitions, and for each column what is missing and, of numbers and times, the extremes.

    Of a personal column, only what is missing.
    """
    columns: dict[str, Any] = {}
    for column in schema.fields:
        values = pd.concat([frame[column.name] for frame in frames], ignore_index=True)
        summary: dict[str, Any] = {"missing": int(values.isna().sum())}
        if column.personal:
            pass
        elif column.type in ("integer", "number", "datetime") and values.notna().any():
            low, high = values.min(), values.max()
            ends = (low.isoformat(), high.isoformat()) if column.type == "datetime" else (float(low), float(high))
            summary |= {"minimum": ends[0], "maximum": ends[1]}
        elif column.type == "string":
            summary["distinct"] = int(values.nunique())
        columns[column.name] = summary
    return {"rows": sum(map(len, frames)), "columns": columns}
