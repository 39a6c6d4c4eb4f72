"""Where a program's file holds instructions whose result the processor may choose: CPUID and the approximate ones.

Their byte patterns also occur inside other instructions, so each one found is decoded from the start of its function
(the table of `.eh_frame_hdr`, the symbols and the sections say where functions start) and taken only if an
instruction begins there. As a program it answers the tracer: a path per line on standard input, and for each the name
of the file that lists its sites, which stays in the cache (the only argument) until the path's content changes.
"""

import bisect
import functools
import hashlib
import re
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

UNKNOWN = "unknown"
"""Mnemonic of a pattern that the disassembler does not reach: an instruction of its function is unknown to it."""

APPROXIMATE = re.compile(
    r"v?rcp(14|28)?[ps][sdh]|v?rsqrt(14|28)?[ps][sdh]|vexp2p[sd]|fsin|fcos|fsincos|fptan|fpatan|f2xm1|fyl2x|fyl2xp1"
)
_PATTERNS = re.compile(
    rb"\x0f\xa2"
    rb"|\x0f[\x52\x53]"
    rb"|\xc5.[\x52\x53]|\xc4.[\x00-\x7f\xf8-\xff][\x52\x53]"
    rb"|\x62...[\x4c-\x4f\xc8\xca-\xcd]"
    rb"|\xd9[\xf0-\xf3\xf9\xfb\xfe\xff]",
    re.DOTALL,
)
_LONGEST = 15
"""Bytes of the longest instruction of x86."""

_ELF64, _LITTLE_ENDIAN, _X86_64 = 2, 1, 62
_EXECUTABLE_SECTION, _NO_BITS, _SYMBOLS = 0x4, 8, (2, 11)
_EXECUTABLE_SEGMENT, _LOAD, _EH_FRAME_HDR = 0x1, 1, 0x6474E550
_FUNCTION = 2
_SYMBOL = np.dtype([("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("at", "<u8"), ("size", "<u8")])
"""Elf64_Sym of the System V ABI."""
_USUAL_TABLE = bytes([1, 0x1B, 0x03, 0x3B])
"""`.eh_frame_hdr` version 1 with a sorted table of 32-bit offsets from its own address, as every linker writes it."""


@dataclass(frozen=True)
class Site:
    """One instruction: its offset in the file, name and bytes."""

    offset: int
    mnemonic: str
    code: bytes


@dataclass(frozen=True)
class _Code:
    """Executable ranges of a file and the function starts in them, all as file offsets."""

    ranges: list[tuple[int, int]]
    starts: list[int]


def find_sites(content: bytes) -> list[Site]:
    """CPUID and approximate instructions of an x86-64 ELF file in order of offset; none for any other file.

    A pattern that only an unknown instruction keeps from being judged is listed with the mnemonic `unknown`.
    """
    code = _read_code(content)
    found: dict[int, Site] = {}
    for start, end in code.ranges:
        by_function: dict[int, list[int]] = {}
        for match in _PATTERNS.finditer(content, start, end):
            place = bisect.bisect_right(code.starts, match.start()) - 1
            function = max(code.starts[place], start) if place >= 0 else start
            by_function.setdefault(function, []).append(match.start())
        for function, patterns in by_function.items():
            wanted = [at for at in patterns if _may_be_one(content, at)]
            found |= {site.offset: site for site in _decode(content, function, end, wanted)}
    return [found[offset] for offset in sorted(found)]


def write_sites(path: Path, cache: Path) -> Path:
    """List the sites of a file in the cache, one `offset mnemonic bytes` a line, unless they are listed there already.

    Returns:
        The list.
    """
    found = path.stat()
    identity = f"{path.resolve()}\0{found.st_size}\0{found.st_mtime_ns}\0{_version()}"
    listed = cache / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.sites"
    if not listed.is_file():
        sites = find_sites(path.read_bytes())
        cache.mkdir(parents=True, exist_ok=True)
        # several tracers may list the same file at once
        with tempfile.NamedTemporaryFile("w", dir=cache, suffix=".partial", delete=False) as partial:
            partial.writelines(f"{site.offset:x} {site.mnemonic} {site.code.hex()}\n" for site in sites)
        Path(partial.name).replace(listed)
    return listed


@functools.cache
def _version() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _read_code(content: bytes) -> _Code:
    header = content[:64]
    nothing = _Code([], [])
    if len(header) < 64 or header[:6] != b"\x7fELF" + bytes([_ELF64, _LITTLE_ENDIAN]):
        return nothing
    machine = struct.unpack_from("<H", header, 18)[0]
    segments_at, sections_at = struct.unpack_from("<QQ", header, 32)
    segment_size, segment_count, section_size, section_count = struct.unpack_from("<4H", header, 54)
    if machine != _X86_64:
        return nothing
    # type, flags, offset, virtual address, physical address, bytes in the file
    segments = [
        struct.unpack_from("<IIQQQQ", content, segments_at + place * segment_size) for place in range(segment_count)
    ]
    # name, type, flags, address, offset, size
    sections = [
        struct.unpack_from("<IIQQQQ", content, sections_at + place * section_size) for place in range(section_count)
    ]
    loaded = [(address, offset, size) for kind, _, offset, address, _, size in segments if kind == _LOAD]
    ranges = [
        (offset, offset + size)
        for _, kind, flags, _, offset, size in sections
        if flags & _EXECUTABLE_SECTION and kind != _NO_BITS and size
    ] or [
        (offset, offset + size)
        for kind, flags, offset, _, _, size in segments
        if kind == _LOAD and flags & _EXECUTABLE_SEGMENT
    ]
    addresses = [
        _frame_starts(content, offset, address)
        for kind, _, offset, address, _, _ in segments
        if kind == _EH_FRAME_HDR
    ] + [
        _function_symbols(content, offset, size) for _, kind, _, _, offset, size in sections if kind in _SYMBOLS
    ]
    starts = np.unique(np.concatenate([*(_offsets(found, loaded) for found in addresses), [first for first, _ in ranges]]))
    return _Code(sorted(ranges), starts.astype(np.int64).tolist())


def _frame_starts(content: bytes, offset: int, address: int) -> npt.NDArray[np.int64]:
    if content[offset : offset + 4] != _USUAL_TABLE:
        return np.empty(0, dtype=np.int64)
    count = struct.unpack_from("<I", content, offset + 8)[0]
    table = np.frombuffer(content, dtype="<i4", count=2 * count, offset=offset + 12)
    return table[::2].astype(np.int64) + address


def _function_symbols(content: bytes, offset: int, size: int) -> npt.NDArray[np.int64]:
    symbols = np.frombuffer(content, dtype=_SYMBOL, count=size // _SYMBOL.itemsize, offset=offset)
    functions = symbols[(symbols["info"] & 15 == _FUNCTION) & (symbols["section"] != 0)]
    return functions["at"].astype(np.int64)


def _offsets(addresses: npt.NDArray[np.int64], loaded: list[tuple[int, int, int]]) -> npt.NDArray[np.int64]:
    parts = [
        addresses[(addresses >= address) & (addresses < address + size)] - address + offset
        for address, offset, size in loaded
    ]
    return np.concatenate(parts) if parts else addresses[:0]


def _may_be_one(content: bytes, at: int) -> bool:
    """Whether the bytes at a pattern, taken as an instruction, are one of those looked for: spares most decoding."""
    if content[at] != 0x62:
        return True
    _, first, second, third = content[at : at + 4]
    opcode = content[at + 4]
    # EVEX: three fixed bits, the map of opcodes (0F38, or 6 for half precision) and the prefix 66 (or F3)
    return bool(
        second & 4
        and not first & 8
        and (
            (first & 7 == 2 and second & 3 == 1)
            or (first & 7 == 6 and second & 3 == 1 and opcode <= 0x4F)
        )
        and third & 0x60 != 0x60
    )


def _decode(content: bytes, function: int, end: int, patterns: list[int]) -> Iterator[Site]:
    """Sites among the patterns of one function; capstone is loaded where it is needed."""
    if not patterns:
        return
    from capstone import CS_ARCH_X86, CS_MODE_64, Cs

    disassembler = Cs(CS_ARCH_X86, CS_MODE_64)
    last = patterns[-1]
    waiting, place = patterns, 0
    at = function
    for offset, size, mnemonic, _ in disassembler.disasm_lite(content[function : min(last + _LONGEST, end)], function):
        at = offset + size
        found = False
        while place < len(waiting) and waiting[place] < at:
            found = True
            place += 1
        if found and (mnemonic == "cpuid" or APPROXIMATE.fullmatch(mnemonic)):
            yield Site(offset, mnemonic, bytes(content[offset:at]))
        if place == len(waiting):
            return
    for pattern in waiting[place:]:
        yield Site(pattern, UNKNOWN, bytes(content[pattern : pattern + _LONGEST]))


def main() -> None:
    """Answer paths on standard input by the names of their lists; an empty line where a file cannot be read."""
    cache = Path(sys.argv[1])
    for line in sys.stdin:
        try:
            listed = str(write_sites(Path(line.rstrip("\n")), cache))
        except OSError:
            listed = ""
        print(listed, flush=True)


if __name__ == "__main__":
    main()
