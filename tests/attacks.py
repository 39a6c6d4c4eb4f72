"""Attacks that the project must withstand, by name; a test that carries one out has the marker `attack(name)`."""

from collections.abc import Iterable

import pytest

ATTACKS = {
    "dispatch-input": "a setting of a dispatched retraining runs a command or reads a token",
    "remote-code": "an object in the DVC remote writes outside its folder or is loaded as code",
    "remote-model": "an object in the DVC remote is overwritten, and the changed model is signed or released",
    "unmerged-tag": "a tag on a commit that was never merged is built or released",
    "squatted-branch": "a branch with the name of a promotion is pushed before the promotion",
    "forged-release-file": "a pull request writes a release file with an invented version or image",
    "forged-image": "an image has the right model and another layer, entry point, variable or key",
    "forged-pod": "a pod in the cluster differs from the committed manifest",
    "own-gate": "a pull request changes the limits that it is judged by",
    "removed-check": "an unsigned commit removes the check of signatures",
    "forged-comment": "a fork's report replaces a comment of a maintainer",
    "forged-incident": "an issue or a cause by somebody else changes what the project says of an alarm",
    "changed-package": "a package, or the tool that installs it, is not the one that was locked",
    "other-workflow": "another workflow of the repository attests or signs an image",
    "escaped-tag": "a tag is a release for one part of the project and not for another",
    "report-storage": "pull requests from forks fill the repository",
    "second-server": "TensorFlow Serving serves a model without a signature, or to anybody",
    "platform-access": "a service of the platform is used with its default account or without one",
    "admission": "a pod that the release identity did not sign is created in the cluster",
    "client": "a client without an identity reaches the service",
}
"""What the attacker does, by the attack's name."""
NAME = "attack"


def name_attacks(items: Iterable[pytest.Item]) -> None:
    """Note in each test's report the attack that it carries out; a name outside `ATTACKS` is refused."""
    for item in items:
        for marker in item.iter_markers(NAME):
            if len(marker.args) != 1 or marker.args[0] not in ATTACKS:
                raise pytest.UsageError(f"{item.nodeid}: attack{marker.args} is not in tests/attacks.py")
            item.user_properties.append((NAME, marker.args[0]))


def verdicts(reports: dict[str, list[pytest.TestReport]]) -> list[str]:
    """A line for each attack: its verdict, its name, the number of tests and what the attacker does."""
    found: dict[str, list[str]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reports.get(outcome, []):
            for key, value in getattr(report, "user_properties", []):
                if key == NAME and (report.when == "call" or outcome != "passed"):
                    found.setdefault(str(value), []).append(outcome)
    lines = []
    for name, description in ATTACKS.items():
        outcomes = found.get(name, [])
        bad = [one for one in outcomes if one in ("failed", "error")]
        verdict = "SUCCEEDED" if bad else "refused" if "passed" in outcomes else "not run"
        lines.append(f"{verdict:<10} {name:<20} {len(outcomes):>4} tests  {description}")
    return lines
