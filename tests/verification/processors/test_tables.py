"""Tables of processors: what they tell, and that they claim nothing that the machine lacks."""

import pytest

from ontime.verification.processors.tables import (
    EAX,
    EBX,
    ECX,
    EDX,
    FEATURES,
    PROCESSORS,
    K,
    M,
    Table,
    read_table,
    table_of,
    write_table,
)

EVERYTHING: Table = {
    (0, 0): [0x20, 0, 0, 0],
    (1, 0): [0, 0, ~0 & 0xFFFFFFFF, ~0 & 0xFFFFFFFF],
    (2, 0): [1, 2, 3, 4],
    (4, 0): [1, 2, 3, 4],
    (7, 0): [1, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF],
    (7, 1): [0xFFFFFFFF] * 4,
    (0x80000000, 0): [0x80000008, 0, 0, 0],
    (0x80000001, 0): [0xFFFFFFFF] * 4,
    (0x80000008, 0): [0xFFFFFFFF] * 4,
}


def cache_sizes(table: Table, leaf: int) -> list[int]:
    """Bytes of the data and unified caches by the deterministic leaf, as Intel and AMD define it."""
    sizes = []
    for subleaf in range(8):
        eax, ebx, ecx, _ = table.get((leaf, subleaf), [0] * 4)
        if eax & 31 in (1, 3):
            sizes.append(((ebx >> 22) + 1) * ((ebx >> 12 & 1023) + 1) * ((ebx & 4095) + 1) * (ecx + 1))
    return sizes


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_has_the_features_named_for_it_and_its_caches(name: str) -> None:
    processor = PROCESSORS[name]
    table = table_of(processor, EVERYTHING)
    told = {
        feature for feature, (leaf, sub, register, bit) in FEATURES.items() if table[leaf, sub][register] >> bit & 1
    }
    leaf = 0x8000001D if processor.vendor == "amd" else 4
    assert told == processor.features
    assert cache_sizes(table, leaf) == pytest.approx([size for size, _ in processor.caches], rel=0.1)
    assert cache_sizes(table, 4 if leaf != 4 else 0x8000001D) == []
    text = b"".join(value.to_bytes(4, "little") for place in (2, 3, 4) for value in table[0x80000000 + place, 0])
    assert text.rstrip(b"\0").decode() == processor.brand


@pytest.mark.parametrize("name", PROCESSORS)
def test_no_feature_is_claimed_that_the_machine_lacks(name: str) -> None:
    nothing = {place: [row[EAX], 0, 0, 0] if place == (7, 0) else [0] * 4 for place, row in EVERYTHING.items()}
    table = table_of(PROCESSORS[name], nothing)
    assert not any(table[leaf, subleaf][register] >> bit & 1 for leaf, subleaf, register, bit in FEATURES.values())
    assert table[1, 0][ECX] == table[1, 0][EDX] == 0


def test_vendors_and_models_are_told_as_their_makers_do() -> None:
    zen, haswell = (table_of(PROCESSORS[name], EVERYTHING) for name in ("zen2", "haswell"))
    assert b"".join(zen[0, 0][register].to_bytes(4, "little") for register in (EBX, EDX, ECX)) == b"AuthenticAMD"
    assert b"".join(haswell[0, 0][register].to_bytes(4, "little") for register in (EBX, EDX, ECX)) == b"GenuineIntel"
    assert zen[1, 0][EAX] & 0x0FFF0FF0 == 0x00830F10
    assert haswell[1, 0][EAX] & 0x0FFF0FF0 == 0x000306F0
    assert zen[0x80000005, 0][ECX] >> 24 == 32
    assert zen[0x80000006, 0][ECX] >> 16 == 512
    assert (K, M) == (1024, 1024**2)


def test_a_table_is_read_as_it_was_written() -> None:
    assert read_table(write_table(EVERYTHING)) == EVERYTHING
