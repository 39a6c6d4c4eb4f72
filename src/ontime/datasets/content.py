"""The bytes of a file by its path or address, or the rows that a query in it gives, and a folder's files.

Addresses are written without the secrets that they may hold.
"""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit, urlunsplit

import fsspec

from ontime.common.errors import OntimeError, one_line
from ontime.common.files import sha256
from ontime.datasets.query import run_query
from ontime.datasets.rows import Rows

TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson")
ENDINGS = (*TEXTS, *(f"{kind}.gz" for kind in TEXTS), ".parquet", ".xlsx", ".sql")
LISTED = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"


@dataclass(frozen=True)
class Content:
    """A file's bytes as stored and unpacked; the SHA-256 of the stored ones, in hexadecimal; its ending, unpacked.

    Of a query, `rows` are those that the database gave, and the SHA-256 is theirs.
    """

    stored: bytes
    data: bytes
    digest: str
    kind: str
    rows: Rows | None = None


def fetch(
    source: str, where: str = "data.source", kinds: str = f"neither a known package nor a {LISTED} file"
) -> Content:
    """Read the file that `source` names: a path, or any address that fsspec knows.

    Args:
        where: what named it, for errors; kinds: what a name of another ending is not.

    Raises:
        OntimeError: of no known kind by its name, not found, not reachable, not readable.
    """
    shown = without_secrets(source)
    name = file_name(source)
    if not name.endswith(ENDINGS):
        raise OntimeError(f"{where}: {shown}: {kinds}")
    try:
        with fsspec.open(source, "rb") as stream:
            stored = stream.read()
    except FileNotFoundError as error:
        if error.__cause__ is None:
            raise OntimeError(f"{where}: {shown}: not found") from None
        # fsspec says the same where a web server refuses or does not answer
        raise OntimeError(f"{where}: {shown}: cannot be read: {_reason(error.__cause__, source)}") from None
    except ImportError as error:
        raise OntimeError(f"{where}: {shown}: {_reason(error, source)}") from None
    except Exception as error:  # each store raises its own classes; the person needs the reason in one line
        raise OntimeError(f"{where}: {shown}: cannot be read: {_reason(error, source)}") from None
    try:
        data = gzip.decompress(stored) if name.endswith(".gz") else stored
    except (OSError, EOFError, zlib.error) as error:
        raise OntimeError(f"{where}: {shown}: not readable: {one_line(error, 200)}") from None
    kind = PurePosixPath(name.removesuffix(".gz")).suffix
    if kind == ".sql":
        return _of_query(stored, source, where)
    return Content(stored, data, hashlib.sha256(stored).hexdigest(), kind)


def _of_query(stored: bytes, source: str, where: str) -> Content:
    if "://" in source:
        raise OntimeError(
            f"{where}: {without_secrets(source)}: a query is a file in the checkout, so that git has what it asks"
        )
    try:
        rows, digest = run_query(stored.decode())
    except (UnicodeDecodeError, OntimeError) as error:
        raise OntimeError(f"{where}: {source}: {one_line(error)}") from None
    return Content(stored, stored, digest, ".sql", rows)


def files_of(source: str) -> list[Path]:
    """The tables of a folder, in the order of their names; of a file or an address, none.

    Raises:
        OntimeError: the folder has no table, or files of several endings, or others than tables.
    """
    folder = Path(source)
    if "://" in source or not folder.is_dir():
        return []
    # what programs leave beside tables: .DS_Store, _SUCCESS
    found = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))
    endings = {ending_of(path.name) for path in found}
    if len(endings) != 1 or endings & {"", ".sql", ".xlsx"}:
        names = ", ".join(path.name for path in found[:3]) or "nothing"
        raise OntimeError(
            f"{source}: a folder is read as a table only if all its files have the same ending, one of "
            f"{', '.join(ending for ending in ENDINGS if ending not in ('.sql', '.xlsx'))}; it has {names}"
        )
    return found


def ending_of(name: str) -> str:
    """The ending of a file's name, of `ENDINGS`; empty where it has none of them."""
    return next((ending for ending in ENDINGS if name.endswith(ending)), "")


def partition_of(path: Path) -> str:
    """Name of the partition that a file of a folder is."""
    return path.name.removesuffix(ending_of(path.name))


def digest_of(source: str) -> str:
    """SHA-256 of what is read of a source, in hexadecimal; of a folder, of the names and contents of its files."""
    files = files_of(source)
    if not files:
        return fetch(source).digest
    lines = "".join(f"{sha256(path)}  {path.name}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def file_name(source: str) -> str:
    """Name of the file that a path or an address ends in."""
    return PurePosixPath(urlsplit(source).path if "://" in source else source).name


def without_secrets(source: str) -> str:
    """The address without user, password, query and fragment, each of which may hold a secret; a path as it is."""
    if "://" not in source:
        return source
    parts = urlsplit(source)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _reason(error: BaseException, source: str) -> str:
    return one_line(error, 1000).replace(source, without_secrets(source))[:200]
