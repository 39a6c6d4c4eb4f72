"""Finds instructions in a program file whose result depends on the processor: CPUID and the approximate ones.

Their byte patterns also occur inside other instructions, so each match is decoded from the start of its function (known
from `.eh_frame_hdr`, the symbols and the sections) and accepted only if an instruction begins there. Run as a program,
it serves the tracer: it reads a path per line on standard input and prints for each the name of the file that lists its
sites. That list stays in the cache folder (the only argument) until the file changes.
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
"""Mnemonic of a match that cannot be decoded, because the disassembler does not know an earlier instruction."""

APPROXIMATE = re.compile(
    r"v?rcp(14|28)?[ps][sdh]|v?rsqrt(14|28)?[ps][sdh]|vexp2p[sd]|fsin|fcos|fsincos|fptan|fpatan|f2xm1|fyl2x|fyl2xp1"
)
_PATTERNS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rb"\x0f\xa2",
        rb"\x0f[\x52\x53]",
        rb"\xc5.[\x52\x53]",
        rb"\xc4.[\x00-\x7f\xf8-\xff][\x52\x53]",
        rb"\x62...[\x4c-\x4f\xc8\xca-\xcd]",
        rb"\xd9[\xf0-\xf3\xf9\xfb\xfe\xff]",
    )
)
"""CPUID; rcp and rsqrt of SSE, of AVX by both forms of VEX, and of AVX-512 by EVEX; the functions of x87."""
_EVEX = 0x62
_HALF_PRECISION = {0x4C: "vrcpph", 0x4D: "vrcpsh", 0x4E: "vrsqrtph", 0x4F: "vrsqrtsh"}
_LONGEST = 15
"""Bytes of the longest instruction of x86."""

_ELF64, _LITTLE_ENDIAN, _X86_64 = 2, 1, 62
_EXECUTABLE_SECTION, _NO_BITS, _SYMBOLS = 0x4, 8, (2, 11)
_EXECUTABLE_SEGMENT, _LOAD, _EH_FRAME_HDR = 0x1, 1, 0x6474E550
_FUNCTION = 2
_SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("at", "<u8"), ("size", "<u8")]
)
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

    A match that cannot be decoded because of an unknown instruction is listed with the mnemonic `unknown`.

    Raises:
        ValueError: the file is truncated.
    """
    try:
        code = _read_code(content)
    except struct.error as error:
        raise ValueError(str(error)) from None
    found: dict[int, Site] = {}
    for start, end in code.ranges:
        by_function: dict[int, list[int]] = {}
        for at in _pattern_places(content, start, end):
            function = code.starts[bisect.bisect_right(code.starts, at) - 1]
            by_function.setdefault(max(function, start), []).append(at)
        for function, places in by_function.items():
            found |= {site.offset: site for site in _decode(content, function, end, places)}
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
        _frame_starts(content, offset, address) for kind, _, offset, address, _, _ in segments if kind == _EH_FRAME_HDR
    ] + [_function_symbols(content, offset, size) for _, kind, _, _, offset, size in sections if kind in _SYMBOLS]
    starts = np.unique(
        np.concatenate([*(_offsets(found, loaded) for found in addresses), [first for first, _ in ranges]])
    )
    return _Code(sorted(ranges), starts.astype(np.int64).tolist())


def _frame_starts(content: bytes, offset: int, address: int) -> npt.NDArray[np.int64]:
    if content[offset : offset + 4] != _USUAL_TABLE:
        return np.empty(0, dtype=np.int64)
    count = struct.unpack_from("<I", content, offset + 8)[0]
    table = np.frombuffer(content, dtype="<i4", count=2 * count, offset=offset + 12)
    starts: npt.NDArray[np.int64] = table[::2].astype(np.int64) + address
    return starts


def _function_symbols(content: bytes, offset: int, size: int) -> npt.NDArray[np.int64]:
    symbols = np.frombuffer(content, dtype=_SYMBOL, count=size // _SYMBOL.itemsize, offset=offset)
    functions = symbols[(symbols["info"] & 15 == _FUNCTION) & (symbols["section"] != 0)]
    addresses: npt.NDArray[np.int64] = functions["at"].astype(np.int64)
    return addresses


def _offsets(addresses: npt.NDArray[np.int64], loaded: list[tuple[int, int, int]]) -> npt.NDArray[np.int64]:
    parts = [
        addresses[(addresses >= address) & (addresses < address + size)] - address + offset
        for address, offset, size in loaded
    ]
    offsets: npt.NDArray[np.int64] = np.concatenate([addresses[:0], *parts])
    return offsets


def _pattern_places(content: bytes, start: int, end: int) -> list[int]:
    """Offsets of patterns, which may overlap, in order."""
    places = []
    for pattern in _PATTERNS:
        match = pattern.search(content, start, end)
        while match:
            if content[match.start()] != _EVEX or _may_be_evex(content, match.start()):
                places.append(match.start())
            match = pattern.search(content, match.start() + 1, end)
    return sorted(places)


def _may_be_evex(content: bytes, at: int) -> bool:
    """Whether a match of EVEX has that prefix's fixed bits, the prefix 66, and the map 0F38 or 6; most do not."""
    return content[at + 1] & 0x0F in (2, 6) and content[at + 2] & 0x07 == 0x05


def _decode(content: bytes, function: int, end: int, patterns: list[int]) -> Iterator[Site]:
    """Sites among the patterns of one function."""
    from capstone import CS_ARCH_X86, CS_MODE_64, Cs

    disassembler = Cs(CS_ARCH_X86, CS_MODE_64)
    place, at, stop = 0, function, min(patterns[-1] + _LONGEST, end)
    while place < len(patterns):
        decoded = [(size, name) for _, size, name, _ in disassembler.disasm_lite(content[at:stop], at)]
        if not decoded:
            decoded = _decode_evex(content, at)
        if not decoded:
            break
        for size, mnemonic in decoded:
            before, at = place, at + size
            while place < len(patterns) and patterns[place] < at:
                place += 1
            if place > before and (mnemonic == "cpuid" or APPROXIMATE.fullmatch(mnemonic)):
                yield Site(at - size, mnemonic, content[at - size : at])
    for pattern in patterns[place:]:
        yield Site(pattern, UNKNOWN, content[pattern : pattern + _LONGEST])


def _decode_evex(content: bytes, at: int) -> list[tuple[int, str]]:
    """Size and name of an instruction with the prefix EVEX that capstone does not know, by Intel SDM volume 2, 2.7."""
    code = content[at : at + _LONGEST]
    if len(code) < _LONGEST or code[0] != _EVEX:
        return []
    opcode_map, opcode, mode, register = code[1] & 7, code[4], code[5] >> 6, code[5] & 7
    size = 6
    if mode != 3 and register == 4:
        size, register = size + 1, code[6] & 7
    if mode == 2 or (mode == 0 and register == 5):
        size += 4
    if mode == 1:
        size += 1
    if opcode_map == 3:
        size += 1
    approximate = opcode_map == 6 and code[2] & 3 == 1
    return [(size, _HALF_PRECISION.get(opcode, "") if approximate else "")]


def main() -> None:
    """Read paths on standard input and print the names of their lists; an empty line for a file that cannot be read."""
    cache = Path(sys.argv[1])
    for line in sys.stdin:
        try:
            listed = str(write_sites(Path(line.rstrip("\n")), cache))
        except (OSError, ValueError):
            listed = ""
        print(listed, flush=True)


if __name__ == "__main__":
    main()
