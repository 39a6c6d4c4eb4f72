"""Layers as an attacker would write them: each way to hide something from the list of files is refused."""

import gzip
import io
import tarfile
from collections.abc import Callable

import pytest

from ontime.common.errors import OntimeError
from ontime.release import image_layers
from ontime.release.image_layers import Entry, Filesystem, add_layer
from tests.releases import archive, digest_of_bytes

pytestmark = pytest.mark.attack("forged-image")


def member(name: str, **facts: object) -> tarfile.TarInfo:
    """A member without content."""
    made = tarfile.TarInfo(name)
    for key, value in facts.items():
        setattr(made, key, value)
    return made


def read(*layers: bytes, compressed: bool = False) -> Filesystem:
    """The root filesystem of layers, one on the other."""
    root = Filesystem()
    for layer in layers:
        content = gzip.compress(layer) if compressed else layer
        add_layer(root, io.BytesIO(content), compressed, "models", digest_of_bytes(layer))
    return root


def refused(*layers: bytes) -> str:
    """The line with which the last layer is refused."""
    with pytest.raises(OntimeError) as error:
        read(*layers)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_layers_add_up_and_the_models_are_kept() -> None:
    links = {"bin": member("bin", type=tarfile.SYMTYPE, linkname="usr/bin"), "usr": member("usr", type=tarfile.DIRTYPE)}
    root = read(archive({"usr/bin/a": b"a", **links}), archive({"models/b": b"b", "usr/bin/c": b"c"}), compressed=True)
    assert set(root.entries) == {"usr", "usr/bin/a", "bin", "models/b", "usr/bin/c"}
    assert root.kept == {"models/b": b"b"}
    assert root.entries["bin"] == Entry("symbolic link", 0, (0, 0), "usr/bin")


def test_a_hard_link_is_the_file_that_it_links_to() -> None:
    link = member("models/b", type=tarfile.LNKTYPE, linkname="models/a")
    root = read(archive({"models/a": b"a", "models/b": link}))
    assert root.entries["models/b"] == root.entries["models/a"]
    assert root.kept["models/b"] == b"a"


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        ([archive({"etc/.wh.passwd": b""})], "etc/.wh.passwd: deletes a file of a layer below"),
        ([archive({"opt/.wh..wh..opq": b""})], "opt/.wh..wh..opq: deletes a file of a layer below"),
        ([archive({".wh.opt/a": b""})], ".wh.opt/a: deletes a file of a layer below"),
        ([archive({"../etc/passwd": b""})], "'../etc/passwd': outside the root"),
        ([archive({"a": b"1", "./a": b"2"})], "a: twice in one layer"),
        ([archive({"a": b"1", "/a": b"2"})], "a: twice in one layer"),
        ([archive({"a": b"1"}), archive({"a": b"1"})], "a: written again by a layer above"),
        (
            [archive({"a/b": b"1"}), archive({"a": member("a", type=tarfile.SYMTYPE, linkname="c")})],
            "a/b: lies in a, which is no folder",
        ),
        (
            [archive({"a": member("a", type=tarfile.SYMTYPE, linkname="c"), "a/b": b"1"})],
            "a/b: lies in a, which is no folder",
        ),
        (
            [archive({"a": b"1"}), archive({"b": member("b", type=tarfile.LNKTYPE, linkname="a")})],
            "b: a hard link to a, which is no file before it in the layer",
        ),
        ([archive({"dev": member("dev", type=tarfile.CHRTYPE)})], "dev: neither a file, a folder nor a link"),
        ([archive({"pipe": member("pipe", type=tarfile.FIFOTYPE)})], "pipe: neither a file, a folder nor a link"),
        ([archive({"odd": member("odd", type=b"Z")})], "odd: neither a file, a folder nor a link"),
        ([b"no archive" * 100], "not an archive of files: "),
    ],
)
def test_a_layer_that_hides_something_is_refused(layers: list[bytes], line: str) -> None:
    assert refused(*layers).startswith(line)


def test_files_behind_the_end_or_behind_a_broken_header_are_refused() -> None:
    first, second = archive({"a": b"1"}), archive({"b": b"2"})
    assert refused(first + second) == "holds more behind its last file"
    broken = bytearray(first[:1024] + second)
    broken[1024 + 150] ^= 1
    assert refused(bytes(broken)) == "holds more behind its last file"


def test_a_layer_that_is_not_the_configurations_is_refused() -> None:
    layer = archive({"a": b"1"})
    with pytest.raises(OntimeError, match=r"^not the layer that the configuration names$"):
        add_layer(Filesystem(), io.BytesIO(layer), False, "models", digest_of_bytes(b""))


def bomb(monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(image_layers, "MOST_BYTES", 1 << 20)
    return archive({"zeros": bytes(2 << 20)})


def many(monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(image_layers, "MOST_ENTRIES", 10)
    return archive({str(number): b"" for number in range(11)})


def long_name(monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(image_layers, "MOST_HEADER", 1000)
    return archive({"a" * 2000: b""})


def large_model(monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(image_layers, "MOST_KEPT", 10)
    return archive({"models/a": bytes(6), "models/b": bytes(6)})


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (bomb, "more than 1048576 bytes uncompressed"),
        (many, "more than 10 files"),
        (long_name, "a header of "),
        (large_model, "models/b: more than 10 bytes with those before"),
    ],
)
def test_what_a_layer_takes_of_this_machine_is_bounded(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[pytest.MonkeyPatch], bytes], line: str
) -> None:
    layer = make(monkeypatch)
    with pytest.raises(OntimeError) as error:
        read(layer, compressed=True)
    assert str(error.value).startswith(line)
