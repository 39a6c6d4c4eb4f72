"""What people expect of a repository that they fork: a changelog, a citation, templates, and a container to work in."""

import json
import re
import tomllib
from typing import Any

import pytest
from ruamel.yaml import YAML

from ontime.release.tags import is_version
from tests.checkouts import TOP, git

CONTAINER = TOP / ".devcontainer"
DATE = re.compile(r"\d{4}-\d\d-\d\d")


def settings() -> dict[str, Any]:
    """The project's table of pyproject.toml."""
    project: dict[str, Any] = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def not_kept(changelog: str, tagged: set[str]) -> list[str]:
    """What is wrong with the headings of a changelog: a version without a tag or a date, or not newest first.

    Args:
        tagged: the versions that are tags; none if the checkout has no tags at all, as in CI.
    """
    first, *versions = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    wrong = [] if first == "Unreleased" else [f"{first}: not Unreleased"]
    found = []
    for heading in versions:
        name, _, date = heading.partition(" - ")
        version = f"v{name.strip('[]')}"
        wrong += [] if is_version(version) and (not tagged or version in tagged) else [f"{name}: no tag"]
        wrong += [] if DATE.fullmatch(date) else [f"{name}: no date"]
        found.append([int(part) for part in re.findall(r"\d+", name)])
    wrong += [] if found == sorted(found, reverse=True) else ["not newest first"]
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    return wrong + [kind for kind in re.findall(r"^### (.*)$", changelog, re.MULTILINE) if kind not in kinds]


def test_a_version_in_the_changelog_is_a_tag() -> None:
    tagged = {name.partition("@")[2] for name in git(TOP, "tag", "--list", "*@v*").split()}
    assert not not_kept((TOP / "CHANGELOG.md").read_text(encoding="utf-8"), tagged)


@pytest.mark.parametrize(
    ("headings", "wrong"),
    [
        ("## Unreleased\n## [1.1.0] - 2026-01-02\n## [1.0.0] - 2026-01-01\n", []),
        ("## Unreleased\n## [2.0.0] - 2026-01-02\n", ["[2.0.0]: no tag"]),
        ("## Unreleased\n## [1.0.0]\n", ["[1.0.0]: no date"]),
        ("## Unreleased\n## [1.0.0] - 2026-01-01\n## [1.1.0] - 2026-01-02\n", ["not newest first"]),
        ("## Unreleased\n### Improved\n", ["Improved"]),
        ("## [1.0.0] - 2026-01-01\n", ["[1.0.0] - 2026-01-01: not Unreleased"]),
    ],
)
def test_a_changelog_of_another_form_is_named(headings: str, wrong: list[str]) -> None:
    assert not_kept(headings, {"v1.0.0", "v1.1.0"}) == wrong


def test_the_citation_is_of_this_project() -> None:
    citation = YAML(typ="safe").load(TOP / "CITATION.cff")
    assert citation["license"] == settings()["license"]
    assert citation["title"].startswith(f"{settings()['name']}: ")
    (author,) = citation["authors"]
    assert author["name"] in (TOP / "LICENSE").read_text(encoding="utf-8")


def test_the_container_runs_setup_on_the_image_of_the_service() -> None:
    container = json.loads((CONTAINER / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"] == "make setup"
    assert (CONTAINER / container["build"]["dockerfile"]).is_file()
    bases = {
        re.findall(r"^ARG BASE=(.*)$", (folder / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)[0]
        for folder in (CONTAINER, TOP / "deployment" / "docker")
    }
    assert len(bases) == 1


def test_contributing_names_each_check_that_main_requires() -> None:
    rules = json.loads((TOP / ".github" / "rulesets" / "main.json").read_text(encoding="utf-8"))["rules"]
    (required,) = (rule["parameters"] for rule in rules if rule["type"] == "required_status_checks")
    rows = re.findall(r"^\| `([\w-]+)` \|", (TOP / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(check["context"] for check in required["required_status_checks"])
