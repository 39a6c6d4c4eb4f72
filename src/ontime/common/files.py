"""Reading and writing whole files: the same bytes for the same content, and never half a file."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

from ontime.common.errors import OntimeError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what is written there is moved to `path` if the block succeeds.

    Works for a file and for a folder (create it inside the block). What an interrupted run left is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, replaced = (path.with_name(f".{path.name}{ending}.partial") for ending in ("", ".old"))
    _remove(temporary)
    _remove(replaced)
    try:
        yield temporary
        if path.is_dir():
            path.rename(replaced)
        temporary.replace(path)
    except BaseException:
        if replaced.exists() and not path.exists():
            replaced.rename(path)
        _remove(temporary)
        raise
    _remove(replaced)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whatever the locale."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON; keys keep their order, numbers that are not finite are an error."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file, with a one-line error that names it."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise OntimeError(f"{path}: not found; run `dvc repro` (or `ontime pull`) first") from None
    except ValueError as error:
        raise OntimeError(f"{path}: not JSON: {error}") from None


def write_parquet(frame: "pd.DataFrame", path: Path) -> None:
    """Write a frame as parquet with every writer option fixed and no pandas metadata; the index is dropped."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    fields = [f.with_type(pa.string()) if pa.types.is_large_string(f.type) else f for f in table.schema]
    table = table.cast(pa.schema(fields))
    with replacing(path) as temporary:
        pq.write_table(
            table,
            temporary,
            row_group_size=1 << 17,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            compression_level=3,
            use_dictionary=True,
            write_statistics=True,
            store_schema=False,
        )


def read_parquet(path: Path, columns: list[str] | None = None) -> "pd.DataFrame":
    """Read a parquet file, with a one-line error that names it."""
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(path, columns=columns)
    except FileNotFoundError:
        raise OntimeError(f"{path}: not found; run `dvc repro` (or `ontime pull`) first") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise OntimeError(f"{path}: not a readable parquet file: {str(error).splitlines()[0]}") from None


def column_names(path: Path) -> list[str]:
    """Names of the columns of a parquet file."""
    import pyarrow.parquet as pq

    try:
        names: list[str] = pq.read_schema(path).names
    except FileNotFoundError:
        raise OntimeError(f"{path}: not found; run `dvc repro` (or `ontime pull`) first") from None
    return names


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_cache_object(path: Path) -> bool:
    """Whether a file is an object of DVC's cache: its MD5 is its name in two parts (and .dir for a listing)."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return path.parent.name + path.name.removesuffix(".dir") == digest


def listed(folder: Path, pattern: str) -> list[Path]:
    """Files of `folder` that match, in order, without hidden ones, such as a Mac's archives leave (`._x.parquet`)."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def partitions(folder: Path) -> list[str]:
    """Names of the parquet files in `folder`, without their ending, in order."""
    names = [path.stem for path in listed(folder, "*.parquet")]
    if not names:
        raise OntimeError(f"{folder}: no parquet file; run `dvc repro` (or `ontime pull`) first")
    return names
