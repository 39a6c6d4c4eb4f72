"""Instructions are found where they begin, and byte patterns inside others are left alone."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ontime.verification.processors.instructions import UNKNOWN, find_sites, write_sites

pytest.importorskip("capstone")

SOURCE = """
    .text
    .globl wanted
    .type wanted, @function
wanted:
    .cfi_startproc
    cpuid
    rcpps %xmm1, %xmm9
    rcpss 8(%rax,%rbx,4), %xmm3
    vrsqrtps %ymm14, %ymm15
    vrcpss (%r9), %xmm8, %xmm10
    vrcp14ps %zmm20, %zmm21{%k1}{z}
    vrsqrt14sd %xmm1, %xmm2, %xmm3
    vaddph 64(%rax), %zmm2, %zmm3
    vcmpph $1, 0x12345(%rax,%rbx), %zmm2, %k1
    vrcpph 0x53(%rip), %zmm3
    fsin
    fyl2xp1
    ret
    .cfi_endproc
    .size wanted, .-wanted

    .globl other
    .type other, @function
other:
    .cfi_startproc
    movl $0x53a20f53, %eax
    movabs $0xd9fed9fea20f530f, %rcx
    movl %ebx, %ecx
    call *%rax
    leaq 0x0f53a20f(%rip), %rdx
    addl $0x52f8c5, 0x530f(%rdi)
    ret
    .cfi_endproc
    .size other, .-other

    .section .rodata
    .byte 0x0f, 0xa2, 0x0f, 0x53, 0xc0
    .section .note.GNU-stack,"",@progbits
"""
NAMES = ["cpuid", "rcpps", "rcpss", "vrsqrtps", "vrcpss", "vrcp14ps", "vrsqrt14sd", "vrcpph", "fsin", "fyl2xp1"]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A shared library of the wanted instructions and of others that contain their bytes."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    source, made = tmp_path / "source.s", tmp_path / "library.so"
    source.write_text(SOURCE)
    subprocess.run(["cc", "-shared", "-nostdlib", "-o", made, source], check=True)
    return made


def test_instructions_are_found_in_order_with_their_bytes(library: Path) -> None:
    content = library.read_bytes()
    sites = find_sites(content)
    assert [site.mnemonic for site in sites] == NAMES
    assert all(content[site.offset : site.offset + len(site.code)] == site.code for site in sites)
    assert [len(site.code) for site in sites] == [2, 4, 6, 5, 5, 6, 6, 10, 2, 2]


@pytest.mark.parametrize("kept", ["frames", "symbols", "sections"])
def test_function_starts_come_from_frames_symbols_or_sections(library: Path, kept: str) -> None:
    if kept == "frames":
        subprocess.run(["strip", "--strip-all", library], check=True)
    else:
        content = bytearray(library.read_bytes())
        place = content.index(bytes([1, 0x1B, 0x03, 0x3B]))
        content[place] = 0xFF
        library.write_bytes(content)
    if kept == "sections":
        subprocess.run(["strip", "--strip-all", library], check=True)
    assert [site.mnemonic for site in find_sites(library.read_bytes())] == NAMES


def test_a_pattern_behind_an_unknown_instruction_is_named_unknown(library: Path) -> None:
    content = bytearray(library.read_bytes())
    first = find_sites(bytes(content))[0]
    content[first.offset : first.offset + 2] = b"\x06\x06"
    sites = find_sites(bytes(content))
    assert {site.mnemonic for site in sites} == {UNKNOWN}


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\n", b"\x7fELF" + b"\x01" * 80], ids=["empty", "script", "32 bits"]
)
def test_other_files_hold_none(content: bytes) -> None:
    assert find_sites(content) == []


def test_a_file_that_is_cut_off_is_an_error(library: Path) -> None:
    with pytest.raises(ValueError, match="buffer"):
        find_sites(library.read_bytes()[:70])


def test_a_list_is_kept_until_the_file_changes(library: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    listed = write_sites(library, cache)
    assert [line.split()[1] for line in listed.read_text().splitlines()] == NAMES
    listed.write_text("kept")
    assert write_sites(library, cache).read_text() == "kept"
    library.write_bytes(library.read_bytes() + b"\0")
    assert write_sites(library, cache) != listed
    assert sorted(path.suffix for path in cache.iterdir()) == [".sites", ".sites"]
