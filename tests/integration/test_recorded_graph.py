"""What the tests record of a small graph is what DVC would have recorded."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipelines.graph import needs
from tests.checkouts import run

pytestmark = pytest.mark.integration


def test_dvc_finds_nothing_to_run_and_every_reader_finds_the_stages(
    copy_of_run: Callable[[Path], Path], tmp_path: Path
) -> None:
    fork = copy_of_run(tmp_path / "fork")
    assert run("dvc", "status", cwd=fork).stdout == "Data and pipelines are up to date.\n"
    stages = yaml.safe_load((fork / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    assert len(stages) > 10
    assert all(isinstance(stage, dict) for stage in stages.values())
    assert needs(fork / "dvc.lock")["export"]
