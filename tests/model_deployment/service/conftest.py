"""The signed model of the small fork, loaded, and the service around it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ontime.common.files import read_json
from ontime.model_deployment.inference.champion import Model, load_model
from ontime.model_deployment.service.app import Service, make_app
from ontime.model_deployment.service.protocol import Protocol
from ontime.model_deployment.service.settings import Settings


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
def model(settings: Settings) -> Model:
    """The loaded model."""
    return load_model(settings)


@pytest.fixture(scope="session")
def protocol(model: Model, settings: Settings) -> Protocol:
    """The reader and writer of the model's requests."""
    return Protocol(model, settings.max_rows)


@pytest.fixture(scope="session")
def golden(signed: Path) -> dict[str, Any]:
    """Records and their probabilities."""
    content: dict[str, Any] = read_json(signed / "model" / "golden.json")
    return content


@pytest.fixture
def service(model: Model, settings: Settings) -> Service:
    """A service of its own for a test."""
    return Service(model, settings)


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    """A client that lets the service's own errors through."""
    with TestClient(make_app(service)) as client:
        yield client
