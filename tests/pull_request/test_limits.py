"""The limits of a pull request are its base's, and what it changes of them is told."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ontime.common.errors import OntimeError
from ontime.common.params import load_section
from ontime.model_evaluation.settings import Evaluate
from ontime.pull_request.gate import Gate
from ontime.pull_request.limits import Limits, changed_limits, limits_of
from tests.checkouts import commit, git
from tests.commands import write_params
from tests.live import PARAMS


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The commit of a repository with this checkout's parameters."""
    (tmp_path / "params.yaml").write_bytes(PARAMS.read_bytes())
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "base")
    monkeypatch.chdir(tmp_path)
    return git(tmp_path, "rev-parse", "HEAD").strip()


def own() -> Limits:
    return Limits(load_section("gate", Gate), load_section("evaluate", Evaluate).slices)


@pytest.mark.attack("own-gate")
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"gate": {"confidence": 0.5}}, "`gate.confidence`: `0.998` in the base, `0.5` here"),
        ({"gate": {"slice_rows": 10**9}}, "`gate.slice_rows`: `500` in the base, `1000000000` here"),
        ({"gate": {"metrics": {}}}, "`gate.metrics.roc_auc.absolute`: `0.004` in the base, not judged here"),
        ({"evaluate": {"slices": []}}, '`evaluate.slices`: `["carrier", "origin"]` in the base, `[]` here'),
    ],
)
def test_a_changed_limit_stays_the_bases_and_is_told(base: str, changes: dict[str, Any], line: str) -> None:
    before = own()
    content = YAML(typ="safe").load(Path("params.yaml"))
    for section, values in changes.items():
        content[section] |= values
    write_params(content, Path("params.yaml"))
    assert own() != before
    assert limits_of(base) == before
    assert line in changed_limits(limits_of(base), own())


def test_the_same_limits_say_nothing(base: str) -> None:
    assert changed_limits(limits_of(base), own()) == []


@pytest.mark.parametrize("text", ["", "- x\n", "data: 1\n", "gate: [\n"])
def test_a_base_without_limits_is_told(base: str, text: str) -> None:
    del base
    Path("params.yaml").write_text(text)
    commit(Path.cwd(), "none")
    with pytest.raises(OntimeError, match="has no gate, so nothing can be judged"):
        limits_of(git(Path.cwd(), "rev-parse", "HEAD").strip())
