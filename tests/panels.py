"""A page that draws a dashboard's panels by Grafana's own components, built once from npm packages that a lock pins."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from ontime.common.files import replacing
from tests.checkouts import TOP

SOURCES = TOP / "tests" / "grafana"
CACHE = Path.home() / ".cache" / "ontime" / "panels"
BUNDLE = (
    *("panels.tsx", "--bundle", "--splitting", "--format=esm", "--platform=browser", "--minify", "--log-level=error"),
    *("--loader:.svg=dataurl", "--loader:.woff2=dataurl", "--loader:.ttf=dataurl", "--define:global=window"),
    *('--define:process.env.NODE_ENV="production"', "--outdir=page"),
)


def built_page() -> Path:
    """Folder of the page; the test is skipped where npm or its registry cannot be reached."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SOURCES.iterdir()))).hexdigest()[:16]
    page = CACHE / digest
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not page.is_dir():
            _build(page)
    return page / "page"


def _build(page: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, from which Grafana's components come")
    with replacing(page) as folder:
        shutil.copytree(SOURCES, folder)
        arguments = [npm, "ci", "--ignore-scripts", "--legacy-peer-deps"]
        done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(
                f"npm cannot fetch Grafana's components: {(done.stderr.splitlines() or ['no reason'])[0][:200]}"
            )
        # esbuild's launcher needs no script of its package where its program for this system is there
        done = subprocess.run(
            ["node_modules/.bin/esbuild", *BUNDLE], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        shutil.copyfile(folder / "index.html", folder / "page" / "index.html")
        shutil.rmtree(folder / "node_modules")
