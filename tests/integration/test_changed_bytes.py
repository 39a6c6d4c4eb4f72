"""A hundred changed bytes in an image, a release file and a tag: each is refused, by the link that it breaks."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.signing import Signer, sign
from ontime.release.release_file import path_of
from ontime.verification.release import Checks, verify_release
from tests.cosign import sign_image
from tests.releases import NAME, Repository, StandIn, enter, push_image
from tests.servers import http_server
from tests.sigstore_server import PROVIDER, sigstore_server

pytestmark = pytest.mark.integration
IDENTITY = "https://github.com/acme/ontime/.github/workflows/sign.yml@refs/heads/main"
IN_EACH = 25
"""Changes in the image's parts, its signature, the release file and the tag."""
SEED = 17


@dataclass(frozen=True)
class Released:
    """A repository that released v1.0.0 to staging, and what its registry holds by address."""

    repository: Repository
    checks: Checks
    objects: dict[str, tuple[str, bytes]]

    def broken(self) -> str:
        """The line that names the link that does not hold."""
        with pytest.raises(OntimeError) as error:
            list(verify_release("staging", checks=self.checks))
        assert "\n" not in str(error.value)
        return str(error.value)


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Released]:
    repository = enter(tmp_path, monkeypatch)
    commit = repository.git("rev-parse", "HEAD")
    model, trust_config = tmp_path / "signed" / "champion", tmp_path / "sigstore.json"
    model.mkdir(parents=True)
    for name, content in repository.files[commit].items():
        (model / name).write_bytes(content)
    objects: dict[str, tuple[str, bytes]] = {}
    handler = type("Handler", (StandIn,), {"objects": objects})
    with http_server(handler) as host, sigstore_server(IDENTITY) as sigstore:
        trust_config.write_text(sigstore.trust_config)
        for name, value in sigstore.variables.items():
            monkeypatch.setenv(name, value)
        sign(model, model.with_suffix(".sig"), None, trust_config)
        files = {f"models/champion/{path.name}": path.read_bytes() for path in model.iterdir()}
        files |= {f"models/champion{end}": model.with_suffix(end).read_bytes() for end in (".sig", ".trust.json")}
        arguments = {
            "GIT_COMMIT": commit,
            "MODEL_VERSION": "1.0.0",
            "MODEL_SHA256": hashlib.sha256((model / "model.onnx").read_bytes()).hexdigest(),
            "PUBLIC_KEY": "",
            "IDENTITY": IDENTITY,
            "IDENTITY_PROVIDER": PROVIDER,
        }
        digest = push_image(host, "team/ontime", files, arguments)
        sign_image(f"{host}/team/ontime", digest, sigstore.trust_config, sigstore.token())
        repository.tag(f"{NAME}@v1.0.0")
        repository.publish("staging", "v1.0.0", image=f"{host}/team/ontime", digest=digest)
        checks = Checks(Signer(None, IDENTITY, PROVIDER, trust_config), image=f"{host}/team/ontime")
        assert [link for link, _ in verify_release("staging", checks=checks)][-1] == "signature"
        yield Released(repository, checks, objects)


def flipped(content: bytes, random_: random.Random) -> bytes:
    """The content with a byte changed to another one."""
    changed = bytearray(content)
    place = random_.randrange(len(changed))
    changed[place] = (changed[place] + random_.randrange(1, 256)) % 256
    return bytes(changed)


def test_a_changed_byte_in_an_images_manifest_configuration_or_layers_is_refused(released: Released) -> None:
    _in_registry(released, lambda content: b'"subject"' not in content and b"dsseEnvelope" not in content, "image: ")


def test_a_changed_byte_in_an_images_signature_is_refused(released: Released) -> None:
    def of_signature(content: bytes) -> bool:
        return b'"subject"' in content or b"dsseEnvelope" in content

    _in_registry(released, of_signature, "image signature: ")


def _in_registry(released: Released, chosen: Callable[[bytes], bool], link: str) -> None:
    random_ = random.Random(SEED)
    # manifests are there under their digest and their tag; a tag's index of referrers only says where to look
    places = [
        address
        for address, (_, content) in released.objects.items()
        if "sha256:" in address and chosen(content) and content != b"{}" and b'"manifests"' not in content
    ]
    for _ in range(IN_EACH):
        address = random_.choice(places)
        kind, content = released.objects[address]
        released.objects[address] = (kind, flipped(content, random_))
        line = released.broken()
        assert line.startswith(link), (address, line)
        assert "the registry holds other bytes under this digest" in line
        released.objects[address] = (kind, content)
    list(verify_release("staging", checks=released.checks))


def test_a_changed_byte_in_a_release_file_is_refused(released: Released) -> None:
    random_ = random.Random(SEED)
    path = released.repository.checkout / path_of("staging")
    content = path.read_bytes()
    links = ("release file: ", "tag: ", "commit: ", "manifest: ", "image: ")
    for _ in range(IN_EACH):
        path.write_bytes(flipped(content, random_))
        released.repository.git("commit", "--quiet", "--all", "--message", "changed")
        released.repository.git("push", "--quiet", "origin", "HEAD:main")
        line = released.broken()
        assert line.startswith(links), line
        released.repository.git("reset", "--quiet", "--hard", "HEAD~1")
        released.repository.git("push", "--quiet", "--force", "origin", "HEAD:main")


def test_a_changed_byte_in_a_tag_is_refused(released: Released) -> None:
    random_ = random.Random(SEED)
    name = released.repository.git("rev-parse", f"{NAME}@v1.0.0")
    path = released.repository.checkout / ".git" / "objects" / name[:2] / name[2:]
    content = path.read_bytes()
    path.chmod(0o644)
    for _ in range(IN_EACH):
        path.write_bytes(flipped(content, random_))
        line = released.broken()
        assert line.startswith("tag: "), line
    path.write_bytes(content)
    list(verify_release("staging", checks=released.checks))
