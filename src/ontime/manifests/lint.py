"""Checkov's findings in rendered manifests."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ontime.common.errors import OntimeError
from ontime.common.files import write_json
from ontime.manifests.render import Manifest, name_of
from ontime.manifests.tools import TOOLS, find_checkov


def lint(rendered: Mapping[str, list[Manifest]]) -> Iterator[str]:
    """Checkov's findings; its exceptions, each with a reason, are in `deployment/tools/checkov.yaml`."""
    with tempfile.TemporaryDirectory(prefix="ontime-manifests-") as folder:
        for target, manifests in rendered.items():
            # a PodTemplate runs nothing; it is a copy of what is linted as part of an overlay
            for number, manifest in enumerate(one for one in manifests if one.get("kind") != "PodTemplate"):
                path = Path(folder) / target / f"{number:03}-{name_of(manifest).replace(' ', '-')}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, known_to_linters(manifest))
        done = subprocess.run(
            [
                *(find_checkov(), "--directory", folder, "--config-file", TOOLS / "checkov.yaml"),
                *("--framework", "kubernetes", "--output", "json", "--quiet", "--compact", "--skip-download"),
            ],
            env={**os.environ, "LOG_LEVEL": "ERROR"},
            capture_output=True,
            text=True,
            check=False,
        )
    try:
        results = json.loads(done.stdout)
        (results,) = results if isinstance(results, list) else (results,)
        summary = results["summary"]
        checked, unread = summary["passed"] + summary["failed"], summary["parsing_errors"]
        failed = results["results"]["failed_checks"]
    except (ValueError, KeyError, TypeError):
        lines = (done.stderr.strip() or done.stdout.strip() or str(done.returncode)).splitlines()
        raise OntimeError(f"checkov: {lines[-1]}") from None
    if not checked or unread:
        raise OntimeError(f"checkov: ran {checked} checks, could not read {unread} files")
    for check in failed:
        yield f"{check['file_path'].lstrip('/')}: {check['resource']}: {check['check_id']}: {check['check_name']}"


def known_to_linters(manifest: Manifest) -> Manifest:
    """The manifest; a Rollout as a Deployment with the same pods, because linters do not know Rollouts."""
    if manifest.get("kind") != "Rollout":
        return manifest
    spec = {name: value for name, value in manifest["spec"].items() if name in ("replicas", "selector", "template")}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": manifest["metadata"], "spec": spec}
