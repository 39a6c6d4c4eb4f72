"""The cluster's certificates: one authority for servers and users, one for the API server as a proxy.

In: a folder. Out: `<name>.crt` and `<name>.key` there, and a kubeconfig for a user.
"""

import base64
import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ontime.common.files import write_json

DAYS = 30
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
AUTHORITY, PROXY_AUTHORITY = "ca", "front-proxy-ca"
ACCOUNTS = "service-accounts"
"""Key by which tokens are signed."""


class Authority:
    """Signs certificates into its folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._subject = subject
        builder = _builder(subject, subject, self._key).add_extension(x509.BasicConstraints(True, None), critical=True)
        usage = _usage(digital_signature=True, key_cert_sign=True, crl_sign=True)
        certificate = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        write(folder / name, self._key, certificate)

    def sign(
        self,
        file: str,
        user: str,
        *names: str,
        group: str | None = None,
        usages: Sequence[x509.ObjectIdentifier] = BOTH,
        days: float = DAYS,
    ) -> None:
        """A certificate for a user, in a group, or for a server under some names and addresses.

        It is valid from an hour ago, for `days` from now.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            subject.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        builder = _builder(x509.Name(subject), self._subject, key, days)
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        builder = builder.add_extension(_usage(digital_signature=True), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_name, names))), critical=False)
        write(self.folder / file, key, builder.sign(self._key, hashes.SHA256()))


def write(path: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    """Write a key, for root alone, and a certificate."""
    _write_key(path.with_suffix(".key"), key)
    path.with_suffix(".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def write_accounts_key(folder: Path) -> None:
    """The key pair of service accounts' tokens."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_key(folder / f"{ACCOUNTS}.key", key)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{ACCOUNTS}.pub").write_bytes(public)


def write_kubeconfig(path: Path, folder: Path, user: str, server: str) -> None:
    """What a client needs to be a user; JSON is YAML."""

    def content(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": content(f"{AUTHORITY}.crt")}
    proof = {"client-certificate-data": content(f"{user}.crt"), "client-key-data": content(f"{user}.key")}
    write_json(
        path,
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "rehearsal", "cluster": cluster}],
            "users": [{"name": user, "user": proof}],
            "contexts": [{"name": "rehearsal", "context": {"cluster": "rehearsal", "user": user}}],
            "current-context": "rehearsal",
        },
    )
    path.chmod(0o600)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: float = DAYS
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    hour = datetime.timedelta(hours=1)
    return builder.not_valid_before(now - hour).not_valid_after(now + datetime.timedelta(days=days))


def _usage(digital_signature: bool, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(digital_signature, False, False, False, False, key_cert_sign, crl_sign, False, False)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
