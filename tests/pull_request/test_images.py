"""Images of another run: pixels are kept, everything else is not."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ontime.pull_request.images import MOST_BYTES, MOST_PIXELS
from tests.commands import run_command


def chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, pixels: bytes) -> bytes:
    """A PNG file that says a size, with other content."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def noise(path: Path) -> None:
    """An image that cannot be small."""
    pixels = np.random.default_rng(0).integers(0, 256, (MOST_PIXELS, MOST_PIXELS, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def images(folder: Path) -> dict[str, bytes]:
    output = folder.parent / "images"
    run_command("images", str(folder), str(output))
    return {path.name: path.read_bytes() for path in output.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "report"
    made.mkdir()
    return made


@pytest.mark.attack("report-storage")
def test_pixels_stay_and_what_hides_beside_them_does_not(folder: Path) -> None:
    secret = b"a payload that is hidden beside the pixels"
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", secret.decode() * 100)
    image = Image.new("RGB", (30, 20), (1, 2, 3))
    image.save(folder / "roc.png", pnginfo=text, icc_profile=secret)
    with (folder / "roc.png").open("ab") as stream:
        stream.write(secret * 1000)
    (folder / "evil.png").write_bytes((folder / "roc.png").read_bytes())
    (folder / "evil.sh").write_text("id")
    found = images(folder)
    assert list(found) == ["roc.png"]
    assert len(found["roc.png"]) < 300
    with Image.open(folder.parent / "images" / "roc.png") as again:
        assert again.info == {}
        assert (again.size, again.getpixel((3, 3))) == ((30, 20), (1, 2, 3, 255))


@pytest.mark.attack("report-storage")
@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"first"), "not a PNG image"),
        (lambda path: path.write_text("#!/bin/sh\n"), "not a PNG image"),
        (lambda path: path.write_text("<svg onload='x()'/>"), "not a PNG image"),
        (lambda path: Image.new("RGB", (3, 3)).save(path, "GIF"), "not a PNG image"),
        (lambda path: path.write_bytes(png(10, 10, b"\0" * 5)), "not a PNG image"),
        (lambda path: path.write_bytes(png(60_000, 60_000, b"\0")), "not a PNG image: DecompressionBomb"),
        (lambda path: path.write_bytes(png(MOST_PIXELS + 1, 1, b"\0" * 2000)), "larger than 1,500 pixels"),
        (lambda path: path.write_bytes(b"\0" * (MOST_BYTES + 1)), "larger than 200,000 bytes"),
        (noise, "larger than 200,000 bytes"),
        (lambda path: path.symlink_to("/etc/passwd"), "no such file"),
        (lambda path: os.mkfifo(path), "no such file"),
        (lambda path: path.mkdir(), "no such file"),
    ],
)
def test_what_is_no_small_png_is_left_out_with_the_reason(
    folder: Path, write: Callable[[Path], object], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "roc.png")
    assert images(folder) == {}
    assert reason in capsys.readouterr().out
