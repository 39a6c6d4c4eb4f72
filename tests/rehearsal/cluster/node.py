"""To come."""

from typing import Any

IN_CLUSTER = "http://kube-prometheus-stack-prometheus.monitoring:9090"


def start(rig: Any) -> None:
    """To come."""


def mount_gpg_keys(rig: Any) -> None:
    """To come."""
