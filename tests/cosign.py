"""Signs an image in a registry as cosign 3 does, with the tests' Sigstore.

What `cosign sign` writes: an in-toto statement about the image's digest, in a Sigstore bundle, attached to the image as
a referrer; and in a registry without the referrers API an index of the referrers under the tag `sha256-…`. See
https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md.
"""

import json
from typing import Any

import requests
from sigstore.dsse import Statement
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from tests.releases import push_blob, push_manifest

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
EMPTY = "application/vnd.oci.empty.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"


def sign_image(
    image: str, digest: str, trust_config: str, token: str, predicate: str = SIGNATURE, subject: str | None = None
) -> str:
    """Sign an image, and attach the signature.

    Args:
        image: registry and repository.
        trust_config: of the Sigstore, as JSON.
        token: that says who signs.
        predicate: another type makes it an attestation.
        subject: digest that is signed, if it is another one's.

    Returns:
        The digest of the signature's manifest.
    """
    host, _, name = image.partition("/")
    content = bundle(subject or digest, trust_config, token, predicate).encode()
    return attach(host, name, digest, content, predicate)


def bundle(digest: str, trust_config: str, token: str, predicate: str = SIGNATURE) -> str:
    """A signature of a digest, as JSON."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "", "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": predicate,
        "predicate": {},
    }
    context = SigningContext.from_trust_config(ClientTrustConfig.from_json(trust_config))
    with context.signer(IdentityToken(token)) as signer:
        return signer.sign_dsse(Statement(json.dumps(statement).encode())).to_json()


def attach(host: str, name: str, digest: str, content: bytes, predicate: str = SIGNATURE) -> str:
    """Push a bundle as a referrer of an image."""
    layer = {"mediaType": BUNDLE, "digest": push_blob(host, name, content), "size": len(content)}
    described = {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicate}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": {"mediaType": EMPTY, "digest": push_blob(host, name, b"{}"), "size": 2},
        "layers": [layer],
        "subject": {"mediaType": MANIFEST, "digest": digest, "size": 1},
        "annotations": described,
    }
    pushed = push_manifest(host, name, manifest, f"signature-{digest[7:19]}")
    tag = digest.replace(":", "-")
    entry = {"mediaType": MANIFEST, "digest": pushed, "size": len(json.dumps(manifest)), "artifactType": BUNDLE}
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"http://{host}/v2/{name}/manifests/{tag}")
    listed: list[Any] = answer.json()["manifests"] if answer.ok else []
    kind = "application/vnd.oci.image.index.v1+json"
    push_manifest(host, name, {"schemaVersion": 2, "mediaType": kind, "manifests": [*listed, entry]}, tag)
    return pushed
