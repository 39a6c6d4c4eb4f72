"""A champion's folder that a test may change."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ontime.common.files import sha256


@pytest.fixture
def folder(signed: Path, tmp_path: Path) -> Path:
    """A copy of the fork's champion."""
    return Path(shutil.copytree(signed / "model", tmp_path / "champion"))


@pytest.fixture
def change_json(folder: Path) -> Callable[[str, Callable[[Any], Any]], None]:
    """A function that changes the content of a JSON file, and the manifest's hash of it."""

    def change(name: str, changed: Callable[[Any], Any]) -> None:
        path, manifest = folder / name, folder / "manifest.json"
        path.write_text(json.dumps(changed(json.loads(path.read_text()))))
        if name != manifest.name:
            content = json.loads(manifest.read_text())
            content["files"][name] = {"sha256": sha256(path), "size": path.stat().st_size}
            manifest.write_text(json.dumps(content))

    return change
