"""Prometheus as a process of the node, with the project's own rules, under the name that the project's analysis asks.

There is no operator here: what it would make of the ServiceMonitor is in `configuration/prometheus.yaml`.
"""

import sys
from typing import TYPE_CHECKING

import yaml

from ontime.common.files import write_json
from ontime.manifests.render import KUBERNETES
from tests.rehearsal.cluster.binaries import debian
from tests.rehearsal.cluster.node import configuration
from tests.rehearsal.cluster.processes import Component
from tests.rehearsal.cluster.settings import API_SERVER, HERE, PROMETHEUS, TOP

if TYPE_CHECKING:
    from tests.rehearsal.cluster.rig import Rig

IN_CLUSTER = "http://kube-prometheus-stack-prometheus.monitoring:9090"
RULES = TOP / KUBERNETES / "base" / "rules.yaml"


def start(rig: "Rig") -> None:
    """Start Prometheus and give it a Service."""
    # JSON is YAML
    write_json(rig.folder / "rules.yaml", yaml.safe_load(RULES.read_text(encoding="utf-8"))["spec"])
    (rig.folder / "prometheus.yaml").write_text(configuration(rig, "prometheus.yaml"))
    command = (
        debian("prometheus"),
        f"--config.file={rig.folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={rig.folder / 'prometheus'}",
        f"--web.listen-address={PROMETHEUS}",
    )
    targets = rig.folder / "targets.json"
    script = (sys.executable, str(HERE / "discovery.py"))
    finds = (*script, f"https://{API_SERVER}", str(rig.folder / "certificates"), str(targets))
    rig.processes.start(Component("discovery", finds, ("test", "-s", str(targets))))
    rig.processes.start(Component("prometheus", command, f"{rig.prometheus_url}/-/ready"))
    rig.kubectl("apply", "--filename=-", text=configuration(rig, "prometheus-service.yaml"))
    for name in ("discovery", "prometheus"):
        rig.processes.wait(name)
