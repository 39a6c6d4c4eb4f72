"""Names of objects and paths: what may not be used is refused by what is wrong with it."""

import json
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.repository.objects import (
    check_inside,
    check_md5,
    check_path,
    folder_md5_of,
    hashes_of,
    output_md5,
    read_listing,
)

GOOD = "0" * 32


def listing(*pairs: tuple[object, object]) -> bytes:
    return json.dumps([{"md5": md5, "relpath": path} for path, md5 in pairs]).encode()


@pytest.mark.attack("remote-code")
@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "../x",
        "../../src/sitecustomize.py",
        "a/../x",
        "a/./x",
        "a//x",
        "a/",
        "/etc/x",
        "C:/x",
        "c:x",
        "a\\x",
        "..\\x",
        "a\nx",
        "a\0x",
        ".git",
        ".git/hooks/post-checkout",
        "a/.GIT/config",
        "GIT~1/config",
        ".git./config",
        ".git /config",
        ".gitattributes",
        ".gitmodules",
        ".dvc/config",
        "a/.dvcignore",
    ],
)
def test_a_path_that_leads_elsewhere_or_steers_git_or_dvc_is_refused(path: str) -> None:
    with pytest.raises(OntimeError, match=r"^output: (not a path|an absolute path|a path that leaves|a file of git)"):
        check_path(path, "output")
    with pytest.raises(OntimeError, match=r"^output a: its listing: "):
        read_listing(listing((path, GOOD)), "output a")


@pytest.mark.parametrize(
    "path", ["a", "a/b.parquet", "..a", "a..b", "a b", "é/ß.csv", "gitlog", "a.git", "2013-01.parquet"]
)
def test_a_path_below_its_folder_is_taken(path: str) -> None:
    check_path(path, "output")
    assert read_listing(listing((path, GOOD)), "output a") == {path: GOOD}


@pytest.mark.attack("remote-code")
@pytest.mark.parametrize(
    "md5",
    ["", "../../x", "ab/../../x", GOOD[1:], f"{GOOD}0", "g" * 32, "A" * 32, f"{GOOD}\n", f"{GOOD}.dir.dir", "/etc/x"],
)
def test_what_is_no_md5_names_no_object(md5: str) -> None:
    with pytest.raises(OntimeError, match=r"^output a: not an MD5: "):
        check_md5(md5, "output a")
    with pytest.raises(OntimeError, match=r"^output a: its listing: not an MD5: "):
        read_listing(listing(("x", md5)), "output a")


@pytest.mark.attack("remote-code")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a listing of files"),
        (b"{}", "not a listing of files"),
        (b"\xff", "not a listing of files"),
        (b"[1]", "not a listing of files"),
        (b"[" * 100_000, "not a listing of files"),
        (listing((1, GOOD)), "not a listing of files"),
        (listing(("x", None)), "not a listing of files"),
        (b'[{"relpath": "x", "md5": "%s", "isexec": true}]' % GOOD.encode(), "not a listing of files"),
        (listing(("x", f"{GOOD}.dir")), "a listing inside a listing"),
        (listing(("x", GOOD), ("x", "1" * 32)), "the same path twice"),
        (listing(("x", GOOD), ("x/y", GOOD)), "the same path twice"),
    ],
)
def test_a_listing_that_says_more_or_less_than_files_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(OntimeError, match=f"^output a: .*{reason}"):
        read_listing(content, "output a")


@pytest.mark.attack("remote-code")
def test_an_output_behind_a_link_out_of_the_checkout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "top" / "here").mkdir(parents=True)
    (tmp_path / "top" / "data").symlink_to(tmp_path)
    check_inside("here/x", tmp_path / "top")
    check_inside("absent/x", tmp_path / "top")
    with pytest.raises(OntimeError, match=r"^output data/x: outside the checkout, by a symbolic link"):
        check_inside("data/x", tmp_path / "top")


def test_hashes_are_those_of_dvc(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("c")
    (tmp_path / "a" / "d").write_text("d")
    hashes = {"b/c": "4a8a08f09d37b73795649038408b5f33", "d": "8277e0910d750195b448797616e091ad"}
    assert hashes_of(tmp_path / "a") == hashes
    assert output_md5(tmp_path / "a" / "d") == hashes["d"]
    assert output_md5(tmp_path / "a") == f"{folder_md5_of(hashes)}.dir"
