"""Pods that read a Secret in each way that Kubernetes has, and one that is as alike and reads none."""

import copy
from collections.abc import Iterator
from typing import Any

Pod = dict[str, Any]
DATABASE = "database"
"""The name of the Secret; whether there is one is not asked."""
CONTAINER: dict[str, Any] = {
    "name": "reader",
    "image": "ontime",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    },
}
HARMLESS: Pod = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "reader"},
    "spec": {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                **CONTAINER,
                "env": [{"name": "A", "value": "b"}],
                "envFrom": [{"configMapRef": {"name": "settings", "optional": True}}],
            }
        ],
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}},
            {"name": "settings", "configMap": {"name": "settings", "optional": True}},
            {"name": "both", "projected": {"sources": [{"configMap": {"name": "settings", "optional": True}}]}},
        ],
    },
}
VARIABLE = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": DATABASE, "key": "password", "optional": True}}}
EVERY_VARIABLE = {"secretRef": {"name": DATABASE, "optional": True}}
VOLUMES: dict[str, dict[str, Any]] = {
    "a volume": {"secret": {"secretName": DATABASE, "optional": True}},
    "a projected volume": {"projected": {"sources": [{"secret": {"name": DATABASE, "optional": True}}]}},
    "a token in a projected volume": {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    "a driver of volumes": {"csi": {"driver": "secrets.example", "nodePublishSecretRef": {"name": DATABASE}}},
    "a claim made for the pod": {
        "ephemeral": {
            "volumeClaimTemplate": {
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
            }
        }
    },
}


def secret_pods() -> Iterator[tuple[str, Pod]]:
    """How the Secret is read, and a pod that does."""
    for what, volume in VOLUMES.items():
        yield what, _pod(volumes=[{"name": "secret", **volume}])
    yield "the token of its account", _pod(automountServiceAccountToken=True)
    for kind in ("containers", "initContainers"):
        others = [] if kind == "containers" else [CONTAINER]
        for what, setting in (
            ("a variable", {"env": [VARIABLE]}),
            ("all variables", {"envFrom": [EVERY_VARIABLE]}),
        ):
            container = {**CONTAINER, "name": "second", **setting}
            yield f"{what} of {kind}", _pod(**{"containers": others, kind: [container]})


def _pod(**spec: Any) -> Pod:
    pod = copy.deepcopy(HARMLESS)
    pod["spec"].update(spec)
    return pod
