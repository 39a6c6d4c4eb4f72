"""Verifies who signed an image in its registry, as `cosign sign` version 3 signs it.

In: an image by digest. cosign attaches a Sigstore bundle to the image as a referrer: an in-toto statement whose subject
is the image's digest (https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md). Attestations such as
provenance are attached in the same way and are no signature; their predicate's type tells them apart.
"""

import json
from pathlib import Path
from typing import Any

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.model_deployment.inference.signing import Signer
from ontime.release.registry_client import MANIFESTS, Repository

BUNDLE = "application/vnd.dev.sigstore.bundle"
"""Beginning of a bundle's media type, before its version."""
STATEMENT = "application/vnd.in-toto+json"
PREDICATE = "https://sigstore.dev/cosign/sign/v1"
MOST = 64
"""Referrers that are looked at."""


def verify_signature(name: str, digest: str, signer: Signer) -> None:
    """Check that an identity signed an image.

    Args:
        name: registry and repository.
        digest: of the manifest or index that was signed.
        signer: with an identity.

    Raises:
        OntimeError: it did not; or the registry cannot be read.
    """
    repository = Repository(name)
    reasons = []
    try:
        found = [one for one in repository.referrers(digest) if str(one.get("artifactType", "")).startswith(BUNDLE)]
    except ValueError:
        raise OntimeError(f"{name}@{digest}: the registry's list of referrers cannot be read") from None
    for described in found[:MOST]:
        try:
            manifest = repository.manifest(str(described["digest"]), MANIFESTS)
            if manifest["subject"]["digest"] != digest:
                raise OntimeError("of another image")
            _verify(repository.small(str(manifest["layers"][0]["digest"])), digest, signer)
            return
        except OntimeError as error:
            reasons.append(str(error))
        except (KeyError, TypeError, IndexError, AttributeError, ValueError):
            reasons.append("not a readable signature")
    reason = reasons[-1] if reasons else "the registry has no signature of it"
    raise OntimeError(f"{name}@{digest}: not signed by {signer}: {reason}")


def _verify(content: bytes, digest: str, signer: Signer) -> None:
    from sigstore.errors import Error
    from sigstore.models import Bundle, ClientTrustConfig
    from sigstore.verify import Verifier
    from sigstore.verify.policy import Identity

    try:
        if signer.trust_config is None:
            verifier = Verifier.production()
        else:
            trusted = ClientTrustConfig.from_json(signer.trust_config.read_text(encoding="utf-8"))
            verifier = Verifier(trusted_root=trusted.trusted_root)
        kind, payload = verifier.verify_dsse(
            Bundle.from_json(content), Identity(identity=signer.identity, issuer=signer.provider)
        )
    except (OntimeError, KeyError, TypeError):
        raise
    except Error as error:
        raise OntimeError(" ".join(str(error).split())[:300]) from None
    except Exception as error:  # a broken bundle raises many types
        raise OntimeError(f"not a readable signature: {' '.join(str(error).split())[:200]}") from None
    statement: dict[str, Any] = json.loads(payload)
    if kind != STATEMENT or statement["predicateType"] != PREDICATE:
        raise OntimeError(f"{statement.get('predicateType')} is an attestation, no signature")
    if [subject["digest"] for subject in statement["subject"]] != [{"sha256": digest.removeprefix("sha256:")}]:
        raise OntimeError("of another image")


def check_trusted(held: bytes, signer: Signer) -> None:
    """Check that Sigstore's keys in an image, with which its service verifies the model, are ours.

    Older images may lack keys that were added since.

    Raises:
        OntimeError: there is a key that this machine does not trust.
    """
    from sigstore.models import ClientTrustConfig

    try:
        theirs = _keys(json.loads(held)["trustedRoot"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise OntimeError("Sigstore's keys cannot be read") from None
    if signer.trust_config is None:
        # the library has no public function that gives the file
        own: Any = json.loads(ClientTrustConfig.production()._inner.to_json())
    else:
        own = read_json(Path(signer.trust_config))
    if not theirs or theirs - _keys(own["trustedRoot"]):
        raise OntimeError("holds a key of another Sigstore")


def _keys(content: Any) -> set[str]:
    """Every key and certificate in a part of a trust configuration."""
    if isinstance(content, dict):
        here = {str(content["rawBytes"])} if "rawBytes" in content else set()
        return here.union(*map(_keys, content.values()))
    return set[str]().union(*map(_keys, content)) if isinstance(content, list) else set()
