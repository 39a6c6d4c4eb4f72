"""Take over the images that a run of a pull request left: each decoded as PNG and written anew from its pixels.

In: a folder of another run, whose content is data. Out: a folder with those of the report's images that are PNG, of
bounded size and dimensions; no byte of the originals is kept. Any other is left out, with a line that says why.
"""

import io
import warnings
from pathlib import Path

import click
from PIL import Image

from ontime.common.files import replacing

NAMES = ("roc.png", "calibration.png")
MOST_BYTES, MOST_PIXELS = 200_000, 1_500
"""Of a file, and along each side."""


@click.command(name="images")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("output", type=click.Path(path_type=Path))
def command(folder: Path, output: Path) -> None:
    """Write the report's images in FOLDER anew to OUTPUT."""
    with replacing(output) as target:
        target.mkdir()
        for name in NAMES:
            path = folder / name
            if path.is_symlink() or not path.is_file():
                click.echo(f"{name}: no such file")
                continue
            found = redrawn(path)
            if isinstance(found, bytes):
                (target / name).write_bytes(found)
                click.echo(f"{name}: {len(found):,} bytes")
            else:
                click.echo(f"{name}: left out, {found}")


def redrawn(path: Path) -> bytes | str:
    """The pixels of an image as a PNG of their own, or why there is none."""
    if path.stat().st_size > MOST_BYTES:
        return f"larger than {MOST_BYTES:,} bytes"
    try:
        with warnings.catch_warnings(), Image.open(path, formats=["PNG"]) as image:
            # a warning of a decompression bomb is an error too
            warnings.simplefilter("error")
            if max(image.size) > MOST_PIXELS:
                return f"larger than {MOST_PIXELS:,} pixels"
            # RGBA keeps no palette, text, profile or further frame
            pixels = image.convert("RGBA")
    except Exception as error:  # whatever a decoder raises on bytes of others
        return f"not a PNG image: {type(error).__name__}"
    written = io.BytesIO()
    clean = Image.new("RGBA", pixels.size)
    clean.paste(pixels)
    clean.save(written, "PNG", optimize=True)
    content = written.getvalue()
    return content if len(content) <= MOST_BYTES else f"larger than {MOST_BYTES:,} bytes when written anew"
