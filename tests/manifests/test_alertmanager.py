"""Alertmanager's configuration: it is valid, every alert gets to whoever must know, and no secret is in it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ontime.manifests.render import Manifest
from tests.alertmanager import MOUNTED, VERSION, chart_values, find_amtool, write_configuration
from tests.checkouts import TOP
from tests.pages import HOW_TO
from tests.promtool import alert_rules

pytestmark = pytest.mark.xdist_group("manifests")
TEAM = {"model": "model", "platform": "platform"}
"""Receiver of an owner's alerts."""


@pytest.fixture(scope="module")
def configuration(rendered: dict[str, list[Manifest]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alertmanager")
    return write_configuration(rendered["argocd"], folder, folder)


def amtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([find_amtool(), *arguments], capture_output=True, text=True, check=False)


def receivers_of(configuration: Path, labels: dict[str, str]) -> str:
    told = [f"{name}={value}" for name, value in labels.items()]
    done = amtool("config", "routes", "test", f"--config.file={configuration}", *told)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_configuration_is_valid_for_the_version_that_runs(
    rendered: dict[str, list[Manifest]], configuration: Path
) -> None:
    assert chart_values(rendered["argocd"])["alertmanagerSpec"]["image"]["tag"] == VERSION
    done = amtool("check-config", str(configuration))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 inhibit rules" in done.stdout and "5 receivers" in done.stdout


def test_every_alert_gets_to_its_owner_and_a_critical_one_by_mail_too(
    configuration: Path, production: list[Manifest]
) -> None:
    for name, rule in alert_rules(production).items():
        labels = rule["labels"]
        wanted = ["challenger"] if name == "OntimeLabelsMoved" else []
        wanted += ["mail"] if labels["severity"] == "critical" else []
        wanted += [TEAM[labels["owner"]]]
        assert receivers_of(configuration, {"alertname": name, **labels}) == ",".join(wanted), name


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ({"alertname": "Watchdog", "severity": "none"}, "nobody"),
        ({"alertname": "InfoInhibitor", "severity": "none"}, "nobody"),
        ({"alertname": "KubePodCrashLooping", "severity": "warning", "namespace": "mlflow"}, "platform"),
        ({"alertname": "KubeAPIDown", "severity": "critical"}, "mail,platform"),
        ({"alertname": "Unlabelled"}, "platform"),
    ],
)
def test_an_alert_of_the_cluster_gets_to_the_platforms_owners(
    configuration: Path, labels: dict[str, str], wanted: str
) -> None:
    assert receivers_of(configuration, labels) == wanted


def test_what_is_secret_is_in_files_of_the_documented_secret_alone(rendered: dict[str, list[Manifest]]) -> None:
    values = chart_values(rendered["argocd"])
    texts = [*all_texts(values["config"])]
    files = {text for name, text in texts if name.endswith("_file")}
    secret = re.search(r"^\| `alertmanager-receivers` \| monitoring \| (.*?) \|", page(), re.MULTILINE)
    assert secret and files == {f"{MOUNTED}alertmanager-receivers/{key}" for key in re.findall(r"`(.+?)`", secret[1])}
    assert values["alertmanagerSpec"]["secrets"] == ["alertmanager-receivers"]
    kept = re.compile(r"(url|password|token|secret|credentials|key)$")
    assert not [name for name, _ in texts if kept.search(name)]


def test_the_web_hook_starts_the_workflow_that_trains(rendered: dict[str, list[Manifest]]) -> None:
    receivers = chart_values(rendered["argocd"])["config"]["receivers"]
    (hook,) = [one for receiver in receivers for one in receiver.get("webhook_configs", [])]
    workflow = yaml.safe_load((TOP / ".github" / "workflows" / "retrain.yml").read_text(encoding="utf-8"))
    # YAML 1.1 reads `on` as true
    assert hook["payload"]["event_type"] in workflow[True]["repository_dispatch"]["types"]


def all_texts(content: Any, name: str = "") -> list[tuple[str, str]]:
    """Every text of a configuration with the name of its field."""
    if isinstance(content, dict):
        return [found for key, value in content.items() for found in all_texts(value, key)]
    if isinstance(content, list):
        return [found for value in content for found in all_texts(value, name)]
    return [(name, content)] if isinstance(content, str) else []


def page() -> str:
    return (HOW_TO / "accounts.md").read_text(encoding="utf-8")
