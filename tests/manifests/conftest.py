"""The checkout's manifests, rendered once."""

import shutil
from pathlib import Path

import pytest

from ontime.manifests.render import Manifest, render_all
from ontime.manifests.schemas import schemas
from ontime.manifests.tools import find_kustomize
from tests.checkouts import TOP
from tests.kubernetes import STAGES


@pytest.fixture(scope="module")
def kustomize() -> Path:
    if shutil.which("go") is None:
        pytest.skip("go is not installed: it builds kustomize")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(TOP)
        return find_kustomize()


@pytest.fixture(scope="module")
def rendered(kustomize: Path) -> dict[str, list[Manifest]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(TOP)
        return render_all(Path(), kustomize)


@pytest.fixture(scope="module")
def custom(kustomize: Path) -> dict[str, Manifest]:
    del kustomize
    return schemas()


@pytest.fixture(params=STAGES)
def overlay(request: pytest.FixtureRequest, rendered: dict[str, list[Manifest]]) -> list[Manifest]:
    return rendered[f"overlays/{request.param}"]


@pytest.fixture(scope="module")
def production(rendered: dict[str, list[Manifest]]) -> list[Manifest]:
    """The overlay that has all rules."""
    return rendered["overlays/production"]
