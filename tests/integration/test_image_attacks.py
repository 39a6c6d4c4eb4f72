"""Images built for real and then forged, with everything signed right that the attacker could have had signed."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.model_deployment.inference.signing import Signer, sign
from ontime.release.commit_checks import folder_md5
from ontime.release.image import build_command, run
from ontime.release.image_check import Rebuild, check_image
from ontime.release.image_layers import MARK
from ontime.release.release_file import Release
from tests.checkouts import commit, copy_checkout, git
from tests.containers import new_store
from tests.cosign import sign_image
from tests.integration.local_base import find_base
from tests.releases import push_layers, registry_server
from tests.sigstore_server import PROVIDER, Sigstore, sigstore_server

pytestmark = [pytest.mark.integration, pytest.mark.rehearsal, pytest.mark.xdist_group("image")]
IDENTITY = "https://github.com/acme/ontime/.github/workflows/sign.yml@refs/heads/main"
LINKS = ["image", "image signature", "configuration", "model layer", "signature", "layers"]
PACKAGES = "opt/ontime/lib/python3.11/site-packages"
LOCK = """\
schema: '2.0'
stages:
  export:
    cmd: export
    outs:
    - path: models/champion
      hash: md5
      md5: {md5}.dir
"""
EVIL = b"import os\nos.environ['EVIL'] = '1'\n"
Layers = list[bytes]


@dataclass(frozen=True)
class Forged:
    """What an attacker changes of an image."""

    config: dict[str, Any]
    layers: Layers
    """Archives."""


@dataclass(frozen=True)
class Real:
    """An image as Podman built it of a commit, and what it is released as."""

    checkout: Path
    name: str
    release: Release
    configuration: dict[str, Any]
    layers: Layers
    signer: Signer
    sigstore: Sigstore
    base: str

    def push(self, change: "Change | None" = None, signed: bool = True) -> Release:
        """Push the image with something changed, signed by the right identity; its release."""
        configuration = json.loads(json.dumps(self.configuration))
        forged = Forged(configuration["config"], list(self.layers))
        if change is not None:
            change(forged)
        host, _, repository = self.name.partition("/")
        digest = push_layers(host, repository, configuration, forged.layers)
        if signed:
            sign_image(self.name, digest, self.sigstore.trust_config, self.sigstore.token())
        return Release(**{**vars(self.release), "digest": digest})

    def verify(self, release: Release) -> tuple[list[str], str]:
        """The links that hold, and the line that names the one that does not."""
        held: list[str] = []
        model = read_json(self.checkout / "models" / "champion" / "manifest.json")["name"]
        try:
            for link, _ in check_image(release, model, self.signer, Rebuild(self.base)):
                held.append(link)
        except OntimeError as error:
            assert "\n" not in str(error)
            return held, str(error)
        return held, ""


Change = Callable[[Forged], None]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, fork: Path) -> Iterator[Real]:
    """An image of a small fork's commit; it is built again in a store of its own, with nothing from the first build."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed (Debian and Ubuntu: apt-get install podman)")
    top = tmp_path_factory.mktemp("real")
    checkout = copy_checkout(top / "checkout")
    champion = fork / "models" / "champion"
    md5 = folder_md5({path.relative_to(champion).as_posix(): path.read_bytes() for path in champion.iterdir()})
    (checkout / "dvc.lock").write_text(LOCK.format(md5=md5))
    commit(checkout, "graph")
    shutil.copytree(fork / "models" / "champion", checkout / "models" / "champion")
    stores = [tmp_path_factory.mktemp("podman") for _ in range(2)]
    variables = [new_store(store) for store in stores]
    base, _ = (find_base("podman", one) for one in variables)
    sha256 = hashlib.sha256((checkout / "models" / "champion" / "model.onnx").read_bytes()).hexdigest()
    commit_ = git(checkout, "rev-parse", "HEAD").strip()
    with (
        registry_server(top) as host,
        sigstore_server(IDENTITY) as sigstore,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.chdir(checkout)
        for name, value in {**variables[0], **sigstore.variables}.items():
            patch.setenv(name, value)
        trust_config = top / "sigstore.json"
        trust_config.write_text(sigstore.trust_config)
        sign(Path("models/champion"), Path("models/champion.sig"), None, trust_config)
        arguments = {
            "GIT_COMMIT": commit_,
            "MODEL_VERSION": "1.0.0",
            "MODEL_SHA256": sha256,
            "PUBLIC_KEY": "",
            "IDENTITY": IDENTITY,
            "IDENTITY_PROVIDER": PROVIDER,
        }
        run(build_command("podman", "localhost/real:1", {**arguments, "BASE": base}))
        run(["podman", "push", "--quiet", "--format=oci", "localhost/real:1", f"dir:{top / 'image'}"])
        configuration, layers = exported(top / "image")
        for name, value in variables[1].items():
            patch.setenv(name, value)
        release = Release("v1.0.0", commit_, sha256, f"{host}/team/ontime", f"sha256:{'0' * 64}")
        signer = Signer(None, IDENTITY, PROVIDER, trust_config)
        yield Real(checkout, release.image, release, configuration, layers, signer, sigstore, base)
    for store in stores:
        shutil.rmtree(store, ignore_errors=True)


def exported(folder: Path) -> tuple[dict[str, Any], Layers]:
    """Configuration and uncompressed layers of an image in a folder."""
    manifest = read_json(folder / "manifest.json")
    parts = [(folder / one["digest"].removeprefix("sha256:")).read_bytes() for one in manifest["layers"]]
    layers = [gzip.decompress(part) if part.startswith(b"\x1f\x8b") else part for part in parts]
    configuration = read_json(folder / manifest["config"]["digest"].removeprefix("sha256:"))
    return {key: value for key, value in configuration.items() if key != "rootfs"}, layers


def with_member(layer: bytes, name: str, content: bytes = EVIL, **facts: Any) -> bytes:
    """A layer with a member more."""
    stream = io.BytesIO(layer)
    with tarfile.open(fileobj=stream, mode="a") as archive:
        member = tarfile.TarInfo(name)
        for key, value in {"size": len(content), "mode": 0o644, **facts}.items():
            setattr(member, key, value)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def with_byte(layer: bytes, ending: str) -> bytes:
    """A layer with the last byte of a file changed."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        member = next(one for one in archive if one.name.endswith(ending) and one.isfile())
    changed = bytearray(layer)
    changed[member.offset_data + member.size - 1] ^= 1
    return bytes(changed)


def first_layer(image: Forged) -> None:
    with tarfile.open(fileobj=(stream := io.BytesIO()), mode="w"):
        pass
    image.layers.insert(0, with_member(stream.getvalue(), "usr/lib/python3.11/evil.py"))


def in_first_layer(image: Forged) -> None:
    image.layers[0] = with_member(image.layers[0], "etc/ld.so.preload", b"/models/evil.so\n")


def package(image: Forged) -> None:
    image.layers[1] = with_member(image.layers[1], f"{PACKAGES}/evil.pth", b"import evil\n")


def compiled(image: Forged) -> None:
    image.layers[2] = with_byte(image.layers[2], "service/__pycache__/__init__.cpython-311.pyc")


def library(image: Forged) -> None:
    image.layers[1] = with_byte(image.layers[1], ".so")


def set_user_id(image: Forged) -> None:
    image.layers[0] = with_member(image.layers[0], "usr/bin/root", EVIL, mode=0o4755)


def open_folder(image: Forged) -> None:
    image.layers[3] = with_member(image.layers[3], "tmp", b"", type=tarfile.DIRTYPE, mode=0o777)


def whiteout(image: Forged) -> None:
    image.layers[2] = with_member(image.layers[2], f"{PACKAGES}/{MARK}certifi", b"")


def opaque(image: Forged) -> None:
    image.layers[2] = with_member(image.layers[2], f"{PACKAGES}/ontime/{MARK}{MARK}.opq", b"")


def written_again(image: Forged) -> None:
    with tarfile.open(fileobj=io.BytesIO(image.layers[1])) as archive:
        name = next(one.name for one in archive if one.isfile() and one.name.endswith(".py"))
    image.layers[3] = with_member(image.layers[3], name)


def redirected(image: Forged) -> None:
    image.layers[3] = with_member(image.layers[3], "opt", b"", type=tarfile.SYMTYPE, linkname="/models/opt")


def entry_point(image: Forged) -> None:
    image.config["Entrypoint"] = ["/opt/ontime/bin/python", "-c", "import evil"]


def command(image: Forged) -> None:
    image.config["Cmd"] = ["--anything"]


def key(image: Forged) -> None:
    variables = image.config["Env"]
    variables[:] = [one for one in variables if not one.startswith("ONTIME_SERVICE_PUBLIC_KEY=")]
    variables.append("ONTIME_SERVICE_PUBLIC_KEY=/models/evil.pub")


def start_up(image: Forged) -> None:
    image.config["Env"].append("PYTHONSTARTUP=/models/evil.py")


def root(image: Forged) -> None:
    image.config["User"] = "0:0"


def volume(image: Forged) -> None:
    image.config["Volumes"] = {"/models": {}}


FORGED: list[tuple[Change, int, str]] = [
    (first_layer, 5, "layers: usr/lib/python3.11/evil.py: not in what the commit builds"),
    (in_first_layer, 5, "layers: etc/ld.so.preload: not in what the commit builds"),
    (package, 5, f"layers: {PACKAGES}/evil.pth: not in what the commit builds"),
    (compiled, 5, f"layers: {PACKAGES}/ontime/"),
    (library, 5, "layers: opt/ontime/"),
    (set_user_id, 5, "layers: usr/bin/root: not in what the commit builds"),
    (open_folder, 5, "layers: tmp: not in what the commit builds"),
    (whiteout, 0, f"image: layer 3: {PACKAGES}/{MARK}certifi: deletes a file of a layer below"),
    (opaque, 0, f"image: layer 3: {PACKAGES}/ontime/{MARK}{MARK}.opq: deletes a file of a layer below"),
    (written_again, 0, "image: layer 4: "),
    (redirected, 0, "image: layer 4: opt: written again by a layer above"),
    (entry_point, 2, 'configuration: Entrypoint is ["/opt/ontime/bin/python", "-c", "import evil"], not ['),
    (command, 2, 'configuration: Cmd is ["--anything"], not not set'),
    (key, 2, 'configuration: Env ONTIME_SERVICE_PUBLIC_KEY is "/models/evil.pub", not ""'),
    (start_up, 2, 'configuration: Env PYTHONSTARTUP is "/models/evil.py", not not set'),
    (root, 2, 'configuration: User is "0:0", not "65532:65532"'),
    (volume, 2, "configuration: Volumes is"),
]


def test_the_image_of_the_commit_is_let_pass_after_it_was_built_again_elsewhere(real: Real) -> None:
    assert real.verify(real.push()) == (LINKS, "")


@pytest.mark.attack("forged-image")
@pytest.mark.parametrize(("forge", "held", "line"), FORGED, ids=[change.__name__ for change, *_ in FORGED])
def test_an_image_that_the_right_identity_signed_but_no_commit_builds_is_refused(
    real: Real, forge: Change, held: int, line: str
) -> None:
    found, said = real.verify(real.push(forge))
    assert said.startswith(line), said
    assert found == LINKS[:held]


@pytest.mark.attack("forged-image")
def test_an_image_of_another_signer_is_refused(real: Real) -> None:
    def unsigned(image: Forged) -> None:
        image.layers[1] = with_member(image.layers[1], f"{PACKAGES}/unsigned.pth", b"import evil\n")

    release = real.push(unsigned, signed=False)
    assert real.verify(release) == (
        ["image"],
        f"image signature: {release.image}@{release.digest}: not signed by {IDENTITY}: the registry has no signature "
        "of it",
    )
    with sigstore_server("https://github.com/fork/ontime/.github/workflows/sign.yml@refs/heads/main") as other:
        # another one's authority, and the trusted authority's certificate of another identity
        sign_image(real.name, release.digest, other.trust_config, other.token())
    held, said = real.verify(release)
    assert (held, said.startswith("image signature: ")) == (["image"], True)
