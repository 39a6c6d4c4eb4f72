"""CPUID tables of other x86-64 processors, derived from this machine's: fewer features, another model and caches.

A feature that this machine lacks is never reported, so a program that relies on a table runs here. Leaves and bits:
Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E. Models and sizes: makers' data sheets.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Table = dict[tuple[int, int], list[int]]
"""eax, ebx, ecx and edx by leaf and subleaf."""

K, M = 1 << 10, 1 << 20
EAX, EBX, ECX, EDX = range(4)

FEATURES = {
    "hle": (7, 0, EBX, 4),
    "rtm": (7, 0, EBX, 11),
    "avx512f": (7, 0, EBX, 16),
    "avx512dq": (7, 0, EBX, 17),
    "rdseed": (7, 0, EBX, 18),
    "adx": (7, 0, EBX, 19),
    "avx512ifma": (7, 0, EBX, 21),
    "clflushopt": (7, 0, EBX, 23),
    "clwb": (7, 0, EBX, 24),
    "avx512cd": (7, 0, EBX, 28),
    "sha": (7, 0, EBX, 29),
    "avx512bw": (7, 0, EBX, 30),
    "avx512vl": (7, 0, EBX, 31),
    "avx512vbmi": (7, 0, ECX, 1),
    "umip": (7, 0, ECX, 2),
    "waitpkg": (7, 0, ECX, 5),
    "avx512vbmi2": (7, 0, ECX, 6),
    "gfni": (7, 0, ECX, 8),
    "vaes": (7, 0, ECX, 9),
    "vpclmulqdq": (7, 0, ECX, 10),
    "avx512vnni": (7, 0, ECX, 11),
    "avx512bitalg": (7, 0, ECX, 12),
    "avx512vpopcntdq": (7, 0, ECX, 14),
    "rdpid": (7, 0, ECX, 22),
    "cldemote": (7, 0, ECX, 25),
    "movdiri": (7, 0, ECX, 27),
    "movdir64b": (7, 0, ECX, 28),
    "fsrm": (7, 0, EDX, 4),
    "avx512vp2intersect": (7, 0, EDX, 8),
    "serialize": (7, 0, EDX, 14),
    "tsxldtrk": (7, 0, EDX, 16),
    "amx_bf16": (7, 0, EDX, 22),
    "avx512fp16": (7, 0, EDX, 23),
    "amx_tile": (7, 0, EDX, 24),
    "amx_int8": (7, 0, EDX, 25),
    "avxvnni": (7, 1, EAX, 4),
    "avx512bf16": (7, 1, EAX, 5),
    "fzrm": (7, 1, EAX, 10),
    "fsrs": (7, 1, EAX, 11),
    "fsrc": (7, 1, EAX, 12),
    "avxifma": (7, 1, EAX, 23),
    "avxvnniint8": (7, 1, EDX, 4),
    "avxneconvert": (7, 1, EDX, 5),
    "prefetchi": (7, 1, EDX, 14),
    "sse4a": (0x80000001, 0, ECX, 6),
    "misalignsse": (0x80000001, 0, ECX, 7),
    "xop": (0x80000001, 0, ECX, 11),
    "fma4": (0x80000001, 0, ECX, 16),
    "tbm": (0x80000001, 0, ECX, 21),
    "topoext": (0x80000001, 0, ECX, 22),
    "mmxext": (0x80000001, 0, EDX, 22),
    "clzero": (0x80000008, 0, EBX, 0),
}
"""Bits that differ among the processors below; a processor has those that it lists and that this machine has."""

_SKYLAKE = frozenset({"rdseed", "adx", "clflushopt"})
_SKYLAKE_X = _SKYLAKE | {"clwb", "avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"}
_NEW_VECTORS = frozenset(
    {"avx512ifma", "avx512vbmi", "avx512vbmi2", "avx512vnni", "avx512bitalg", "avx512vpopcntdq"}
    | {"gfni", "vaes", "vpclmulqdq"}
)
_ICELAKE = _SKYLAKE_X | _NEW_VECTORS | {"sha", "umip", "rdpid", "fsrm"}
_SAPPHIRE_RAPIDS = _ICELAKE | {
    *("waitpkg", "cldemote", "movdiri", "movdir64b", "serialize", "tsxldtrk", "avxvnni", "avx512bf16", "avx512fp16"),
    *("fzrm", "fsrs", "fsrc", "amx_bf16", "amx_tile", "amx_int8"),
}
_RAPTOR_LAKE = _SKYLAKE | {
    *("clwb", "sha", "umip", "rdpid", "fsrm", "gfni", "vaes", "vpclmulqdq", "avxvnni"),
    *("waitpkg", "movdiri", "movdir64b", "serialize", "fzrm", "fsrs", "fsrc"),
}
_ZEN_1 = _SKYLAKE | {"sha", "sse4a", "misalignsse", "topoext", "mmxext", "clzero"}
_ZEN_2 = _ZEN_1 | {"clwb", "umip", "rdpid"}
_ZEN_3 = _ZEN_2 | {"vaes", "vpclmulqdq", "fsrm"}
_ZEN_4 = _ZEN_3 | _SKYLAKE_X | _NEW_VECTORS | {"avx512bf16"}
_ZEN_5 = _ZEN_4 | {"avxvnni", "movdiri", "movdir64b", "avx512vp2intersect", "prefetchi"}


@dataclass(frozen=True)
class Processor:
    """A processor model; bytes and ways of each cache, empty if CPUID reports no caches."""

    vendor: str
    model: tuple[int, int]
    brand: str
    caches: tuple[tuple[int, int], ...]
    features: frozenset[str]


PROCESSORS = {
    "haswell": Processor(
        "intel", (6, 63), "Intel(R) Xeon(R) CPU E5-2680 v3", ((32 * K, 8), (256 * K, 8), (30 * M, 20)), frozenset()
    ),
    "skylake-x": Processor(
        "intel", (6, 85), "Intel(R) Xeon(R) Platinum 8175M", ((32 * K, 8), (M, 16), (33 * M, 11)), _SKYLAKE_X
    ),
    "icelake": Processor(
        "intel", (6, 106), "Intel(R) Xeon(R) Platinum 8375C", ((48 * K, 12), (1280 * K, 20), (54 * M, 12)), _ICELAKE
    ),
    "sapphire-rapids": Processor(
        "intel",
        (6, 143),
        "Intel(R) Xeon(R) Platinum 8488C",
        ((48 * K, 12), (2 * M, 16), (105 * M, 15)),
        _SAPPHIRE_RAPIDS,
    ),
    "raptor-lake": Processor(
        "intel",
        (6, 183),
        "13th Gen Intel(R) Core(TM) i9-13900K",
        ((48 * K, 12), (2 * M, 16), (36 * M, 12)),
        _RAPTOR_LAKE,
    ),
    "zen1": Processor("amd", (23, 1), "AMD EPYC 7571", ((32 * K, 8), (512 * K, 8), (8 * M, 16)), _ZEN_1),
    "zen2": Processor("amd", (23, 49), "AMD EPYC 7R32", ((32 * K, 8), (512 * K, 8), (16 * M, 16)), _ZEN_2),
    "zen3": Processor("amd", (25, 1), "AMD EPYC 7R13", ((32 * K, 8), (512 * K, 8), (32 * M, 16)), _ZEN_3),
    "zen4": Processor("amd", (25, 17), "AMD EPYC 9R14", ((32 * K, 8), (M, 8), (32 * M, 16)), _ZEN_4),
    "zen5": Processor("amd", (26, 2), "AMD EPYC 9R45", ((48 * K, 12), (M, 16), (32 * M, 16)), _ZEN_5),
    # as QEMU makes one
    "virtual-machine": Processor(
        "intel",
        (6, 61),
        "Intel Core Processor (Broadwell)",
        ((32 * K, 8), (4 * M, 16), (16 * M, 16)),
        frozenset({"rdseed", "adx"}),
    ),
    "no-caches": Processor("intel", (6, 85), "Intel(R) Xeon(R) Processor", (), _SKYLAKE_X),
}

_VENDORS = {"intel": b"GenuineIntel", "amd": b"AuthenticAMD"}
_LINE = 64
"""Bytes of a cache line."""
_AMD_BASIC, _INTEL_EXTENDED, _AMD_EXTENDED = 0x10, 0x80000008, 0x80000021


def read_table(text: str) -> Table:
    """Read lines `leaf subleaf eax ebx ecx edx`, hexadecimal."""
    rows = ([int(word, 16) for word in line.split()] for line in text.splitlines())
    return {(row[0], row[1]): row[2:] for row in rows}


def write_table(table: Mapping[tuple[int, int], Iterable[int]]) -> str:
    """Write what `read_table` reads."""
    return "".join(
        f"{leaf:x} {sub:x} {' '.join(f'{value:x}' for value in row)}\n" for (leaf, sub), row in table.items()
    )


def table_of(processor: Processor, native: Table) -> Table:
    """The CPUID table of the processor, limited to the features of this machine.

    Args:
        native: this machine's own table.
    """
    table = {place: list(row) for place, row in native.items()}
    for name, (leaf, subleaf, register, bit) in FEATURES.items():
        if name not in processor.features and (leaf, subleaf) in table:
            table[leaf, subleaf][register] &= ~(1 << bit)
    table[1, 0][EAX] = _signature(*processor.model)
    brand = processor.brand.encode().ljust(48, b"\0")
    for place in range(3):
        table[0x80000002 + place, 0] = _words(brand[16 * place : 16 * place + 16])
    amd = processor.vendor == "amd"
    ebx, edx, ecx = _words(_VENDORS[processor.vendor])
    table[0, 0] = [min(native[0, 0][EAX], _AMD_BASIC) if amd else max(native[0, 0][EAX], 7), ebx, ecx, edx]
    table[0x80000000, 0] = [_AMD_EXTENDED if amd else _INTEL_EXTENDED, *((ebx, ecx, edx) if amd else (0, 0, 0))]
    with_caches = _with_amd_caches if amd else _with_intel_caches
    return with_caches(table, processor.caches)


def _signature(family: int, model: int) -> int:
    base = min(family, 15)
    return (family - base) << 20 | model >> 4 << 16 | base << 8 | (model & 15) << 4 | 2


def _words(text: bytes) -> list[int]:
    return [int.from_bytes(text[at : at + 4], "little") for at in range(0, len(text), 4)]


def _deterministic(caches: tuple[tuple[int, int], ...]) -> list[list[int]]:
    """Rows of leaf 4 and of AMD's 0x8000001d: data, instructions, second and third level, and the end."""
    if not caches:
        return [[0, 0, 0, 0]]
    first, second, third = caches
    data, code, unified = 1, 2, 3
    rows = []
    for kind, level, (size, ways), sharing in (
        (data, 1, first, 2),
        (code, 1, (32 * K, 8), 2),
        (unified, 2, second, 2),
        (unified, 3, third, 16),
    ):
        sets = size // (ways * _LINE)
        rows.append([(sharing - 1) << 14 | 1 << 8 | level << 5 | kind, (ways - 1) << 22 | (_LINE - 1), sets - 1, 0])
    return [*rows, [0, 0, 0, 0]]


def _without(table: Table, *leaves: int) -> Table:
    return {place: row for place, row in table.items() if place[0] not in leaves}


def _with_intel_caches(table: Table, caches: tuple[tuple[int, int], ...]) -> Table:
    result = _without(table, 2, 4, *range(0x80000005, 0x80000007), *range(0x80000009, 0x80000030))
    # descriptor 0xff: see leaf 4
    result[2, 0] = [0x00FEFF01, 0, 0, 0]
    result |= {(4, subleaf): row for subleaf, row in enumerate(_deterministic(caches))}
    second = caches[1] if caches else (0, 0)
    result[0x80000006, 0] = [0, 0, second[0] // K << 16 | _associativity(second[1]) << 12 | (_LINE if caches else 0), 0]
    return result


def _with_amd_caches(table: Table, caches: tuple[tuple[int, int], ...]) -> Table:
    result = _without(table, 2, 4, 0x14, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x8000001D)
    first, second, third = caches
    line = 1 << 8 | _LINE
    result[0x80000005, 0] = [
        0xFF40FF40,
        0xFF40FF40,
        first[0] // K << 24 | first[1] << 16 | line,
        32 << 24 | 8 << 16 | line,
    ]
    result[0x80000006, 0] = [
        0x48006400,
        0x68006400,
        second[0] // K << 16 | _associativity(second[1]) << 12 | line,
        third[0] // (512 * K) << 18 | _associativity(third[1]) << 12 | line,
    ]
    result |= {(0x8000001D, subleaf): row for subleaf, row in enumerate(_deterministic(caches))}
    return result


def _associativity(ways: int) -> int:
    """Code of a number of ways in leaf 0x80000006."""
    return {0: 0, 8: 6, 11: 8, 12: 8, 16: 8, 20: 10}[ways]
