"""Names, addresses and ports of the rehearsal's cluster, in one place.

Everything listens on loopback or on one private bridge. Ports are a fixed range below those that the kernel gives out;
a range that is taken is moved by ONTIME_REHEARSAL_PORT.
"""

import os
from pathlib import Path

TOP = Path(__file__).parents[3]
HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "ontime" / "cluster"
CONFIGURATION = HERE / "configuration"

NODE = "node1"
BRIDGE = "ontime0"
NETWORK = "ontime-rehearsal"
"""Of the pods, as the plugins that make it know it."""
GATEWAY = "10.244.0.1"
"""Of the pods: the bridge's own address, on which the API server and Prometheus listen."""
POD_NETWORK = "10.244.0.0/24"
SERVICE_NETWORK = "10.96.0.0/16"
KUBERNETES_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"

API_SERVER = f"{GATEWAY}:6443"
PROMETHEUS = f"{GATEWAY}:9090"

FIRST_PORT = int(os.environ.get("ONTIME_REHEARSAL_PORT", "21700"))
PORT_NAMES = (
    "registry",
    "git",
    "etcd",
    "etcd-peer",
    "controller-manager",
    "scheduler",
    "kubelet-health",
    "kube-proxy-health",
    "kube-proxy-metrics",
    "redis",
    "repo-server",
    "repo-server-metrics",
    "argocd-server",
    "argocd-server-metrics",
    "application-controller-metrics",
    "applicationset-metrics",
    "applicationset-probe",
    "applicationset-webhook",
    "rollouts-metrics",
    "rollouts-health",
)
PORTS = {name: FIRST_PORT + place for place, name in enumerate(PORT_NAMES)}
ON_ALL_INTERFACES = ("application-controller-metrics", "rollouts-metrics", "rollouts-health")
"""Their programs cannot be told an address: a rule of the firewall keeps others out."""


def local(name: str) -> str:
    """Host and port on loopback."""
    return f"127.0.0.1:{PORTS[name]}"
