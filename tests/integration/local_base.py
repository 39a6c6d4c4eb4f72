"""The image's base where a test runs: the one that the Dockerfile pins, or where it cannot be pulled a stand-in.

The stand-in is Debian's own Python, made from the machine's package sources, with the machine's certificates; so it
differs from the pinned base in where the interpreter lies and in what else there is. Only tests build on it. Its
archive is kept between runs.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.checkouts import TOP
from tests.containers import KEPT

PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
PULL_SECONDS, MAKE_SECONDS = 60, 900


def find_base(tool: str, environment: Mapping[str, str]) -> str:
    """Name of a base image in the tool's store; skips the test where there is none."""
    text = (TOP / "deployment" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    (pinned,) = re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    # a tag beside a digest is for readers; not every version of the tools takes both
    pinned = re.sub(r":[^@/]+@", "@", f"docker.io/library/{pinned}")
    try:
        subprocess.run([tool, "pull", "--quiet", pinned], env=environment, check=True, timeout=PULL_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        archive = make_base()
        variables = [f"--change=ENV {name}={CERTIFICATES}" for name in ("PIP_CERT", "SSL_CERT_FILE")]
        subprocess.run([tool, "import", *variables, archive, stand_in()], env=environment, check=True)
        return stand_in()
    return pinned


def kept_base(tool: str, environment: Mapping[str, str]) -> str:
    """The same in a store that is kept: made again it would be another image, and every layer on it with it."""
    made = subprocess.run([tool, "image", "exists", stand_in()], env=environment, check=False)
    return stand_in() if made.returncode == 0 else find_base(tool, environment)


def stand_in() -> str:
    """Name of the stand-in, by what it is made of."""
    certificates = Path(CERTIFICATES)
    content = PACKAGES.encode() + (certificates.read_bytes() if certificates.exists() else b"")
    return f"localhost/ontime-base:{hashlib.sha256(content).hexdigest()[:8]}"


def make_base() -> Path:
    """Archive of a root filesystem with Python 3.11 and pip; one process at a time makes it."""
    sources = next((path for path in SOURCES if path.is_file()), None)
    if shutil.which("mmdebstrap") is None or sources is None:
        pytest.skip("the base image can be neither pulled nor, without mmdebstrap and apt sources, be made")
    KEPT.mkdir(parents=True, exist_ok=True)
    archive = KEPT / f"{stand_in().rpartition('/')[2].replace(':', '-')}.tar"
    with (KEPT / ".base").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if archive.exists():
            return archive
        # renamed when it is whole: an interrupted one would be taken for it
        part = archive.with_suffix(".part.tar")
        part.unlink(missing_ok=True)
        subprocess.run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={PACKAGES}",
                f"--customize-hook=upload {CERTIFICATES} {CERTIFICATES}",
                # Debian's mark that pip must not install; it is asked to install elsewhere
                '--customize-hook=rm -f "$1/usr/lib/python3.11/EXTERNALLY-MANAGED"',
                "bookworm",
                part,
                sources,
            ],
            check=True,
            timeout=MAKE_SECONDS,
        )
        return part.rename(archive)
