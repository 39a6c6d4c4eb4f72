"""What Prometheus has to scrape, read from the API server every second, for Debian's cannot ask Kubernetes itself.

Usage: discovery.py API_SERVER CERTIFICATES FILE. Each pod behind an EndpointSlice becomes a target in the file, with
the labels `__meta_kubernetes_*` under which Prometheus' own discovery would know it. It runs alone.
"""

import http.client
import json
import re
import ssl
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS = 1
PREFIX = "__meta_kubernetes_"


def main(server: str, certificates: Path, file: Path) -> None:
    """Keep the file up to date until killed."""
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    context.load_cert_chain(certificates / "admin.crt", certificates / "admin.key")
    # the server is this machine's
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    def items(path: str) -> list[dict[str, Any]]:
        with opener.open(f"{server}{path}", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["items"]
            return found

    known = ""
    while True:
        try:
            text = json.dumps(list(targets(items("/apis/discovery.k8s.io/v1/endpointslices"), items("/api/v1/pods"))))
        except (OSError, http.client.HTTPException) as error:
            # the API server is away for a moment: what was known is scraped on
            print(error, file=sys.stderr, flush=True)
        else:
            if text != known:
                temporary = file.with_suffix(".partial")
                temporary.write_text(text)
                temporary.replace(file)
                known = text
        time.sleep(SECONDS)


def targets(slices: list[dict[str, Any]], pods: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Prometheus' target groups: one for each port of each endpoint that is a pod."""
    by_name = {(pod["metadata"]["namespace"], pod["metadata"]["name"]): pod for pod in pods}
    for one in slices:
        namespace, labels = one["metadata"]["namespace"], one["metadata"].get("labels", {})
        for endpoint in one.get("endpoints") or []:
            pod = by_name.get((namespace, endpoint.get("targetRef", {}).get("name")))
            if pod is None:
                continue
            for port in one.get("ports") or []:
                known = {
                    "namespace": namespace,
                    "service_name": labels.get("kubernetes.io/service-name", ""),
                    "endpointslice_port_name": port.get("name") or "",
                    "pod_name": pod["metadata"]["name"],
                    "pod_container_name": pod["spec"]["containers"][0]["name"],
                    **{f"endpointslice_label_{plain(name)}": value for name, value in labels.items()},
                    **{f"pod_label_{plain(name)}": value for name, value in pod["metadata"].get("labels", {}).items()},
                }
                yield {
                    "targets": [f"{endpoint['addresses'][0]}:{port['port']}"],
                    "labels": {f"{PREFIX}{name}": value for name, value in known.items()},
                }


def plain(label: str) -> str:
    """A label's name as Prometheus writes it."""
    return re.sub(r"\W", "_", label, flags=re.ASCII)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
