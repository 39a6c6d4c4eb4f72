"""Programs of a Go module for tests: the machine's own, or built once into the cache of tools."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.manifests.schemas import GO_TOOLCHAIN, Definitions, download
from ontime.manifests.tools import CACHE, find_go, last_line, one_at_a_time

TOP_FOLDER = "."
"""The folder of a module's program that has the module's name."""


def find_program(module: Definitions, installed: bool = True, files: Mapping[str, str] | None = None) -> str:
    """Path of a program, which a module has in its folder; skips the test where it is not there and not built.

    Args:
        installed: the machine's own program will do.
        files: contents by path of what the module lacks and its build embeds.
    """
    name = (module.module if module.folder == TOP_FOLDER else module.folder).rpartition("/")[2]
    found = shutil.which(name) if installed else None
    if found:
        return found
    try:
        return str(_built(name, module, files or {}))
    except OntimeError as error:
        pytest.skip(f"{name} is not installed and not built: {error}")


@one_at_a_time
def _built(name: str, module: Definitions, files: Mapping[str, str]) -> Path:
    path = CACHE / f"{name}-{module.version}"
    if path.is_file():
        return path
    source = download(module)
    click.echo(f"building {name}, once", err=True)
    with tempfile.TemporaryDirectory(prefix="ontime-build-") as folder, replacing(path) as temporary:
        if files:
            # the module's own folder is read-only
            source = shutil.copytree(source, Path(folder) / "source", copy_function=shutil.copyfile)
            for place, content in files.items():
                (source / place).parent.mkdir(parents=True, exist_ok=True)
                (source / place).write_text(content)
        done = subprocess.run(
            # without the clients of every cloud, by which Prometheus finds its targets
            [
                *(find_go(), "build", "-trimpath", "-mod=readonly", "-ldflags=-s -w", "-tags=remove_all_sd"),
                *("-o", str(temporary), f"./{module.folder}"),
            ],
            cwd=source,
            env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": GO_TOOLCHAIN},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OntimeError(f"{name}: not built: {last_line(done)}")
    return path
