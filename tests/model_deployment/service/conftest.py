"""The signed model of the small fork, loaded, and the service around it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ontime.common.files import read_json
from ontime.model_deployment.inference.champion import Champion
from ontime.model_deployment.service.protocol.records import RecordEncoding
from ontime.model_deployment.service.routes import make_app
from ontime.model_deployment.service.server import load_shadow, load_signed
from ontime.model_deployment.service.service import Service
from ontime.model_deployment.service.settings import Settings
from tests.services import make_second


@pytest.fixture(scope="session")
def settings(signed: Path) -> Settings:
    """Settings for the signed model, with bounds that a test can reach."""
    return Settings(
        model=signed / "model",
        signature=signed / "model.sig",
        public_key=signed / "model.pub",
        model_version="1.2.3",
        git_commit="0123456789abcdef",
        max_rows=200,
        max_batch_rows=50,
        max_body_bytes=100_000,
    )


@pytest.fixture(scope="session")
def model(settings: Settings) -> Champion:
    """The loaded model."""
    return load_signed(settings)


@pytest.fixture(scope="session")
def with_second(signed: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings that name a second model, of another vocabulary, beside the first."""
    folder = make_second(signed, tmp_path_factory.mktemp("second") / "model")
    return settings.model_copy(update={"shadow": folder, "shadow_version": "2.0.0"})


@pytest.fixture(scope="session")
def second(with_second: Settings) -> Champion:
    """The second model, loaded."""
    found = load_shadow(with_second)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def records(model: Champion, settings: Settings) -> RecordEncoding:
    """The records of the model, as both protocols read them."""
    return RecordEncoding(model, settings.max_rows)


@pytest.fixture(scope="session")
def golden(signed: Path) -> dict[str, Any]:
    """Records and their probabilities."""
    content: dict[str, Any] = read_json(signed / "model" / "golden.json")
    return content


@pytest.fixture
def service(model: Champion, settings: Settings) -> Service:
    """A service of its own for a test."""
    return Service(model, settings)


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    """A client of the service that raises its internal errors."""
    with TestClient(make_app(service)) as client:
        yield client
