"""The root filesystem in an image's layers, read file by file without unpacking or running anything.

In: layers as archives. Out: every path with its kind, mode, owner and content's hash. Whatever could make a container
see something else than this list is refused: marks that delete files, files written twice, ways out of the root.
"""

import gzip
import hashlib
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO

from ontime.common.errors import OntimeError

FOLDER, FILE, LINK = "folder", "file", "symbolic link"
MARK = ".wh."
"""Begins the name of a file that deletes another one in the layers below."""
MOST_BYTES = 2 << 30
"""Uncompressed, of all layers."""
MOST_KEPT = 512 << 20
"""Bytes of all files whose content is kept."""
MOST_HEADER = 1 << 20
HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
"""Types of members that only say something of the next one."""
MOST_ENTRIES = 200_000
CHUNK = 1 << 20
ATTRIBUTE = "SCHILY.xattr."


@dataclass(frozen=True)
class Entry:
    """A path in the root filesystem."""

    kind: str
    mode: int
    owner: tuple[int, int]
    content: str
    """SHA-256 of a file, target of a symbolic link, empty for a folder."""
    attributes: tuple[tuple[str, str], ...] = ()
    """Extended attributes, such as capabilities."""


@dataclass
class Filesystem:
    """What a container of the image sees."""

    entries: dict[str, Entry] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    """Content of the files under the folder that was asked for."""
    size: int = 0
    """Uncompressed bytes read so far."""
    seen: int = 0
    """Members read so far."""


def add_layer(root: Filesystem, layer: IO[bytes], compressed: bool, keep: str, diff_id: str) -> None:
    """Read one layer on top of those before.

    Args:
        keep: folder whose files' content is kept.
        diff_id: digest that the image's configuration gives the uncompressed layer.

    Raises:
        OntimeError: the layer is not what the digest says, is too large, or holds what no layer of ours has.
    """
    own: dict[str, Entry] = {}
    try:
        with tempfile.TemporaryFile(prefix="ontime-layer-") as content:
            _unpack(gzip.GzipFile(fileobj=layer) if compressed else layer, content, root, diff_id)
            with tarfile.open(fileobj=content, mode="r:", tarinfo=_Member) as archive:
                for member in archive:
                    root.seen += 1
                    if root.seen > MOST_ENTRIES:
                        raise OntimeError(f"more than {MOST_ENTRIES} files")
                    _add(root, own, archive, member, keep)
                if archive.pax_headers:
                    raise OntimeError("has headers for all of its files")
                _check_rest(content, archive.offset)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise OntimeError(f"not an archive of files: {' '.join(str(error).split())}") from None
    for name, entry in own.items():
        below = root.entries.get(name)
        if below is not None and (below.kind, entry.kind) != (FOLDER, FOLDER):
            raise OntimeError(f"{name}: written again by a layer above")
        root.entries[name] = entry
    for name in root.entries:
        for parent in parents(name):
            above = root.entries.get(parent)
            if above is not None and above.kind != FOLDER:
                raise OntimeError(f"{name}: lies in {parent}, which is no folder")


def _unpack(stream: IO[bytes] | gzip.GzipFile, content: IO[bytes], root: Filesystem, diff_id: str) -> None:
    """Write an uncompressed layer to a file, within the limit, and check its digest."""
    hashed = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        root.size += len(chunk)
        if root.size > MOST_BYTES:
            raise OntimeError(f"more than {MOST_BYTES} bytes uncompressed")
        hashed.update(chunk)
        content.write(chunk)
    if f"sha256:{hashed.hexdigest()}" != diff_id:
        raise OntimeError("not the layer that the configuration names")
    content.seek(0)


def _check_rest(content: IO[bytes], offset: int) -> None:
    """Refuse what another reader of archives could find behind the end that this one sees."""
    content.seek(offset)
    while chunk := content.read(CHUNK):
        if chunk.strip(b"\0"):
            raise OntimeError("holds more behind its last file")


def parents(name: str) -> Iterator[str]:
    """Every folder above a path, without the root."""
    return (str(parent) for parent in PurePosixPath(name).parents if str(parent) != ".")


def _add(root: Filesystem, own: dict[str, Entry], archive: tarfile.TarFile, member: tarfile.TarInfo, keep: str) -> None:
    """Note one member of a layer."""
    name = _name(member.name)
    if name == ".":
        return
    if name in own:
        raise OntimeError(f"{name}: twice in one layer")
    attributes = tuple(sorted((key, text) for key, text in member.pax_headers.items() if key.startswith(ATTRIBUTE)))
    owner = (member.uid, member.gid)
    if member.isdir():
        own[name] = Entry(FOLDER, member.mode, owner, "", attributes)
    elif member.issym():
        own[name] = Entry(LINK, 0, owner, member.linkname, attributes)
    elif member.islnk():
        target = _name(member.linkname)
        if target not in own or own[target].kind != FILE:
            raise OntimeError(f"{name}: a hard link to {target}, which is no file before it in the layer")
        own[name] = own[target]
        if target in root.kept:
            root.kept[name] = root.kept[target]
    elif member.isreg() and not member.issparse():
        kept = root.kept if name.startswith(f"{keep}/") else None
        own[name] = Entry(FILE, member.mode, owner, _content(archive, member, name, kept), attributes)
    else:
        raise OntimeError(f"{name}: neither a file, a folder nor a link")


def _name(text: str) -> str:
    """A member's path from the root, if it lies there and is no mark that deletes another one."""
    path = PurePosixPath(text.lstrip("/"))
    if ".." in path.parts or "\0" in text:
        raise OntimeError(f"{text!r}: outside the root")
    if any(part.startswith(MARK) for part in path.parts):
        raise OntimeError(f"{path}: deletes a file of a layer below")
    return str(path)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, kept: dict[str, bytes] | None) -> str:
    """SHA-256 of a file, whose content is added to what is kept."""
    if kept is not None and member.size + sum(map(len, kept.values())) > MOST_KEPT:
        raise OntimeError(f"{name}: more than {MOST_KEPT} bytes with those before")
    stream = archive.extractfile(member)
    hashed, content = hashlib.sha256(), bytearray()
    while stream is not None and (chunk := stream.read(CHUNK)):
        hashed.update(chunk)
        if kept is not None:
            content += chunk
    if kept is not None:
        kept[name] = bytes(content)
    return hashed.hexdigest()


class _Member(tarfile.TarInfo):
    """A member whose own headers, which are read into memory, are bounded."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        member = super().frombuf(buf, encoding, errors)
        if member.type in HEADERS and member.size > MOST_HEADER:
            raise OntimeError(f"a header of {member.size} bytes")
        return member
