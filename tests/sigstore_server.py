"""A Sigstore on loopback for keyless signatures: a certificate authority, a transparency log, and the jobs' tokens.

It issues what Fulcio and Rekor issue (RFC 6962, https://github.com/sigstore/rekor), so that the real client signs with
it and the real verifier checks every part. Its log proves one entry at a time.
"""

import base64
import datetime
import hashlib
import json
import struct
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tests.servers import JsonHandler, http_server

PROVIDER = "https://token.actions.githubusercontent.com"
ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
TIMESTAMPS = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
START = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Sigstore:
    """A server that runs, and who its jobs' tokens say that they are."""

    url: str
    identity: str
    trust_config: str
    """What a client needs to know: addresses and keys, as JSON."""

    @property
    def variables(self) -> dict[str, str]:
        """By which a job of GitHub Actions finds its token."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token",
        }

    def token(self) -> str:
        """A job's token."""
        request = urllib.request.Request(f"{self.url}/token", headers={"Authorization": "bearer request-token"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
            return str(json.load(answer)["value"])


class Authority:
    """The keys of the three services, and what they sign."""

    def __init__(self, identity: str, caller: str) -> None:
        self.identity = identity
        self.caller = caller
        self.root_key, self.timestamp_key, self.log_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority for tests")])
        self.root = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.root_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(START)
            .not_valid_after(datetime.datetime.now(datetime.UTC) + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.root_key.public_key()), critical=False)
            .sign(self.root_key, hashes.SHA256())
        )

    def certificate(self, request: x509.CertificateSigningRequest) -> x509.Certificate:
        """A certificate of ten minutes for the identity, with the proof that a log has seen it."""
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(minutes=9))
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root_key.public_key()), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(self.identity)]), critical=True)
            .add_extension(x509.UnrecognizedExtension(ISSUER, PROVIDER.encode()), critical=False)
        )
        seen = builder.sign(self.root_key, hashes.SHA256()).tbs_certificate_bytes
        milliseconds = int(now.timestamp() * 1000)
        head = struct.pack("!BBQH", 0, 0, milliseconds, 1) + key_id(self.root_key)
        signature = _sign(self.timestamp_key, head + len(seen).to_bytes(3, "big") + seen + b"\0\0")
        stamp = b"\0" + key_id(self.timestamp_key) + struct.pack("!QHBBH", milliseconds, 0, 4, 3, len(signature))
        stamp += signature
        stamps = len(stamp).to_bytes(2, "big") + stamp
        extension = _der(0x04, len(stamps).to_bytes(2, "big") + stamps)
        return builder.add_extension(x509.UnrecognizedExtension(TIMESTAMPS, extension), critical=False).sign(
            self.root_key, hashes.SHA256()
        )

    def entry(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """The log's answer to an envelope: what it keeps of it, when, and the proof that it does."""
        content = proposed["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        body = rfc8785.dumps(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": _described(content["envelope"].encode()),
                    "payloadHash": _described(base64.b64decode(envelope["payload"])),
                    "signatures": [
                        {"signature": one["sig"], "verifier": verifier}
                        for one, verifier in zip(envelope["signatures"], content["verifiers"], strict=True)
                    ],
                },
            }
        )
        known: dict[str, str | int] = {
            "body": base64.b64encode(body).decode(),
            "integratedTime": int(datetime.datetime.now(datetime.UTC).timestamp()),
            "logID": key_id(self.log_key).hex(),
            "logIndex": 0,
        }
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"log for tests\n1\n{base64.b64encode(root).decode()}\n"
        signed = base64.b64encode(key_id(self.log_key)[:4] + _sign(self.log_key, note.encode())).decode()
        proof = {
            "checkpoint": f"{note}\n\N{EM DASH} log {signed}\n",
            "hashes": [],
            "logIndex": 0,
            "rootHash": root.hex(),
            "treeSize": 1,
        }
        promise = base64.b64encode(_sign(self.log_key, rfc8785.dumps(dict(known)))).decode()
        return {**known, "verification": {"inclusionProof": proof, "signedEntryTimestamp": promise}}

    def trust_config(self, url: str) -> str:
        """Addresses and keys."""
        since = {"start": "2020-01-01T00:00:00Z"}

        def log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            described = {"rawBytes": _text(_public(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since}
            return {
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": described,
                "logId": {"keyId": _text(key_id(key))},
            }

        service = {"url": url, "majorApiVersion": 1, "validFor": since, "operator": "tests"}
        root = {"rawBytes": _text(self.root.public_bytes(serialization.Encoding.DER))}
        authority = {
            "subject": {"organization": "tests", "commonName": "authority for tests"},
            "uri": url,
            "certChain": {"certificates": [root]},
            "validFor": since,
        }
        kind = "application/vnd.dev.sigstore"
        return json.dumps(
            {
                "mediaType": f"{kind}.clienttrustconfig.v0.1+json",
                "trustedRoot": {
                    "mediaType": f"{kind}.trustedroot+json;version=0.1",
                    "tlogs": [log(self.log_key)],
                    "certificateAuthorities": [authority],
                    "ctlogs": [log(self.timestamp_key)],
                    "timestampAuthorities": [],
                },
                "signingConfig": {
                    "mediaType": f"{kind}.signingconfig.v0.2+json",
                    "caUrls": [service],
                    "oidcUrls": [service],
                    "rekorTlogUrls": [service],
                    "rekorTlogConfig": {"selector": "ANY"},
                    "tsaUrls": [],
                    "tsaConfig": {"selector": "ANY"},
                },
            }
        )

    def token(self) -> str:
        """A job's token, which only this server ever looks at."""
        now = int(datetime.datetime.now(datetime.UTC).timestamp())
        claims = {
            "iss": PROVIDER,
            "aud": "sigstore",
            "sub": "repo:acme/ontime",
            "iat": now,
            "exp": now + 600,
            "event_name": "workflow_run",
            "job_workflow_ref": self.identity.removeprefix("https://github.com/"),
            "workflow_ref": self.caller,
        }
        return jwt.encode(claims, "only this server looks at the signature", algorithm="HS256")


@contextmanager
def sigstore_server(
    identity: str, caller: str = "acme/ontime/.github/workflows/release.yml@refs/heads/main"
) -> Iterator[Sigstore]:
    """Serve on a free port; every token is of one identity, that of a workflow which another one, the caller, uses."""
    authority = Authority(identity, caller)

    class Handler(JsonHandler):
        def respond(self, content: Any) -> tuple[int, Any]:
            asked = self.command, urlsplit(self.path).path
            if asked == ("GET", "/.well-known/openid-configuration"):
                return 200, {"authorization_endpoint": self.path, "token_endpoint": self.path}
            if asked == ("GET", "/token") and self.headers["Authorization"] == "bearer request-token":
                return 200, {"value": authority.token()}
            if asked == ("POST", "/api/v2/signingCert"):
                request = x509.load_pem_x509_csr(base64.b64decode(content["certificateSigningRequest"]))
                chain = [_pem(authority.certificate(request)), _pem(authority.root)]
                return 201, {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}
            if asked == ("POST", "/api/v1/log/entries"):
                return 201, {"0": authority.entry(content)}
            return 401 if self.command == "GET" else 404, {}

    with http_server(Handler) as host:
        url = f"http://{host}"
        yield Sigstore(url, identity, authority.trust_config(url))


def key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    """What a log is known by."""
    return hashlib.sha256(_public(key)).digest()


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _sign(key: ec.EllipticCurvePrivateKey, content: bytes) -> bytes:
    return key.sign(content, ec.ECDSA(hashes.SHA256()))


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign")
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
        **dict.fromkeys(names, False),
    )


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = (
        bytes([size]) if size < 128 else b"\x81" + bytes([size]) if size < 256 else b"\x82" + size.to_bytes(2, "big")
    )
    return bytes([tag]) + length + content


def _described(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
