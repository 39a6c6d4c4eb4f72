"""The gateway: nginx with the committed configuration in front of the service, asked by clients of every kind."""

import contextlib
import http.client
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from ontime.common.files import read_json
from ontime.model_deployment.service.settings import Settings
from tests.checkouts import TOP
from tests.pages import HOW_TO, blocks
from tests.rehearsal.cluster.certificates import Authority
from tests.rehearsal.cluster.processes import SYSTEM_PATH
from tests.servers import JsonHandler, free_port, http_server
from tests.services import Running, serving

pytestmark = pytest.mark.integration
CONFIGURATION = TOP / "deployment" / "kubernetes" / "gateway" / "nginx.conf"
PREDICT = "/v1/models/parcels:predict"
JSON = {"Content-Type": "application/json"}
KNOWN, STRANGER, REMOVED = "booking", "somebody", "former"
ANSWER_SECONDS = 20
FORGED = {
    "X-Client": "admin",
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Host": "elsewhere.example",
    "X-Forwarded-Proto": "http",
    "Forwarded": "for=192.0.2.1",
    "X-Real-IP": "192.0.2.1",
    "X-Forwarded-Client-Cert": "Subject=admin",
    "X-SSL-Client-Verify": "SUCCESS",
    "Authorization": "Bearer forged",
    "Cookie": "session=forged",
}


class Headers(JsonHandler):
    """A service that answers with the headers that it was sent."""

    def respond(self, content: Any) -> tuple[int, Any]:
        """All of them, by their names in small letters."""
        del content
        return 200, {name.lower(): value for name, value in self.headers.items()}


@dataclass(frozen=True)
class Gateway:
    """nginx on a port, and the folder of its secrets and of its clients' certificates."""

    port: int
    secrets: Path
    log: Path

    def context(self, client: str | None, authority: str = "certificate/server") -> ssl.SSLContext:
        """TLS of a client that trusts an authority, and shows a certificate by its name."""
        context = ssl.create_default_context(cafile=self.secrets / f"{authority}.crt")
        if client:
            certificate = self.secrets / "clients" / f"{client}.crt"
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        return context

    def ask(
        self, client: str | None, method: str = "GET", path: str = "/v2", body: Any = None, **headers: str
    ) -> tuple[int, bytes]:
        """Status and body of an answer."""
        connection = http.client.HTTPSConnection(
            "localhost", self.port, context=self.context(client), timeout=ANSWER_SECONDS
        )
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, text, JSON | given)
            answer = connection.getresponse()
            return answer.status, answer.read()


def configuration(port: int, service: str, secrets: Path) -> str:
    """The committed configuration, with other places and nothing else changed."""
    text = CONFIGURATION.read_text()
    for place, value in (
        (" /tmp/", f" {secrets}/tmp/"),
        ("listen 8443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server ontime.ontime-production:80", f"server {service}"),
        (" /etc/gateway", f" {secrets}"),
        (" /dev/stdout", f" {secrets}/access.log"),
    ):
        assert place in text, place
        text = text.replace(place, value)
    return text


@contextlib.contextmanager
def gateway(
    folder: Path, service: str, authority: Path | None = None, listed: str = f'"CN={KNOWN}" {KNOWN};'
) -> Iterator[Gateway]:
    """The gateway in front of a service, with an authority for servers, one for clients and one that is neither.

    `authority` is another one for clients, and `listed` what clients.map has.
    """
    nginx = shutil.which("nginx", path=SYSTEM_PATH)
    if nginx is None:
        pytest.skip("nginx is not installed")
    for name in ("certificate", "clients", "strange", "configuration", "tmp"):
        (folder / name).mkdir(mode=0o755)
    Authority(folder / "certificate", "server").sign("tls", "gateway", "localhost")
    clients = Authority(folder / "clients", "ca")
    for name in (KNOWN, STRANGER, REMOVED):
        clients.sign(name, name, usages=[ExtendedKeyUsageOID.CLIENT_AUTH])
    clients.sign("expired", KNOWN, days=-0.01)
    clients.sign("server", KNOWN, usages=[ExtendedKeyUsageOID.SERVER_AUTH])
    clients.sign("group", KNOWN, group="example")
    Authority(folder / "strange", "ca").sign("strange", KNOWN)
    for path in sorted((folder / "strange").glob("strange.*")):
        shutil.copyfile(path, folder / "clients" / path.name)
    port, log = free_port(), folder / "error.log"
    (folder / "configuration" / "clients.map").write_text(f'{listed}\n# "CN={REMOVED}" {REMOVED};\n')
    if authority:
        shutil.copyfile(authority, folder / "clients" / "ca.crt")
    path = folder / "configuration" / "nginx.conf"
    path.write_text(configuration(port, service, folder))
    # as in the pod one user reads the keys, where nginx would take another one for its workers if root starts it
    user = ["-g", "user root;"] if Path(folder).owner() == "root" else []
    with log.open("wb") as output:
        process = subprocess.Popen([nginx, "-e", "/dev/stderr", "-c", str(path), *user], stderr=output)
    found = Gateway(port, folder, log)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(ConnectionError):
            return found.ask(KNOWN)[0] > 0
        return False

    try:
        wait(answers)
        yield found
    finally:
        process.terminate()
        process.wait(timeout=ANSWER_SECONDS)


def wait(found: Callable[[], bool]) -> None:
    """Ask until it is so."""
    end = time.monotonic() + ANSWER_SECONDS
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def running(signed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service as production runs it."""
    log = tmp_path_factory.mktemp("log") / "service.log"
    with serving(signed, log, DRAIN_SECONDS="0", PAGE="false") as found:
        yield found


@pytest.fixture(scope="module")
def door(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway in front of it."""
    with gateway(tmp_path_factory.mktemp("gateway"), f"127.0.0.1:{running.port}") as found:
        yield found


def test_a_client_with_its_certificate_gets_predictions(door: Gateway, signed: Path) -> None:
    golden = read_json(signed / "model" / "golden.json")
    body = {"instances": golden["records"]}
    status, answer = door.ask(KNOWN, "POST", PREDICT, body, X_Request_ID="mine")
    assert status == 200
    assert json.loads(answer)["predictions"] == pytest.approx(golden["probabilities"], abs=1e-6)
    log = door.secrets / "access.log"
    wait(lambda: '"request_id":"mine"' in log.read_text())
    (line,) = (line for line in map(json.loads, log.read_text().splitlines()) if line["request_id"] == "mine")
    assert (line["client"], line["verified"], line["status"]) == (KNOWN, "SUCCESS", 200)


def test_the_documented_commands_make_a_client_that_is_let_in(running: Running, tmp_path: Path) -> None:
    (commands,) = (text for language, text in blocks(HOW_TO / "clients.md") if text.startswith("openssl req"))
    made = tmp_path / "made"
    made.mkdir()
    done = subprocess.run(["bash", "-euc", commands], cwd=made, capture_output=True, text=True, check=True)
    subject = done.stdout.strip().splitlines()[-1].removeprefix("subject=")
    (tmp_path / "gateway").mkdir()
    with gateway(tmp_path / "gateway", f"127.0.0.1:{running.port}", made / "ca.crt", f'"{subject}" booking;') as door:
        for end in ("crt", "key"):
            shutil.copyfile(made / f"booking.{end}", door.secrets / "clients" / f"documented.{end}")
        assert door.ask("documented")[0] == 200
        # and no other authority's
        assert door.ask(KNOWN)[0] == 400


@pytest.mark.attack("client")
@pytest.mark.parametrize(
    ("client", "status", "reason"),
    [
        (None, 400, "No required SSL certificate was sent"),
        ("strange", 400, "The SSL certificate error"),
        ("expired", 400, "The SSL certificate error"),
        ("server", 400, "The SSL certificate error"),
        (STRANGER, 403, "403 Forbidden"),
        (REMOVED, 403, "403 Forbidden"),
        ("group", 403, "403 Forbidden"),
    ],
)
def test_a_client_that_is_nobody_gets_no_answer_of_the_service(
    door: Gateway, running: Running, signed: Path, client: str | None, status: int, reason: str
) -> None:
    body = {"instances": read_json(signed / "model" / "golden.json")["records"][:1]}
    refused, asked = f"refused-{client}", f"asked-{client}"
    found, text = door.ask(client, "POST", PREDICT, body, X_Request_ID=refused)
    assert (found, reason in text.decode()) == (status, True), text
    # the service itself would have answered, and its log, in the order of the requests, has only what came later
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=ANSWER_SECONDS)
    with contextlib.closing(connection):
        connection.request("POST", PREDICT, json.dumps(body), {**JSON, "X-Request-ID": asked})
        assert connection.getresponse().status == 200
    wait(lambda: asked in running.log.read_text())
    assert refused not in running.log.read_text()


@pytest.mark.attack("client")
def test_a_client_without_tls_or_with_an_old_one_gets_no_answer(door: Gateway) -> None:
    connection = http.client.HTTPConnection("localhost", door.port, timeout=ANSWER_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/v2")
        answer = connection.getresponse()
        assert (answer.status, b"plain HTTP request was sent to HTTPS port" in answer.read()) == (400, True)
    context = door.context(KNOWN)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    old = http.client.HTTPSConnection("localhost", door.port, context=context, timeout=ANSWER_SECONDS)
    with contextlib.closing(old), pytest.raises(ssl.SSLError):
        old.request("GET", "/v2")


@pytest.mark.attack("client")
def test_what_a_client_writes_of_itself_does_not_reach_the_service(tmp_path: Path) -> None:
    with http_server(Headers) as service, gateway(tmp_path, service) as door:
        forged = {name.replace("-", "_"): value for name, value in FORGED.items()}
        kept = {"X_Request_ID": "mine", "Traceparent": "00-1-2-00", "Inference_Header_Content_Length": "2"}
        status, answer = door.ask(KNOWN, "POST", "/v2/models/parcels/infer", {}, **forged, **kept, Underscore="x")
    assert status == 200
    seen = json.loads(answer)
    assert seen["x-client"] == KNOWN
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert seen["x-forwarded-host"] == seen["host"] == "localhost"
    assert (seen["x-request-id"], seen["traceparent"]) == ("mine", "00-1-2-00")
    assert seen["inference-header-content-length"] == "2" and seen["content-length"] == "2"
    assert not set(FORGED.values()) & set(seen.values())
    assert not {"underscore", "authorization", "cookie", "forwarded", "x-real-ip"} & set(seen)


def test_every_header_that_the_service_reads_reaches_it() -> None:
    sources = (TOP / "src/ontime/model_deployment/service").rglob("*.py")
    text = "".join(path.read_text() for path in sources)
    passed = CONFIGURATION.read_text().lower()
    for name in ("content-type", "content-encoding", "inference-header-content-length", "x-request-id", "traceparent"):
        assert f'b"{name}"' in text, name
        assert f"proxy_set_header {name} " in passed, name


def test_a_renewed_certificate_is_shown_without_a_restart(door: Gateway) -> None:
    assert door.ask(KNOWN)[0] == 200
    for path in sorted((door.secrets / "certificate").glob("tls.*")):
        path.unlink()
    Authority(door.secrets / "certificate", "renewed").sign("tls", "gateway", "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        door.ask(KNOWN)
    context = door.context(KNOWN, "certificate/renewed")
    connection = http.client.HTTPSConnection("localhost", door.port, context=context, timeout=ANSWER_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/v2")
        assert connection.getresponse().status == 200


def test_the_largest_body_is_the_services_own() -> None:
    assert f"client_max_body_size {Settings.model_fields['max_body_bytes'].default};" in CONFIGURATION.read_text()
