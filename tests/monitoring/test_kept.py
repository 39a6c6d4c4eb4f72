"""A job that begins in an empty folder gets what the days before left, and leaves what is new."""

from pathlib import Path

import pytest

from tests.commands import run_command

DAY = "2024-04-01.json"


@pytest.mark.parametrize("address", ["{folder}", "memory://monitoring/{name}"])
def test_what_is_kept_comes_back_and_what_did_not_change_is_not_written_again(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = address.format(folder=tmp_path / "kept", name=tmp_path.name)
    files = {f"day/{DAY}": "1", f"inputs/{DAY}": "2", f"labels/days/{DAY}": "3", "report.md": "4", "day.prom": "5"}
    others = {"summary.txt": "6", "inputs.prom": "7", f".day/{DAY}": "8", f"day/.{DAY}.partial": "9"}
    for name, text in {**files, **others}.items():
        (tmp_path / "first" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "first" / name).write_text(text)
    run_command("monitor", "keep", str(tmp_path / "first"), place)
    run_command("monitor", "keep", str(tmp_path / "first"), place)
    run_command("monitor", "fetch", place, str(tmp_path / "second"))
    assert capsys.readouterr().out.splitlines() == [
        f"{place}: 5 files written",
        f"{place}: 0 files written",
        f"{place}: 3 files of days",
    ]
    found = {
        str(path.relative_to(tmp_path / "second")): path.read_text() for path in (tmp_path / "second").rglob("*.json")
    }
    assert found == {name: text for name, text in files.items() if name.endswith(".json")}


def test_a_place_that_is_empty_gives_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_command("monitor", "fetch", str(tmp_path / "nowhere"), str(tmp_path / "here"))
    assert capsys.readouterr().out == f"{tmp_path / 'nowhere'}: 0 files of days\n"
