"""Put columns behind those of a parquet file, whose own pages are copied as they are.

In: a file, and a small one with the new columns in row groups of the same heights. Out: the pages of both and one
footer. Arrow writes whole tables alone, and to encode a feature table again takes a third of the time of scoring it.
A footer is a struct of parquet.thrift in Thrift's compact protocol; what is not changed in it is copied as well.
"""

from collections.abc import Iterator, Mapping

MAGIC = b"PAR1"
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12
SCHEMA, ROW_GROUPS, NOTES, COLUMN_ORDERS = 2, 4, 5, 7
"""Fields of FileMetaData."""
CHILDREN = 5
"""Of SchemaElement."""
COLUMNS, BYTES, ROWS, COMPRESSED_BYTES = 1, 2, 3, 6
"""Of RowGroup."""
FILE_OFFSET, COLUMN = 2, 3
"""Of ColumnChunk."""
PAGE_OFFSETS = {9, 10, 11}
"""Of ColumnMetaData: data, index and dictionary pages."""

Fields = dict[int, tuple[int, bytes]]
"""Type and encoded value of a struct's fields by their numbers."""


def append_columns(table: memoryview, added: memoryview, notes: Mapping[str, str]) -> Iterator[memoryview | bytes]:
    """The parts of a parquet file with the columns of `table`, then those of `added`.

    Args:
        table: content of a parquet file, not encrypted; added: of another one, with as many rows in each row group.
        notes: the new file's key-value metadata; that of `table` describes other columns and is left out.

    Raises:
        ValueError: the row groups have other heights.
    """
    pages, footer = split(table)
    new_pages, new_footer = split(added)
    yield pages
    yield new_pages[len(MAGIC) :]
    root, *new_columns = items_of(new_footer[SCHEMA][1])
    footer[SCHEMA] = LIST, with_children(footer[SCHEMA][1], root, new_columns)
    groups, new_groups = (
        [fields_of(group) for group in items_of(part[ROW_GROUPS][1])] for part in (footer, new_footer)
    )
    if [group[ROWS] for group in groups] != [group[ROWS] for group in new_groups]:
        raise ValueError("row groups of other heights")
    shift = len(pages) - len(MAGIC)
    joined = [join(group, new, shift) for group, new in zip(groups, new_groups, strict=True)]
    footer[ROW_GROUPS] = LIST, extended(bytes([STRUCT]), joined)
    texts = [[(BINARY, varint(len(text)) + text) for text in map(str.encode, note)] for note in notes.items()]
    footer[NOTES] = LIST, extended(bytes([STRUCT]), [struct_of(dict(enumerate(note, start=1))) for note in texts])
    if COLUMN_ORDERS in footer:
        orders = items_of(new_footer[COLUMN_ORDERS][1])
        footer[COLUMN_ORDERS] = LIST, extended(footer[COLUMN_ORDERS][1], orders)
    content = struct_of(footer)
    yield content + len(content).to_bytes(4, "little") + MAGIC


def split(content: memoryview) -> tuple[memoryview, Fields]:
    """The pages of a file, and its footer."""
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    return content[:end], fields_of(bytes(content[end:-8]))


def with_children(schema: bytes, other_root: bytes, columns: list[bytes]) -> bytes:
    """A list of schema elements whose root has the children of another one too."""
    _, _, start = list_header(schema, 0)
    end = end_of(STRUCT, schema, start)
    root = fields_of(schema[start:end])
    root[CHILDREN] = increased(root[CHILDREN], number(fields_of(other_root)[CHILDREN][1]))
    return extended(schema[:start] + struct_of(root) + schema[end:], columns)


def join(group: Fields, other: Fields, shift: int) -> bytes:
    """A row group with the columns of another one, whose pages are `shift` bytes further on."""
    columns = []
    for column in map(fields_of, items_of(other[COLUMNS][1])):
        about = fields_of(column[COLUMN][1])
        about |= {place: increased(about[place], shift) for place in PAGE_OFFSETS & about.keys()}
        columns.append(struct_of(column | {FILE_OFFSET: (I64, integer(0)), COLUMN: (STRUCT, struct_of(about))}))
    sums = {
        place: increased(group[place], number(other[place][1]))
        for place in {BYTES, COMPRESSED_BYTES} & group.keys() & other.keys()
    }
    return struct_of(group | sums | {COLUMNS: (LIST, extended(group[COLUMNS][1], columns))})


def increased(field: tuple[int, bytes], more: int) -> tuple[int, bytes]:
    """An integer field with a larger value."""
    return field[0], integer(number(field[1]) + more)


def fields_of(struct: bytes) -> Fields:
    """The fields of an encoded struct."""
    fields: Fields = {}
    place = name = 0
    while struct[place]:
        kind, place, name = field_header(struct, place, name)
        end = end_of(kind, struct, place)
        fields[name] = kind, struct[place:end]
        place = end
    return fields


def struct_of(fields: Fields) -> bytes:
    """A struct, encoded."""
    parts, before = [], 0
    for name, (kind, value) in sorted(fields.items()):
        step = name - before
        parts += [bytes([step << 4 | kind]) if step < 16 else bytes([kind]) + integer(name), value]
        before = name
    return b"".join([*parts, b"\0"])


def items_of(values: bytes) -> list[bytes]:
    """The encoded elements of an encoded list."""
    count, kind, place = list_header(values, 0)
    items = []
    for _ in range(count):
        end = end_of(kind, values, place)
        items.append(values[place:end])
        place = end
    return items


def extended(values: bytes, items: list[bytes]) -> bytes:
    """An encoded list with more encoded elements."""
    count, kind, start = list_header(values, 0)
    count += len(items)
    header = bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + varint(count)
    return b"".join([header, values[start:], *items])


def end_of(kind: int, data: bytes, place: int) -> int:
    """Where the value that begins at a place ends."""
    if kind in (I16, I32, I64):
        while data[place] & 0x80:
            place += 1
        return place + 1
    if kind == BINARY:
        length, place = (data[place], place + 1) if data[place] < 0x80 else read_varint(data, place)
        return place + length
    if kind == STRUCT:
        while header := data[place]:
            # without a difference of numbers the number itself follows
            place = place + 1 if header >> 4 else end_of(I16, data, place + 1)
            place = end_of(header & 15, data, place)
        return place + 1
    if kind in (LIST, SET):
        count, kind, place = list_header(data, place)
        if kind in (TRUE, FALSE):
            return place + count
        for _ in range(count):
            place = end_of(kind, data, place)
        return place
    return place + {TRUE: 0, FALSE: 0, BYTE: 1, DOUBLE: 8}[kind]


def field_header(data: bytes, place: int, before: int) -> tuple[int, int, int]:
    """Type, where the value begins, and the field's number."""
    header = data[place]
    if header >> 4:
        return header & 15, place + 1, before + (header >> 4)
    value, end = read_varint(data, place + 1)
    return header, end, value >> 1 ^ -(value & 1)


def list_header(data: bytes, place: int) -> tuple[int, int, int]:
    """Number of elements, their type, and where the first begins."""
    header = data[place]
    count, place = (header >> 4, place + 1) if header < 0xF0 else read_varint(data, place + 1)
    return count, header & 15, place


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """An unsigned number of seven bits a byte, and where it ends."""
    value = shift = 0
    while data[place] & 0x80:
        value |= (data[place] & 0x7F) << shift
        shift += 7
        place += 1
    return value | data[place] << shift, place + 1


def varint(value: int) -> bytes:
    """An unsigned number, encoded."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def number(encoded: bytes) -> int:
    """The value of an encoded integer."""
    value, _ = read_varint(encoded, 0)
    return value >> 1 ^ -(value & 1)


def integer(value: int) -> bytes:
    """An integer, encoded."""
    return varint(value << 1 if value >= 0 else ~(value << 1))
