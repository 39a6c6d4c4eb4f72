"""Variables are checked at the start: unknown names, wrong values and a missing key are told in one line."""

import os
from pathlib import Path

import pytest

from ontime.common.errors import OntimeError
from ontime.model_deployment.service.settings import PREFIX, Settings, load_settings, spans_are_asked_for


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


def test_the_signature_of_no_shadow_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}SHADOW_SIGNATURE", "other.sig")
    with pytest.raises(OntimeError, match=f"^{PREFIX}SHADOW: missing; {PREFIX}SHADOW_SIGNATURE is the signature"):
        load_settings()
    monkeypatch.setenv(f"{PREFIX}SHADOW", "other")
    assert (load_settings().shadow, load_settings().shadow_signature) == (Path("other"), Path("other.sig"))
    for name in ("SHADOW", "SHADOW_SIGNATURE"):
        monkeypatch.setenv(PREFIX + name, "")
    assert load_settings().shadow is None


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": ""}, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "false"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "True"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER: expected otlp or none, found 'console'"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: expected http/protobuf, found 'grpc'",
        ),
    ],
)
def test_the_variables_of_opentelemetry_ask_for_spans(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: bool | str
) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if isinstance(expected, bool):
        assert spans_are_asked_for() == expected
        return
    with pytest.raises(OntimeError, match=f"^{expected}$"):
        spans_are_asked_for()
