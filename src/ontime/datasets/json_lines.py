"""JSON lines: an object a line, in UTF-8, whose keys are the columns. A key that a line lacks is missing there."""

import codecs
import io
import json
from typing import Any

from ontime.common.errors import OntimeError, one_line
from ontime.datasets.rows import Rows


def read_json_lines(data: bytes) -> Rows:
    """The objects of a text.

    Raises:
        OntimeError: a line that is no object, has a key twice, or text that is no Unicode.
    """
    rows = Rows()
    for number, line in enumerate(io.BytesIO(data.removeprefix(codecs.BOM_UTF8)), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode(), object_pairs_hook=_object)
            if b"\\u" in line:
                # half of a surrogate pair is no text
                json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise OntimeError(f"line {number} is not JSON in UTF-8: {one_line(error, 200)}") from None
        if not isinstance(row, dict):
            raise OntimeError(f'line {number} is no JSON object, as {{"name": value}}')
        rows.add(row)
    return rows


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found
