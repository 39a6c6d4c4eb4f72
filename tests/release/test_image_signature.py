"""Who signed an image: what `cosign sign` attaches is taken, and nothing that only looks like it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.signing import Signer
from ontime.release.image_signature import verify_signature
from tests.cosign import BUNDLE, attach, bundle, sign_image
from tests.releases import StandIn, archive, digest_of, push_layers
from tests.servers import http_server
from tests.sigstore_server import PROVIDER, Sigstore, sigstore_server

pytestmark = pytest.mark.attack("forged-image")
IDENTITY = "https://github.com/acme/ontime/.github/workflows/sign.yml@refs/heads/main"
PROVENANCE = "https://slsa.dev/provenance/v1"


class WithReferrers(StandIn):
    """A registry with the referrers API."""

    def do_GET(self) -> None:  # noqa: N802 - the base class chooses the name
        """Answer by what the tag of the same digest has."""
        self.path = self.path.replace("/referrers/sha256:", "/manifests/sha256-")
        super().do_GET()


@dataclass(frozen=True)
class Pushed:
    """An image without a signature, and who may sign it."""

    image: str
    digest: str
    sigstore: Sigstore
    signer: Signer
    objects: dict[str, tuple[str, bytes]]

    def sign(self, sigstore: Sigstore | None = None, **options: str) -> str:
        """Sign it; the digest of the signature's manifest."""
        by = sigstore or self.sigstore
        return sign_image(self.image, self.digest, by.trust_config, by.token(), **options)

    def refused(self) -> str:
        """Why it is not taken as signed."""
        with pytest.raises(OntimeError) as error:
            verify_signature(self.image, self.digest, self.signer)
        beginning = f"{self.image}@{self.digest}: not signed by {self.signer}: "
        assert str(error.value).startswith(beginning) and "\n" not in str(error.value)
        return str(error.value).removeprefix(beginning)


@pytest.fixture(params=[StandIn, WithReferrers], ids=["tag", "referrers"])
def pushed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pushed]:
    objects: dict[str, tuple[str, bytes]] = {}
    handler = type("Handler", (request.param,), {"objects": objects})
    with http_server(handler) as host, sigstore_server(IDENTITY) as sigstore:
        for name, value in sigstore.variables.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "sigstore.json").write_text(sigstore.trust_config)
        digest = push_layers(host, "team/ontime", {}, [archive({"a": b"1"})])
        signer = Signer(None, IDENTITY, PROVIDER, tmp_path / "sigstore.json")
        yield Pushed(f"{host}/team/ontime", digest, sigstore, signer, objects)


def test_the_identitys_signature_is_taken_beside_others(pushed: Pushed) -> None:
    assert pushed.refused() == "the registry has no signature of it"
    pushed.sign(predicate=PROVENANCE)
    assert pushed.refused() == f"{PROVENANCE} is an attestation, no signature"
    pushed.sign()
    pushed.sign(predicate=PROVENANCE)
    verify_signature(pushed.image, pushed.digest, pushed.signer)


def test_another_identity_or_issuer_is_refused(pushed: Pushed) -> None:
    pushed.sign()
    for signer in (
        replace(pushed.signer, identity=IDENTITY.replace("sign", "other")),
        replace(pushed.signer, identity=IDENTITY.replace("main", "change")),
        replace(pushed.signer, provider="https://accounts.example"),
    ):
        with pytest.raises(OntimeError, match=r"not signed by https://github\.com/acme"):
            verify_signature(pushed.image, pushed.digest, signer)


def test_another_sigstore_is_refused(pushed: Pushed) -> None:
    with sigstore_server(IDENTITY) as other:
        pushed.sign(other)
    assert pushed.refused()


def test_a_signature_of_another_image_is_refused(pushed: Pushed) -> None:
    pushed.sign(subject=digest_of("another"))
    assert pushed.refused() == "of another image"


def test_a_signature_that_was_changed_or_is_none_is_refused(pushed: Pushed) -> None:
    host, _, name = pushed.image.partition("/")
    content = json.loads(bundle(pushed.digest, pushed.sigstore.trust_config, pushed.sigstore.token()))
    other = json.loads(bundle(digest_of("another"), pushed.sigstore.trust_config, pushed.sigstore.token()))
    content["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"]
    for broken in (json.dumps(content), "{}", "[]", "no json", ""):
        attach(host, name, pushed.digest, broken.encode())
        assert pushed.refused()


@pytest.mark.parametrize(
    "listed", [b"[]", b"{}", b'{"manifests": 1}', json.dumps({"manifests": [1, {"artifactType": BUNDLE}]}).encode()]
)
def test_a_list_of_referrers_that_is_none_is_one_line(pushed: Pushed, listed: bytes) -> None:
    pushed.sign()
    host, _, name = pushed.image.partition("/")
    pushed.objects[f"/v2/{name}/manifests/{pushed.digest.replace(':', '-')}"] = ("application/json", listed)
    with pytest.raises(OntimeError) as error:
        verify_signature(pushed.image, pushed.digest, pushed.signer)
    assert "\n" not in str(error.value)
    del host
