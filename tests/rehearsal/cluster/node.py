"""One node of Kubernetes with its control plane, containerd, CoreDNS, metrics-server, a registry and a git server.

In: a rig whose bridge is up. Out: a node that is ready and runs pods, which pull from the registry.
"""

import resource
import shutil
import string
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rehearsal.cluster.binaries import NETWORK_PLUGINS, Binaries, debian
from tests.rehearsal.cluster.certificates import (
    ACCOUNTS,
    AUTHORITY,
    PROXY_AUTHORITY,
    Authority,
    write_accounts_key,
    write_kubeconfig,
)
from tests.rehearsal.cluster.images import write_image
from tests.rehearsal.cluster.processes import SYSTEM_PATH, Component
from tests.rehearsal.cluster.settings import (
    API_SERVER,
    BRIDGE,
    CONFIGURATION,
    DNS_SERVICE,
    GATEWAY,
    HERE,
    KUBERNETES_SERVICE,
    NETWORK,
    NODE,
    POD_NETWORK,
    PORTS,
    SERVICE_NETWORK,
    local,
)

if TYPE_CHECKING:
    from tests.rehearsal.cluster.rig import Rig

IMAGES = {name: f"localhost/{name}" for name in ("pause", "coredns", "metrics-server")}
TAG = "1"
CERTIFICATES = "certificates"
CLUSTER_NAMES = ("kubernetes", *(f"kubernetes.default{end}" for end in ("", ".svc", ".svc.cluster.local")))
MOST_OPEN_FILES = 1_000_000


def start(rig: "Rig") -> None:
    """Start it all; what does not need the other starts at the same time."""
    certificates = make_certificates(rig.folder)
    for name, path in {
        "containerd.toml": "containerd.toml",
        "hosts.toml": f"certs.d/{rig.registry}/hosts.toml",
        "bridge.conflist": "cni/10-bridge.conflist",
        "registry.yaml": "registry.yaml",
        "kubelet.yaml": "kubelet.yaml",
        "kube-proxy.yaml": "kube-proxy.yaml",
    }.items():
        target = rig.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(configuration(rig, name))
    # pods know the names of the cluster alone
    (rig.folder / "resolv.conf").touch()
    processes = rig.processes
    processes.start(etcd(rig.binaries, rig.folder, local("etcd"), local("etcd-peer")))
    processes.start(containerd(rig))
    processes.start(registry(rig))
    processes.start(git_server(rig))
    processes.wait("etcd")
    processes.start(api_server(rig.binaries, rig.folder, API_SERVER, local("etcd")))
    processes.wait("containerd")
    for program, name in IMAGES.items():
        archive = rig.folder / "tmp" / f"{program}.tar"
        write_image(archive, f"{name}:{TAG}", rig.binaries.program(program))
        rig.run(Path(debian("ctr")), "-a", str(socket(rig)), "-n", "k8s.io", "images", "import", str(archive))
        archive.unlink()
    processes.wait("kube-apiserver", 120)
    for component in (controller_manager(rig, certificates), scheduler(rig), kubelet(rig), kube_proxy(rig)):
        processes.start(component)
    rig.kubectl("wait", "--for=create", f"node/{NODE}", "--timeout=90s")
    rig.kubectl("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=90s")
    rig.kubectl("wait", "--for=create", "serviceaccount/default", "--namespace=kube-system", "--timeout=60s")
    rig.kubectl("apply", "--filename=-", text=configuration(rig, "coredns.yaml"))
    overlay = rig.folder / "metrics-server"
    shutil.copytree(rig.binaries.files("manifests/metrics-server"), overlay / "base")
    (overlay / "kustomization.yaml").write_text(configuration(rig, "metrics-server.yaml"))
    rig.kubectl("apply", f"--kustomize={overlay}")
    for name in ("registry", "git", "kube-proxy"):
        processes.wait(name)


def wait_for_pods(rig: "Rig") -> None:
    """Wait for what the node itself runs; without it neither names nor the autoscaler work."""
    for name in ("coredns", "metrics-server"):
        rig.kubectl("rollout", "status", f"deployment/{name}", "--namespace=kube-system", "--timeout=90s")
    rig.kubectl("wait", "--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io", "--timeout=90s")


def configuration(rig: "Rig", name: str) -> str:
    """A file of the folder `configuration` with this run's paths and addresses."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return string.Template((CONFIGURATION / name).read_text(encoding="utf-8")).substitute(
        folder=rig.folder,
        certificates=rig.folder / CERTIFICATES,
        socket=socket(rig),
        pause_image=f"{IMAGES['pause']}:{TAG}",
        coredns_image=f"{IMAGES['coredns']}:{TAG}",
        metrics_server_image=IMAGES["metrics-server"],
        tag=TAG,
        network_plugins=NETWORK_PLUGINS,
        runc=debian("runc"),
        registry=rig.registry,
        network=NETWORK,
        bridge=BRIDGE,
        gateway=GATEWAY,
        pod_network=POD_NETWORK,
        dns_service=DNS_SERVICE,
        kubelet_health=PORTS["kubelet-health"],
        kube_proxy_health=local("kube-proxy-health"),
        kube_proxy_metrics=local("kube-proxy-metrics"),
        open_files=min(most_files, MOST_OPEN_FILES),
    )


def socket(rig: "Rig") -> Path:
    """Where containerd listens."""
    return rig.folder / "containerd" / "containerd.sock"


def make_certificates(folder: Path, server: str = API_SERVER) -> Path:
    """Certificates and kubeconfigs of all, for an API server at a host and port; the folder of the certificates."""
    certificates = folder / CERTIFICATES
    certificates.mkdir(mode=0o700)
    authority = Authority(certificates, AUTHORITY)
    authority.sign(
        "kube-apiserver", "kube-apiserver", GATEWAY, "127.0.0.1", KUBERNETES_SERVICE, "localhost", *CLUSTER_NAMES
    )
    authority.sign("kubelet-client", "kube-apiserver-kubelet-client", group="system:masters")
    authority.sign("kubelet", f"system:node:{NODE}", NODE, GATEWAY, group="system:nodes")
    authority.sign("admin", "admin", group="system:masters")
    for name in ("controller-manager", "scheduler", "proxy"):
        authority.sign(f"kube-{name}", f"system:kube-{name}")
    Authority(certificates, PROXY_AUTHORITY).sign("front-proxy-client", "front-proxy-client")
    write_accounts_key(certificates)
    for user in ("admin", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"):
        write_kubeconfig(folder / f"{user}.kubeconfig", certificates, user, f"https://{server}")
    return certificates


def etcd(binaries: Binaries, folder: Path, client_at: str, peer_at: str) -> Component:
    """The store at two addresses, each host and port; its data need not outlive the machine."""
    client, peer = f"http://{client_at}", f"http://{peer_at}"
    command = (
        str(binaries.program("etcd")),
        f"--name={NODE}",
        f"--data-dir={folder / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={NODE}={peer}",
        "--auto-compaction-retention=30m",
    )
    return Component("etcd", command, f"{client}/health")


def api_server(binaries: Binaries, folder: Path, server: str, etcd_at: str) -> Component:
    """The API server, at a host and port."""
    host, port = server.split(":")
    certificates = folder / CERTIFICATES
    command = (
        str(binaries.program("kube-apiserver")),
        f"--etcd-servers=http://{etcd_at}",
        f"--bind-address={host}",
        f"--advertise-address={host}",
        f"--secure-port={port}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={certificates / ACCOUNTS}.pub",
        f"--service-account-signing-key-file={certificates / ACCOUNTS}.key",
        f"--client-ca-file={certificates / AUTHORITY}.crt",
        f"--tls-cert-file={certificates}/kube-apiserver.crt",
        f"--tls-private-key-file={certificates}/kube-apiserver.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
        f"--kubelet-client-certificate={certificates}/kubelet-client.crt",
        f"--kubelet-client-key={certificates}/kubelet-client.key",
        f"--kubelet-certificate-authority={certificates / AUTHORITY}.crt",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={certificates / PROXY_AUTHORITY}.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={certificates}/front-proxy-client.crt",
        f"--proxy-client-key-file={certificates}/front-proxy-client.key",
    )
    ready = (str(binaries.kubectl), f"--kubeconfig={folder / 'admin.kubeconfig'}", "get", "--raw=/readyz")
    return Component("kube-apiserver", command, ready)


def controller_manager(rig: "Rig", certificates: Path) -> Component:
    """Kubernetes' own controllers."""
    kubeconfig = rig.folder / "kube-controller-manager.kubeconfig"
    command = (
        str(rig.binaries.program("kube-controller-manager")),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={PORTS['controller-manager']}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={certificates / ACCOUNTS}.key",
        f"--root-ca-file={certificates / AUTHORITY}.crt",
        f"--cluster-signing-cert-file={certificates / AUTHORITY}.crt",
        f"--cluster-signing-key-file={certificates / AUTHORITY}.key",
        "--allocate-node-cidrs=false",
        "--profiling=false",
    )
    return Component("kube-controller-manager", command)


def scheduler(rig: "Rig") -> Component:
    """What gives each pod its node."""
    kubeconfig = rig.folder / "kube-scheduler.kubeconfig"
    command = (
        str(rig.binaries.program("kube-scheduler")),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={PORTS['scheduler']}",
        "--leader-elect=false",
        "--profiling=false",
    )
    return Component("kube-scheduler", command)


def kubelet(rig: "Rig") -> Component:
    """What runs the node's pods."""
    command = (
        str(rig.binaries.program("kubelet")),
        f"--config={rig.folder / 'kubelet.yaml'}",
        f"--kubeconfig={rig.folder / 'kubelet.kubeconfig'}",
        f"--root-dir={rig.folder / 'kubelet'}",
        f"--cert-dir={rig.folder / 'kubelet' / 'pki'}",
        f"--hostname-override={NODE}",
        f"--node-ip={GATEWAY}",
    )
    return Component("kubelet", command, f"http://{local('kubelet-health')}/healthz")


def kube_proxy(rig: "Rig") -> Component:
    """What makes Services' addresses work, by nftables."""
    command = (
        str(rig.binaries.program("kube-proxy")),
        f"--config={rig.folder / 'kube-proxy.yaml'}",
        f"--hostname-override={NODE}",
    )
    return Component("kube-proxy", command, f"http://{local('kube-proxy-health')}/healthz")


def containerd(rig: "Rig") -> Component:
    """What runs containers."""
    ctr = (debian("ctr"), "-a", str(socket(rig)), "version")
    path = f"{Path(debian('containerd')).parent}:{SYSTEM_PATH}"
    command = (debian("containerd"), "--config", str(rig.folder / "containerd.toml"))
    return Component("containerd", command, ctr, {"PATH": path})


def registry(rig: "Rig") -> Component:
    """Images' registry."""
    command = (debian("docker-registry"), "serve", str(rig.folder / "registry.yaml"))
    return Component("registry", command, f"http://{rig.registry}/v2/")


def git_server(rig: "Rig") -> Component:
    """The repository's server."""
    command = (sys.executable, str(HERE / "git_server.py"), "127.0.0.1", str(PORTS["git"]), str(rig.folder / "git"))
    ready = f"{rig.repository_url}/info/refs?service=git-upload-pack"
    return Component("git", command, ready)
