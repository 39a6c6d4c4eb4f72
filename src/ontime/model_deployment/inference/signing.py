"""Sign a model folder (OpenSSF model signing), and verify its signature before the model is loaded.

In: the champion's folder and a private key (or, keyless, an OIDC token). Out: a signature file beside the folder, with
the SHA-256 of every file in it, and the keys to verify it offline: the public key or, keyless, Sigstore's keys. No
stage of the graph signs, because an ECDSA signature has different bytes each time.
"""

from dataclasses import dataclass
from pathlib import Path

import click
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ontime.common import paths
from ontime.common.errors import OntimeError, one_line
from ontime.common.files import is_cache_object, replacing
from ontime.cores import usable_cores
from ontime.model_deployment.inference.manifest import check_files, read_manifest

SIGNATURE = paths.CHAMPION.with_name(f"{paths.CHAMPION.name}.sig")
PRIVATE_KEY, PUBLIC_KEY = Path(".keys/model.key"), Path(".keys/model.pub")
KEY_ENDING, TRUST_ENDING = ".pub", ".trust.json"
"""Endings of the file beside a signature that checks it: a public key, or Sigstore's keys."""


@dataclass(frozen=True)
class Signer:
    """Who must have signed: the holder of a key or, keyless, an identity of an identity provider."""

    public_key: Path | None = PUBLIC_KEY
    identity: str = ""
    provider: str = ""
    trust_config: Path | None = None
    """Sigstore's keys; if None, those of the public Sigstore are fetched."""

    def __str__(self) -> str:
        return str(self.public_key or self.identity)


trust_option = click.option(
    "--trust-config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="ONTIME_TRUST_CONFIG",
    help="Keyless: client trust configuration (addresses and keys) of a private Sigstore.",
)


def make_key(private: Path) -> None:
    """Write a P-256 key pair, the public half beside the private one with the ending .pub."""
    key = ec.generate_private_key(ec.SECP256R1())
    private.parent.mkdir(parents=True, exist_ok=True)
    with replacing(private) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    with replacing(private.with_suffix(KEY_ENDING)) as temporary:
        temporary.write_bytes(_public_half(private))


def _public_half(private: Path) -> bytes:
    """The public key of a private one, PEM."""
    key = serialization.load_pem_private_key(private.read_bytes(), password=None).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def sign(model: Path, signature: Path, private_key: Path | None, trust_config: Path | None = None) -> None:
    """Sign every file of a folder, with a private key or, if that is None, with this job's OIDC token.

    Args:
        trust_config: of a private Sigstore, for signing without a key; otherwise the public one's is fetched.

    Raises:
        OntimeError: a file is not what the manifest says, the key cannot be read, or there is no token.
    """
    check_links(model)
    check_files(model, read_manifest(model))
    sign_folder(model, signature, private_key, trust_config)


def sign_folder(model: Path, signature: Path, private_key: Path | None, trust_config: Path | None = None) -> None:
    """Sign every file of a folder that need not be a champion's, as `sign` does.

    Raises:
        OntimeError: the folder has a link, the key cannot be read, or there is no token.
    """
    from model_signing.signing import Config

    check_links(model)
    config = Config().set_hashing_config(_hashing())
    endings = (KEY_ENDING, TRUST_ENDING) if private_key else (TRUST_ENDING, KEY_ENDING)
    checked_by, other = (signature.with_suffix(ending) for ending in endings)
    try:
        token = None if private_key else _token()
        with replacing(checked_by) as beside, replacing(signature) as temporary:
            if private_key is None:
                beside.write_bytes(trust_config.read_bytes() if trust_config else _public_sigstore())
                config.use_sigstore_signer(identity_token=token, trust_config=beside)
            else:
                beside.write_bytes(_public_half(private_key))
                config.use_elliptic_key_signer(private_key=private_key)
            config.sign(model, temporary)
        other.unlink(missing_ok=True)
    except FileNotFoundError as error:
        raise OntimeError(f"{error.filename}: not found; make a key with `ontime sign --new-key`") from None
    except OntimeError:
        raise
    except Exception as error:  # keys and the network fail with many types
        raise OntimeError(f"{private_key or 'keyless'}: cannot sign with it: {one_line(error)}") from None


def _public_sigstore() -> bytes:
    """Addresses and keys of the public Sigstore, verified by its update framework."""
    from sigstore.models import ClientTrustConfig

    # the library can read such a file but has no public function to write one
    content: str = ClientTrustConfig.production()._inner.to_json()
    return content.encode()


def _token() -> str:
    """The OIDC token of this job, for Sigstore."""
    from id import IdentityError, detect_credential

    try:
        token: str | None = detect_credential("sigstore")
    except IdentityError as error:
        raise OntimeError(f"keyless: {one_line(error)}; does the job have `id-token: write`?") from None
    if token is None:
        raise OntimeError("keyless: no OIDC token; run this in a workflow with `id-token: write`, or sign with a key")
    return token


def verify(model: Path, signature: Path, signer: Signer) -> None:
    """Check that a folder holds the signed bytes and nothing else.

    Raises:
        OntimeError: the signature is missing, broken or another signer's, or a file is missing, extra or changed.
    """
    from model_signing.verifying import Config

    if not model.is_dir():
        raise OntimeError(f"{model}: not found")
    if not signature.is_file():
        raise OntimeError(f"{signature}: no signature; sign the model with `ontime sign`")
    check_links(model)
    config = Config().set_hashing_config(_hashing())
    try:
        if signer.public_key is not None:
            config.use_elliptic_key_verifier(public_key=signer.public_key)
        else:
            config.use_sigstore_verifier(
                identity=signer.identity, oidc_issuer=signer.provider, trust_config=signer.trust_config
            )
        config.verify(model, signature)
    except FileNotFoundError as error:
        raise OntimeError(f"{error.filename}: not found") from None
    except InvalidSignature:
        raise OntimeError(f"{signature}: not signed by {signer}, or changed since") from None
    except Exception as error:  # a broken signature file raises many types
        reason = one_line(error)
        if reason.startswith("Signature mismatch: "):
            raise OntimeError(f"{model}: not what was signed: {reason.removeprefix('Signature mismatch: ')}") from None
        raise OntimeError(f"{signature}: not signed by {signer}, or changed since: {reason}") from None


def check_links(model: Path) -> None:
    """Refuse a folder with a symbolic link to anything but an object of a DVC cache that is named by its MD5.

    With `cache.type symlink` DVC links files to its cache. Any other link could add a file from elsewhere, and the
    files of a linked folder would not be in the signature.
    """
    for path in sorted(model.rglob("*")):
        if path.is_symlink() and not (path.is_file() and is_cache_object(path.resolve())):
            raise OntimeError(
                f"{path}: a symbolic link to something other than an object of DVC's cache; put the file there"
            )


def _hashing() -> "object":
    from model_signing.hashing import Config

    # by default files named .git* are not hashed and could be added unnoticed; links are checked by check_links
    hashing = Config().use_file_serialization(hashing_algorithm="sha256", max_workers=usable_cores())
    hashing.set_allow_symlinks(True)
    return hashing.set_ignored_paths(paths=[], ignore_git_paths=False)
