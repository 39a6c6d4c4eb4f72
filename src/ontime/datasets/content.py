"""The bytes of a file by its path or address, and addresses without the secrets that they may hold."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit, urlunsplit

import fsspec

from ontime.common.errors import OntimeError, one_line

KINDS = (".csv", ".tsv", ".parquet")
ENDINGS = tuple(f"{kind}{packed}" for kind in KINDS for packed in ("", ".gz") if kind != ".parquet" or not packed)
LISTED = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"


@dataclass(frozen=True)
class Content:
    """A file's bytes as stored and unpacked; the SHA-256 of the stored ones, in hexadecimal; its kind, of `KINDS`."""

    stored: bytes
    data: bytes
    digest: str
    kind: str


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
    return Content(stored, data, hashlib.sha256(stored).hexdigest(), kind)


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
