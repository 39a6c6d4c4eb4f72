"""What a training job leaves is taken over as hashes, and everything else of it is refused."""

import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ontime.common.errors import OntimeError
from ontime.repository.lock_file import read_lock
from ontime.retraining.proposal import MOST_BYTES, MOST_FILES, description
from tests.checkouts import commit, git
from tests.commands import run_command
from tests.live import live

OLD, NEW = "a" * 64, "b" * 64
IMPORT = """deps:
- url: https://example.invalid/a.csv
  etag: '"1"'
  size: 4
outs:
- md5: d41d8cd98f00b204e9800998ecf8427e
  size: 4
  hash: md5
  path: a.csv
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with this checkout's lock and parameters, the latter of a pinned table, and one import."""
    top = tmp_path / "checkout"
    top.mkdir()
    yaml = YAML()
    params = yaml.load(live("params.yaml"))
    params["data"]["options"] = {"target": "late", "sha256": OLD}
    yaml.dump(params, top / "params.yaml")
    (top / "dvc.lock").write_bytes(live("dvc.lock").read_bytes())
    (top / "a.csv.dvc").write_text(IMPORT)
    git(top, "init", "--quiet", "--initial-branch=main")
    commit(top, "main")
    monkeypatch.chdir(top)
    return top


@pytest.fixture
def left(checkout: Path, tmp_path: Path) -> Path:
    """What an honest job left: other hashes in the lock, in the import and of the table."""
    folder = tmp_path / "left"
    folder.mkdir()
    lock = (checkout / "dvc.lock").read_text()
    changed = re.sub(r"(path: data/raw\n.*?md5: )[0-9a-f]{32}", rf"\g<1>{'c' * 32}", lock, flags=re.DOTALL)
    assert changed != lock
    (folder / "dvc.lock").write_text(changed)
    (folder / "params.yaml").write_text((checkout / "params.yaml").read_text().replace(OLD, NEW))
    (folder / "a.csv.dvc").write_text(IMPORT.replace("d41d", "d41e").replace("size: 4", "size: 5"))
    return folder


def propose(monkeypatch: pytest.MonkeyPatch, folder: Path, settings: str = "") -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(settings))
    run_command("propose", str(folder))


def test_hashes_are_taken_over_and_parameters_are_written_from_the_settings(
    checkout: Path, left: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = left / "params.yaml"
    params.write_text(params.read_text().replace("trials: 20", "trials: 21") + "# from the job\n")
    propose(monkeypatch, left, "tune.trials=21")
    assert git(checkout, "diff", "--name-only").split() == ["a.csv.dvc", "dvc.lock", "params.yaml"]
    for name in ("a.csv.dvc", "dvc.lock"):
        assert (checkout / name).read_bytes() == (left / name).read_bytes()
    assert "trials: 21\n" in (checkout / "params.yaml").read_text()
    assert f"sha256: {NEW}\n" in (checkout / "params.yaml").read_text()
    assert "# from the job" not in (checkout / "params.yaml").read_text()
    assert "tune.trials=21" in capsys.readouterr().out
    assert read_lock(checkout / "dvc.lock")


def in_lock(change: Callable[[Any], None]) -> Callable[[Path], None]:
    """A change of the lock's content."""

    def apply(left: Path) -> None:
        yaml = YAML()
        content = yaml.load(left / "dvc.lock")
        change(content["stages"])
        yaml.dump(content, left / "dvc.lock")

    return apply


def in_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    """A change of a file's text."""

    def apply(left: Path) -> None:
        text = (left / name).read_text()
        assert old in text
        (left / name).write_text(text.replace(old, new))

    return apply


def add(name: str, content: bytes = b"x") -> Callable[[Path], None]:
    """One more file."""

    def apply(left: Path) -> None:
        (left / name).parent.mkdir(parents=True, exist_ok=True)
        (left / name).write_bytes(content)

    return apply


def link(name: str, target: str) -> Callable[[Path], None]:
    """A symbolic link in a file's place."""

    def apply(left: Path) -> None:
        (left / name).unlink(missing_ok=True)
        (left / name).symlink_to(target)

    return apply


def many(left: Path) -> None:
    """More files than are read."""
    for number in range(MOST_FILES + 1):
        (left / f"{number}.dvc").touch()


def bomb(left: Path) -> None:
    """A small file whose content is a billion values."""
    first = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"
    lines = [first, *(f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]" for number in range(1, 10))]
    (left / "dvc.lock").write_text("\n".join(lines))


@pytest.mark.attack("dispatch-input")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (add(".github/workflows/owned.yml"), "retraining changes dvc.lock, params.yaml and .dvc files alone"),
        (add("src/sitecustomize.py"), "retraining changes dvc.lock, params.yaml and .dvc files alone"),
        (add("dvc.yaml"), "retraining changes dvc.lock, params.yaml and .dvc files alone"),
        (add("b.csv.dvc", IMPORT.encode()), "'b.csv.dvc': retraining changes"),
        (add(".dvc/config"), "'.dvc/config': retraining changes"),
        (many, f"more than {MOST_FILES} files"),
        (add("dvc.lock", b"#" * (MOST_BYTES + 1)), "or a file above 1,000,000 bytes"),
        (link("dvc.lock", "/etc/passwd"), "'dvc.lock': not a regular file"),
        (link("folder", "/etc"), "'folder': not a regular file"),
        (lambda left: os.mkfifo(left / "b.csv.dvc"), "'b.csv.dvc': not a regular file"),
        (add("dvc.lock", b"\xff\xfe"), "dvc.lock: not a YAML file"),
        (add("dvc.lock", b"stages: [\n"), "dvc.lock: not a YAML file"),
        (add("dvc.lock", b"[" * 400_000 + b"]" * 400_000), "dvc.lock: not a YAML file"),
        (bomb, "without aliases"),
        (in_lock(lambda stages: stages["ingest"].update(cmd="touch owned")), "stages.ingest.cmd': not as in main"),
        (in_lock(lambda stages: stages["export"]["outs"][0].update(path="../src")), "not as in main"),
        (in_lock(lambda stages: stages["ingest"]["outs"][0].update(md5="../../src")), "not the form of such a value"),
        (in_lock(lambda stages: stages["ingest"]["outs"][0].update(md5="c" * 32)), "not as in main"),
        (in_lock(lambda stages: stages["ingest"]["outs"][0].update(size="1; id")), "not the form of such a value"),
        (in_lock(lambda stages: stages["ingest"]["outs"][0].update(remote="mine")), "outs.0.remote': not as in main"),
        (in_lock(lambda stages: stages["ingest"]["params"].update({"other.yaml": {"x": 1}})), "not as in main"),
        (in_lock(lambda stages: stages["ingest"]["params"]["params.yaml"].update({"x": 1})), "not as in main"),
        (in_lock(lambda stages: stages.pop("export")), "stages.export"),
        (in_lock(lambda stages: stages.update(owned=stages["export"])), "not a YAML file of keys and values, without"),
        (in_text("a.csv.dvc", "https://example.invalid", "https://elsewhere.invalid"), "deps.0.url': not as in main"),
        (in_text("a.csv.dvc", "path: a.csv", "path: ../a.csv"), "outs.0.path': not as in main"),
        (in_text("a.csv.dvc", '"1"', "1\n2"), "not the form of such a value"),
        (in_text("params.yaml", NEW, "x"), "data.options.sha256: not a SHA-256"),
        (in_text("params.yaml", "absolute: 0.004", "absolute: 1.0"), "'gate': not what the settings say"),
        (in_text("params.yaml", "target: late", "target: other"), "'data': not what the settings say"),
        (in_text("params.yaml", "trials: 20", "trials: 21"), "'tune': not what the settings say"),
        (add("params.yaml", b"- x\n"), "params.yaml: not a YAML file of keys and values"),
    ],
)
def test_what_is_more_than_a_hash_is_refused_and_nothing_is_written(
    checkout: Path, left: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], reason: str
) -> None:
    change(left)
    with pytest.raises(OntimeError) as error:
        propose(monkeypatch, left)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert not git(checkout, "status", "--porcelain")


@pytest.mark.usefixtures("checkout")
def test_an_empty_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(OntimeError, match="the training job left no file"):
        propose(monkeypatch, tmp_path / "empty")


@pytest.mark.attack("dispatch-input")
@pytest.mark.parametrize(
    "payload",
    [
        {"feature": "~~~\n\n# Approved\n\n@everybody"},
        {"~~~~~~": "~~~~~~~"},
        {"text": "```\n<img src=https://example.invalid>"},
        {"text": "\u202egnp.exe\x1b[31m"},
        {"text": "x" * 60_000},
        [["~" * 5_000]],
    ],
)
def test_an_alert_stays_in_its_fence_whatever_it_says(payload: Any) -> None:
    text = description({"split.seed": 1}, json.dumps(payload))
    lines = text.split("\n")
    fence = lines[lines.index("The alert that asked for it:") + 2].removesuffix("text")
    assert set(fence) == {"~"}
    assert len(fence) >= 3
    block = lines[lines.index(f"{fence}text") + 1 :] if fence != "~~~" else lines[len(lines) - 1 :]
    # the fence's own kind ends a block of code: no line before the last may begin with as many
    inside = text.split("The alert that asked for it:\n\n")[1].split("\n")[1:-1]
    assert not [line for line in inside if line.strip().startswith(fence)]
    assert block[-1] == fence
    assert text.isascii()
    assert len(text) < 20_000


def test_an_alert_that_is_no_json_or_none_at_all_is_no_error() -> None:
    assert "~~~text\n'x'\n~~~" in description({}, "x")
    assert "alert" not in description({}, "null")
    assert "settings" not in description({}, "")
