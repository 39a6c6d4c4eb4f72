"""Each row of `docs/platform.md` is about an Application of the platform, and names tests that exist."""

import pytest

from ontime.manifests.render import parse
from tests.checkouts import TOP
from tests.pages import NODE, named_tests

ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in (TOP / "docs" / "platform.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
]
FOLDER = TOP / "argocd" / "platform"


def test_each_application_has_a_row_in_the_order_of_the_kustomization() -> None:
    (kustomization,) = parse((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
    applications = [parse((FOLDER / name).read_text(encoding="utf-8")) for name in kustomization["resources"]]
    assert [row[0].strip("`") for row in ROWS] == [one["metadata"]["name"] for (one,) in applications]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("`"))
def test_a_row_names_tests_that_exist_or_says_that_nothing_runs(row: list[str]) -> None:
    _, runs, absent = row
    nodes = NODE.findall(runs)
    assert nodes or runs.startswith("nothing")
    assert absent
    for file, name in nodes:
        assert name in named_tests(TOP / file), f"{file}::{name}"
