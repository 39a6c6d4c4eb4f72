"""Variables are checked at the start: unknown names, wrong values and a missing key are told in one line."""

from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.model_deployment.service.settings import PREFIX, Settings, load_settings


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}PUBLIC_KEY", "model.pub")


def test_variables_set_the_fields_of_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}PORT", "80")
    monkeypatch.setenv(f"{PREFIX}PREDICTION_LOG_REDACT", '["carrier"]')
    settings = load_settings()
    assert (settings.port, settings.prediction_log_redact, settings.public_key) == (80, ["carrier"], Path("model.pub"))
    assert settings == Settings(port=80, prediction_log_redact=["carrier"], public_key=Path("model.pub"))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("POTR", "1", "unknown; did you mean ONTIME_SERVICE_PORT?"),
        ("COLOUR_OF_THE_SKY", "blue", "unknown; known: MODEL, SIGNATURE, "),
        ("PORT", "many", "input should be a valid integer"),
        ("PORT", "70000", "input should be less than or equal to 65535, found '70000'"),
        ("MAX_ROWS", "0", "greater than or equal to 1"),
        ("PREDICTION_LOG_SHARE", "1.5", "less than or equal to 1"),
        ("PREDICTION_LOG_REDACT", "carrier", "a list is written as JSON"),
        ("ACCESS_LOG", "perhaps", "valid boolean"),
    ],
)
def test_a_wrong_variable_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(OntimeError) as error:
        load_settings()
    assert reason in str(error.value)
    assert str(error.value).startswith(PREFIX)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "identity", "provider", "reason"),
    [
        ("", "", "", "PUBLIC_KEY: missing; name the key that signed the model"),
        ("", "job", "", "IDENTITY_PROVIDER: missing; "),
        ("", "", "https://example.invalid", "IDENTITY: missing; "),
        ("model.pub", "job", "https://example.invalid", "PUBLIC_KEY: set beside ONTIME_SERVICE_IDENTITY; "),
        ("model.pub", "job", "", "PUBLIC_KEY: set beside ONTIME_SERVICE_IDENTITY; "),
        ("model.pub", "", "https://example.invalid", "PUBLIC_KEY: set beside ONTIME_SERVICE_IDENTITY_PROVIDER; "),
    ],
)
def test_whom_to_trust_is_said_whole_and_once(
    monkeypatch: pytest.MonkeyPatch, key: str, identity: str, provider: str, reason: str
) -> None:
    for name, value in {"PUBLIC_KEY": key, "IDENTITY": identity, "IDENTITY_PROVIDER": provider}.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(OntimeError) as error:
        load_settings()
    assert str(error.value).startswith(PREFIX + reason)
    assert "\n" not in str(error.value)


def test_an_identity_takes_the_place_of_an_empty_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}PUBLIC_KEY", "")
    monkeypatch.setenv(f"{PREFIX}IDENTITY", "job")
    monkeypatch.setenv(f"{PREFIX}IDENTITY_PROVIDER", "https://example.invalid")
    settings = load_settings()
    assert (settings.public_key, settings.identity) == (None, "job")
