"""Every object of DVC's cache is read; corrupted ones are removed and the others kept."""

import subprocess
import sys
from pathlib import Path

import pytest

from ontime.cli import commands
from ontime.common.errors import OntimeError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a repository that tracks a file and a folder of two; DVC's program is on PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{Path('/usr/bin')}")
    (tmp_path / "file").write_text("one")
    (tmp_path / "folder").mkdir()
    for name in "ab":
        (tmp_path / "folder" / name).write_text(name)
    subprocess.run(["dvc", "init", "--quiet", "--no-scm"], check=True)
    subprocess.run(["dvc", "add", "--quiet", "file", "folder"], check=True)
    return tmp_path / ".dvc" / "cache" / "files" / "md5"


def objects(cache: Path) -> list[Path]:
    return sorted(path for path in cache.glob("??/*") if path.is_file())


def test_corrupted_objects_are_named_and_removed_and_come_back(cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert len(objects(cache)) == 4
    commands.main(["cache"], standalone_mode=False)
    assert capfd.readouterr().out == "4 objects, 0 corrupted\n"

    (listing,) = [path for path in objects(cache) if path.suffix == ".dir"]
    damaged = [listing, cache / "f9" / "7c5d29941bfb1b2fdab0874906ab82"]
    for path in damaged:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(OntimeError, match="get them back with `ontime pull`"):
        commands.main(["cache"], standalone_mode=False)
    output = capfd.readouterr().out
    for path in damaged:
        assert not path.exists()
        assert f"removed {path.parent.name}{path.name}: " in output
    assert output.endswith("4 objects, 2 corrupted\n")
    assert len(objects(cache)) == 2

    commands.main(["cache"], standalone_mode=False)
    assert capfd.readouterr().out == "2 objects, 0 corrupted\n"
