"""Argo CD and Argo Rollouts as processes of the node.

In: a rig whose node is ready. Out: the definitions of all custom resources, and Argo CD as its own installation leaves
it before anything is configured: its ConfigMaps and the Secret that its server makes. Where the installation gives a
pod variables from `argocd-cmd-params-cm`, a process gets them from what the project's `argocd/settings` puts there.
"""

import contextlib
import json
import secrets
from typing import TYPE_CHECKING, Any

import yaml

from ontime.manifests.render import ARGO_CD
from ontime.manifests.tools import find_kustomize
from tests.rehearsal.cluster.binaries import debian
from tests.rehearsal.cluster.processes import SYSTEM_PATH, Component
from tests.rehearsal.cluster.settings import DNS_SERVICE, PORTS, TOP, local

if TYPE_CHECKING:
    from tests.rehearsal.cluster.rig import Rig

NAMESPACE = "argocd"
PARAMETERS = "argocd-cmd-params-cm"
SETTINGS = TOP / ARGO_CD / "settings" / "argocd.yaml"
PROMETHEUS_KINDS = ("prometheusrules", "servicemonitors")
DEPLOYED_BY = {
    "application-controller": "argocd-application-controller-statefulset.yaml",
    "applicationset-controller": "argocd-applicationset-controller-deployment.yaml",
    "repo-server": "argocd-repo-server-deployment.yaml",
    "server": "argocd-server-deployment.yaml",
}
WITH_NAMES_OF_THE_CLUSTER = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


def start(rig: "Rig") -> None:
    """Start it all; the definitions are there before a controller looks for them."""
    processes = rig.processes
    processes.start(redis(rig))
    apply_definitions(rig)
    apply_settings(rig)
    make_folders(rig)
    processes.wait("redis")
    started = (
        repo_server(rig),
        application_controller(rig),
        applicationset_controller(rig),
        server(rig),
        rollouts_controller(rig),
    )
    for component in started:
        processes.start(component)
    for component in started:
        processes.wait(component.name)


def apply_definitions(rig: "Rig") -> None:
    """Apply the definitions of Argo CD's, Argo Rollouts' and of those of the Prometheus operator's kinds in use."""
    operator = rig.binaries.files("definitions/prometheus-operator")
    files = [
        *rig.binaries.files("definitions/argo-cd").glob("*-crd.yaml"),
        *rig.binaries.files("definitions/rollouts").glob("*-crd.yaml"),
        *(operator / f"monitoring.coreos.com_{kind}.yaml" for kind in PROMETHEUS_KINDS),
    ]
    names = [f"--filename={file}" for file in sorted(files)]
    rig.kubectl("apply", "--server-side", *names)
    rig.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)


def apply_settings(rig: "Rig") -> None:
    """Make the namespaces and what Argo CD's installation applies before its pods."""
    for name in (NAMESPACE, "argo-rollouts"):
        rig.kubectl("create", "namespace", name)
    rig.kubectl("apply", f"--namespace={NAMESPACE}", f"--kustomize={rig.binaries.files('argo-cd/base')}/config")
    # the server would make it, but an ApplicationSet controller that starts before never listens to web hooks
    key = {"stringData": {"server.secretkey": secrets.token_urlsafe(32)}}
    rig.kubectl("patch", "secret/argocd-secret", f"--namespace={NAMESPACE}", f"--patch={json.dumps(key)}")


def make_folders(rig: "Rig") -> None:
    """What a pod of Argo CD has mounted, and the programs that its image has."""
    for name in ("tls", "ssh", "gpg", "gpg-home", "plugins", "bin", "static"):
        (rig.folder / "argo-cd" / name).mkdir(parents=True)
    (rig.folder / "argo-cd" / "gpg-home").chmod(0o700)
    (rig.folder / "argo-cd" / "ssh" / "ssh_known_hosts").touch()
    with contextlib.chdir(TOP):
        kustomize = find_kustomize()
    for name, program in {
        "kustomize": kustomize,
        "argocd-git-ask-pass": rig.binaries.argocd,
        "gpg-wrapper.sh": rig.binaries.files("argo-cd/bin/gpg-wrapper.sh"),
        "git-verify-wrapper.sh": rig.binaries.files("argo-cd/bin/git-verify-wrapper.sh"),
    }.items():
        (rig.folder / "argo-cd" / "bin" / name).symlink_to(program)


def mount_gpg_keys(rig: "Rig") -> None:
    """Give the repo-server the keys of `argocd-gpg-keys-cm`, as a mounted ConfigMap would, each file whole."""
    folder = rig.folder / "argo-cd" / "gpg"
    for name, key in rig.get("configmap", "argocd-gpg-keys-cm", NAMESPACE).get("data", {}).items():
        temporary = rig.folder / "tmp" / name
        temporary.write_text(key)
        temporary.rename(folder / name)


def component(rig: "Rig", name: str, ready: str, *flags: str) -> Component:
    """One of Argo CD's; all are one program."""
    folder = rig.folder / "argo-cd"
    variables = {
        "ARGOCD_BINARY_NAME": f"argocd-{name}",
        "KUBECONFIG": str(rig.kubeconfig),
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        "PATH": f"{folder / 'bin'}:{SYSTEM_PATH}",
        "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
        "ARGOCD_GPG_DATA_PATH": str(folder / "gpg"),
        "ARGOCD_GNUPGHOME": str(folder / "gpg-home"),
        "ARGOCD_PLUGINSOCKFILEPATH": str(folder / "plugins"),
        **parameters(rig, name),
        "ARGOCD_RECONCILIATION_TIMEOUT": f"{rig.polling_seconds}s",
        "ARGOCD_RECONCILIATION_JITTER": "0s",
    }
    return Component(
        name if name != "server" else "argocd-server", (str(rig.binaries.argocd), *flags), ready, variables
    )


def parameters(rig: "Rig", name: str) -> dict[str, str]:
    """Variables that the installation would set from the project's settings."""
    manifests = yaml.safe_load_all(SETTINGS.read_text(encoding="utf-8"))
    (settings,) = (one["data"] for one in manifests if one["metadata"]["name"] == PARAMETERS)
    file = rig.binaries.files("argo-cd/base") / name / DEPLOYED_BY[name]
    (container,) = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]["template"]["spec"]["containers"]
    found = {}
    for variable in container["env"]:
        source: dict[str, Any] = variable.get("valueFrom", {}).get("configMapKeyRef", {})
        if source.get("name") == PARAMETERS and source["key"] in settings:
            found[variable["name"]] = settings[source["key"]]
    return found


def repo_server(rig: "Rig") -> Component:
    """What clones and renders. Without TLS it must be told that it has no authority for clients either."""
    return component(
        rig,
        "repo-server",
        f"http://{local('repo-server-metrics')}/healthz",
        "--address=127.0.0.1",
        f"--port={PORTS['repo-server']}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={PORTS['repo-server-metrics']}",
        f"--redis={local('redis')}",
        "--disable-tls",
        "--client-ca-path=",
        f"--revision-cache-expiration={rig.polling_seconds}s",
    )


def application_controller(rig: "Rig") -> Component:
    """What compares and syncs; its metrics are on all interfaces."""
    return component(
        rig,
        "application-controller",
        f"http://{local('application-controller-metrics')}/healthz",
        f"--namespace={NAMESPACE}",
        f"--metrics-port={PORTS['application-controller-metrics']}",
        f"--redis={local('redis')}",
        f"--repo-server={local('repo-server')}",
        "--repo-server-plaintext",
        "--app-resync-jitter=0",
        "--self-heal-timeout-seconds=1",
        "--status-processors=5",
        "--operation-processors=5",
        "--kubectl-parallelism-limit=5",
    )


def applicationset_controller(rig: "Rig") -> Component:
    """What makes Applications. It has no health of its own to ask for."""
    return component(
        rig,
        "applicationset-controller",
        f"http://{local('applicationset-metrics')}/metrics",
        f"--namespace={NAMESPACE}",
        f"--metrics-addr={local('applicationset-metrics')}",
        f"--probe-addr={local('applicationset-probe')}",
        f"--webhook-addr={local('applicationset-webhook')}",
        f"--argocd-repo-server={local('repo-server')}",
        "--repo-server-plaintext",
    )


def server(rig: "Rig") -> Component:
    """The API, which knows everybody as the administrator."""
    return component(
        rig,
        "server",
        f"{rig.argocd_url}/healthz",
        f"--namespace={NAMESPACE}",
        "--insecure",
        "--disable-auth",
        "--address=127.0.0.1",
        f"--port={PORTS['argocd-server']}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={PORTS['argocd-server-metrics']}",
        f"--redis={local('redis')}",
        f"--repo-server={local('repo-server')}",
        "--repo-server-plaintext",
        f"--staticassets={rig.folder / 'argo-cd' / 'static'}",
    )


def rollouts_controller(rig: "Rig") -> Component:
    """Argo Rollouts, in a mount namespace where it finds the cluster's names as a pod does."""
    names = rig.folder / "resolv-cluster.conf"
    names.write_text(f"nameserver {DNS_SERVICE}\nsearch svc.cluster.local cluster.local\noptions ndots:5\n")
    command = (
        *(debian("unshare"), "--mount", "--propagation=private", "/bin/sh", "-c", WITH_NAMES_OF_THE_CLUSTER, "sh"),
        str(names),
        str(rig.binaries.program("rollouts-controller")),
        f"--kubeconfig={rig.kubeconfig}",
        f"--metricsPort={PORTS['rollouts-metrics']}",
        f"--healthzPort={PORTS['rollouts-health']}",
        "--leader-elect=false",
    )
    return Component("rollouts-controller", command, f"http://{local('rollouts-health')}/healthz")


def redis(rig: "Rig") -> Component:
    """Argo CD's cache. Its title would overwrite the variables by which its process is known as ours."""
    folder = rig.folder / "redis"
    folder.mkdir()
    options = ("--save", "", "--appendonly", "no", "--set-proc-title", "no", "--dir", str(folder))
    address = ("--bind", "127.0.0.1", "--port", str(PORTS["redis"]))
    ready = (debian("redis-cli"), "-p", str(PORTS["redis"]), "ping")
    return Component("redis", (debian("redis-server"), *address, *options), ready)
