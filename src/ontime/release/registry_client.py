"""Reads objects of an image registry over the OCI distribution API, without a container tool.

ORAS handles tokens and Docker's saved logins; every download is bounded and verified against its digest.
"""

import hashlib
import json
import re
import tempfile
from typing import IO, Any
from urllib.parse import urlsplit

import requests
from oras.container import Container
from oras.logger import setup_logger
from oras.provider import Registry

from ontime.common.errors import OntimeError, root_cause
from ontime.release.release_file import DIGEST

SECONDS = 30
"""Timeout for connecting to a registry, and between two parts of its response."""
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
MOST_JSON = 4 << 20
"""Bytes of a manifest, a configuration or a signature."""
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
"""https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests"""
CHUNK = 1 << 20
REFUSED = (requests.codes.unauthorized, requests.codes.forbidden)


class _Session(Registry):  # type: ignore[misc]
    """ORAS's client without its two minutes of retries, and with timeouts."""

    def do_request(
        self, url: str, method: str = "GET", headers: dict[str, str] | None = None, **options: Any
    ) -> requests.Response:
        """One request, signed in as the registry asks."""
        try:
            answer: requests.Response = self.session.request(method, url, headers=headers, **options)
            if answer.status_code in REFUSED:
                # its headers stay readable
                answer.close()
                headers, signed_in = self.auth.authenticate_request(answer, dict(headers or {}))
                if signed_in:
                    answer = self.session.request(method, url, headers=headers, **options)
        except requests.RequestException as error:
            raise OntimeError(f"registry {self.hostname}: {root_cause(error)}") from None
        except Exception:  # whatever its ways to sign in raise without a login
            raise OntimeError(f"registry {self.hostname}: lets nobody in without a login: docker login") from None
        if answer.status_code in REFUSED:
            answer.close()
            raise OntimeError(f"registry {self.hostname}: lets nobody in without a login: docker login")
        return answer


class _Timed(requests.adapters.HTTPAdapter):
    def send(self, request: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        return super().send(request, **{**options, "timeout": options.get("timeout") or SECONDS})


class Repository:
    """One repository of a registry."""

    def __init__(self, name: str) -> None:
        """Open a session.

        Args:
            name: registry and repository. A registry is spoken to without TLS only on loopback.

        Raises:
            OntimeError: the name has no registry, or that cannot be reached.
        """
        host, separator, _ = name.partition("/")
        if not separator or not (set(host) & {".", ":"} or host == "localhost"):
            raise OntimeError(f"{name}: has no registry host")
        setup_logger(quiet=True)
        self._container = Container(name)
        self._session = _open(host)
        self._session.auth.load_configs(self._container)

    def manifest(self, digest: str, kinds: tuple[str, ...] = (*MANIFESTS, *INDEXES)) -> dict[str, Any]:
        """A manifest or an index by its digest.

        Raises:
            OntimeError: it is not there, or is not what the digest says.
            ValueError: it is not a JSON object.
        """
        return _object(self._text(self._container.manifest_url(digest), digest, kinds))

    def configuration(self, digest: str) -> dict[str, Any]:
        """A JSON object by its digest; raises as `manifest` does."""
        return _object(self.small(digest))

    def small(self, digest: str) -> bytes:
        """A blob of at most `MOST_JSON` bytes; raises as `manifest` does."""
        return self._text(self._container.get_blob_url(digest), digest, ("*/*",))

    def blob(self, digest: str, most: int) -> IO[bytes]:
        """A blob as a temporary file, at its beginning; raises as `manifest` does."""
        return self._download(self._container.get_blob_url(digest), digest, ("*/*",), most)

    def referrers(self, digest: str) -> list[dict[str, Any]]:
        """What names an object as its subject: by the referrers API or, without it, by the tag `sha256-…`.

        See https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers.

        Raises:
            ValueError: the list is not one.
        """
        base = self._container.manifest_url(digest).rpartition("/manifests/")[0]
        for path in (f"{base}/referrers/{digest}", f"{base}/manifests/{digest.replace(':', '-')}"):
            answer = self._get(path, INDEXES[:1])
            if answer.status_code == requests.codes.ok:
                with answer:
                    content = answer.raw.read(MOST_JSON + 1, decode_content=True)
                if len(content) > MOST_JSON:
                    raise OntimeError(f"{path}: more than {MOST_JSON} bytes")
                found = _object(content).get("manifests")
                if not isinstance(found, list):
                    raise ValueError("no list of manifests")
                return [one for one in found if isinstance(one, dict)]
            answer.close()
        return []

    def tagged(self) -> dict[str, str]:
        """Digest of the manifest of each tag; none if the registry does not know the repository.

        See https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags.

        Raises:
            OntimeError: the registry answers otherwise.
        """
        found = {}
        for name in self._tags():
            with self._get(self._container.manifest_url(name), (*MANIFESTS, *INDEXES)) as answer:
                # removed since it was listed
                if answer.status_code == requests.codes.not_found:
                    continue
                if answer.status_code != requests.codes.ok:
                    raise OntimeError(f"tag {name}: the registry answers with status {answer.status_code}")
                content = answer.raw.read(MOST_JSON, decode_content=True)
                found[name] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return found

    def _tags(self) -> list[str]:
        """Names of all tags, page by page."""
        path = self._container.manifest_url("x").rpartition("/manifests/")[0]
        names: list[str] = []
        query = ""
        while True:
            with self._get(f"{path}/tags/list{query}", ("application/json",)) as answer:
                if answer.status_code == requests.codes.not_found:
                    return names
                if answer.status_code != requests.codes.ok:
                    raise OntimeError(f"tags: the registry answers with status {answer.status_code}")
                page = _object(answer.raw.read(MOST_JSON, decode_content=True)).get("tags") or []
                following = answer.links.get("next", {}).get("url")
            if not all(isinstance(name, str) and TAG.fullmatch(name) for name in page):
                raise OntimeError("tags: the registry lists a name that is not a valid tag")
            if not set(page) - set(names):
                return names
            names += page
            if not following:
                return names
            # where to go on, of this registry's own list alone
            query = f"?{urlsplit(following).query}"

    def remove(self, digest: str) -> None:
        """Remove a manifest, and with it its tags; nothing if it is not there.

        Raises:
            OntimeError: the registry refuses, as one does that allows no removal.
        """
        address = f"{self._session.prefix}://{self._container.manifest_url(digest)}"
        with self._session.do_request(address, "DELETE") as answer:
            if answer.status_code not in (requests.codes.accepted, requests.codes.ok, requests.codes.not_found):
                raise OntimeError(f"{digest}: not removed: the registry answers with status {answer.status_code}")

    def _text(self, path: str, digest: str, kinds: tuple[str, ...]) -> bytes:
        with self._download(path, digest, kinds, MOST_JSON) as content:
            return content.read()

    def _get(self, path: str, kinds: tuple[str, ...]) -> requests.Response:
        address = f"{self._session.prefix}://{path}"
        return self._session.do_request(address, "GET", headers={"Accept": ", ".join(kinds)}, stream=True)

    def _download(self, path: str, digest: str, kinds: tuple[str, ...], most: int) -> IO[bytes]:
        if not DIGEST.fullmatch(digest):
            raise OntimeError(f"{digest!r}: not a digest, sha256: and 64 hexadecimal digits")
        with self._get(path, kinds) as answer:
            if answer.status_code == requests.codes.not_found:
                raise OntimeError(f"{digest}: not in the registry")
            if answer.status_code != requests.codes.ok:
                raise OntimeError(f"{digest}: the registry answers with status {answer.status_code}")
            hashed, size = hashlib.sha256(), 0
            content = tempfile.TemporaryFile(prefix="ontime-image-")  # noqa: SIM115 - the caller closes it
            try:
                for chunk in answer.iter_content(CHUNK):
                    hashed.update(chunk)
                    size += len(chunk)
                    if size > most:
                        raise OntimeError(f"{digest}: more than {most} bytes")
                    content.write(chunk)
                if f"sha256:{hashed.hexdigest()}" != digest:
                    raise OntimeError(f"{digest}: the registry holds other bytes under this digest")
            except requests.RequestException as error:
                content.close()
                raise OntimeError(f"registry {self._session.hostname}: {root_cause(error)}") from None
            except OntimeError:
                content.close()
                raise
        content.seek(0)
        return content


def _open(host: str) -> _Session:
    loopback = host.rpartition(":")[0] in LOOPBACK or host in LOOPBACK
    prefix = "http" if loopback else "https"
    session = requests.Session()
    session.trust_env = not loopback
    try:
        challenge = session.get(f"{prefix}://{host}/v2/", timeout=SECONDS).headers.get("WWW-Authenticate", "")
    except requests.RequestException as error:
        raise OntimeError(f"registry {host}: cannot be reached: {root_cause(error)}") from None
    backend = "basic" if challenge.lower().startswith("basic") else "token"
    registry = _Session(hostname=host, insecure=loopback, auth_backend=backend)
    registry.session.trust_env = not loopback
    for beginning in ("http://", "https://"):
        registry.session.mount(beginning, _Timed())
    return registry


def _object(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found
