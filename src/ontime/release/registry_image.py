"""Reads an image in a registry by digest over the OCI distribution API, without a container tool.

ORAS handles tokens and Docker's saved logins; every download is verified against its digest.
"""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import requests
from oras.container import Container
from oras.logger import setup_logger
from oras.provider import Registry

from ontime.common.errors import OntimeError

SECONDS = 30
"""Timeout for connecting to a registry, and between two parts of its response."""
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
PLATFORM = ("linux", "amd64")


@dataclass(frozen=True)
class RegistryImage:
    """An image's labels, and the files of its last layer by path."""

    labels: dict[str, str]
    files: dict[str, bytes]


class _Registry(Registry):  # type: ignore[misc]
    """ORAS's client without its two minutes of retries, and with timeouts."""

    def do_request(
        self, url: str, method: str = "GET", headers: dict[str, str] | None = None, **options: Any
    ) -> requests.Response:
        """One request, signed in as the registry asks."""
        try:
            answer: requests.Response = self.session.request(method, url, headers=headers, **options)
            if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
                headers, signed_in = self.auth.authenticate_request(answer, dict(headers or {}))
                if signed_in:
                    answer = self.session.request(method, url, headers=headers, **options)
        except requests.RequestException as error:
            raise OntimeError(f"registry {self.hostname}: {_line(error)}") from None
        except Exception:  # whatever its ways to sign in raise without a login
            raise OntimeError(f"registry {self.hostname}: lets nobody in without a login: docker login") from None
        if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise OntimeError(f"registry {self.hostname}: lets nobody in without a login: docker login")
        return answer


class _Timed(requests.adapters.HTTPAdapter):
    def send(self, request: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        return super().send(request, **{**options, "timeout": options.get("timeout") or SECONDS})


def read_image(name: str, digest: str) -> RegistryImage:
    """Read an image's labels and last layer.

    Args:
        name: registry and repository. A registry is spoken to without TLS only on loopback.
        digest: of the image's manifest or of an index that has one for linux/amd64.

    Raises:
        OntimeError: it is not there, cannot be reached, is not let through, or is not what the digests say.
    """
    host, separator, _ = name.partition("/")
    if not separator or not (set(host) & {".", ":"} or host == "localhost"):
        raise OntimeError(f"{name}: has no registry host")
    setup_logger(quiet=True)
    container = Container(f"{name}@{digest}")
    registry = _open(host)
    try:
        registry.auth.load_configs(container)
        manifest = _manifest(registry, container, digest)
        config = json.loads(_blob(registry, container, manifest["config"]["digest"]))
        layer = _blob(registry, container, manifest["layers"][-1]["digest"])
        return RegistryImage(dict(config["config"].get("Labels") or {}), _files(layer))
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, tarfile.TarError, EOFError, OSError):
        raise OntimeError(f"{name}@{digest}: not a readable image") from None


def _open(host: str) -> _Registry:
    loopback = host.rpartition(":")[0] in LOOPBACK or host in LOOPBACK
    prefix = "http" if loopback else "https"
    session = requests.Session()
    session.trust_env = not loopback
    try:
        challenge = session.get(f"{prefix}://{host}/v2/", timeout=SECONDS).headers.get("WWW-Authenticate", "")
    except requests.RequestException as error:
        raise OntimeError(f"registry {host}: cannot be reached: {_line(error)}") from None
    backend = "basic" if challenge.lower().startswith("basic") else "token"
    registry = _Registry(hostname=host, insecure=loopback, auth_backend=backend)
    registry.session.trust_env = not loopback
    for beginning in ("http://", "https://"):
        registry.session.mount(beginning, _Timed())
    return registry


def _manifest(registry: _Registry, container: Container, digest: str) -> dict[str, Any]:
    address = f"{registry.prefix}://{container.manifest_url(digest)}"
    manifest: dict[str, Any] = json.loads(_checked(registry, address, digest, (*MANIFESTS, *INDEXES)))
    if "manifests" not in manifest:
        return manifest
    digests = [
        entry["digest"]
        for entry in manifest["manifests"]
        if (entry.get("platform", {}).get("os"), entry.get("platform", {}).get("architecture")) == PLATFORM
    ]
    address = f"{registry.prefix}://{container.manifest_url(digests[0])}"
    of_platform: dict[str, Any] = json.loads(_checked(registry, address, digests[0], MANIFESTS))
    return of_platform


def _blob(registry: _Registry, container: Container, digest: str) -> bytes:
    return _checked(registry, f"{registry.prefix}://{container.get_blob_url(digest)}", digest, ("*/*",))


def _checked(registry: _Registry, address: str, digest: str, accepted: tuple[str, ...]) -> bytes:
    """The bytes at a URL, verified against the digest."""
    answer = registry.do_request(address, "GET", headers={"Accept": ", ".join(accepted)})
    if answer.status_code == requests.codes.not_found:
        raise OntimeError(f"{digest}: not in the registry")
    if answer.status_code != requests.codes.ok:
        raise OntimeError(f"{digest}: the registry answers with status {answer.status_code}")
    content = answer.content
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise OntimeError(f"{digest}: the registry holds other bytes under this digest")
    return content


def _files(layer: bytes) -> dict[str, bytes]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is not None:
                files[str(PurePosixPath(member.name.lstrip("/")))] = stream.read()
    return files


def _line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
