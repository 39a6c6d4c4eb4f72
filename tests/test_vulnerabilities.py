"""Known vulnerabilities of locked packages, as OpenVEX: each with a reason, of a version that is locked."""

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from ontime.common.files import read_json
from tests.checkouts import TOP

STATEMENTS: list[dict[str, Any]] = read_json(TOP / "docs" / "vulnerabilities.openvex.json")["statements"]
LOCKS = {
    "pkg:generic/ontime-image": "deployment/docker/requirements.txt",
    "pkg:generic/ontime-pipeline": "requirements.txt",
}
"""Lock file of each product."""


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda one: f"{one['vulnerability']['name']} {one['status']}")
def test_a_statement_has_its_reason_and_is_about_what_is_locked(statement: dict[str, Any]) -> None:
    assert statement.keys() >= {"vulnerability", "products", "status"}
    reason = {"not_affected": "impact_statement", "affected": "action_statement"}[statement["status"]]
    assert len(statement[reason]) > 20
    for product in statement["products"]:
        lock = (TOP / LOCKS[product["@id"]]).read_text(encoding="utf-8")
        for part in product["subcomponents"]:
            found = re.fullmatch(r"pkg:pypi/([a-z0-9-]+)@([0-9.]+)", part["@id"])
            assert found
            is_locked = f"\n{found[1]}==" in f"\n{lock}"
            assert is_locked == (statement.get("justification") != "component_not_present")
            assert not is_locked or f"\n{found[1]}=={found[2]} " in f"\n{lock}"


def test_what_the_review_of_dependencies_lets_pass_has_a_statement() -> None:
    content = YAML(typ="safe").load(TOP / ".github" / "workflows" / "dependency-review.yml")
    (step,) = content["jobs"]["dependency-review"]["steps"]
    allowed = set(step["with"]["allow-ghsas"].split(", "))
    assert allowed == {alias for one in STATEMENTS for alias in one["vulnerability"]["aliases"]}
