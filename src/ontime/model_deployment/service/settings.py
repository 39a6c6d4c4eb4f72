"""The service's configuration: environment variables that begin with ONTIME_SERVICE_, checked at the start."""

import difflib
import os
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ontime.common.errors import OntimeError
from ontime.model_deployment.inference.signing import Signer

PREFIX = "ONTIME_SERVICE_"
TRACES_EXPORTER = "OTEL_TRACES_EXPORTER"
OTLP_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
OTLP_PROTOCOL = "http/protobuf"
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Each field is read from ONTIME_SERVICE_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    model: Path = Path("models/champion")
    """Folder of the model."""
    signature: Path = Path("models/champion.sig")
    public_key: OptionalPath = None
    """Key that must have signed the model; for a keyless signature set `identity` and `identity_provider` instead."""
    identity: str = ""
    identity_provider: str = ""
    trust_config: Path = Path("models/champion.trust.json")
    """Sigstore's keys, which check a keyless signature without network."""
    model_version: str = "0.0.0"
    git_commit: str = "unknown"
    shadow: OptionalPath = None
    """Folder of a second model, of the same signer, that answers beside the first for the log alone."""
    shadow_signature: OptionalPath = None
    """If not set, beside the folder with the ending .sig."""
    shadow_version: str = "0.0.0"
    shadow_queue_rows: Count = 16384
    """Rows that wait for the second model; above it, rows are skipped and counted."""
    host: str = "127.0.0.1"
    port: Port = 8080
    metrics_port: Port = 9090
    """For both ports, 0 takes a free one."""
    threads: Count = 1
    """Threads of ONNX Runtime for one batch."""
    max_body_bytes: Count = 8 * 1024 * 1024
    max_rows: Count = 4096
    """Rows of one request."""
    max_batch_rows: Count = 512
    """Rows that run together on the event loop; a request with more rows runs on a thread."""
    max_queued_rows: Count = 16384
    """Rows queued or being computed; above it, new requests get 429."""
    max_explained_rows: Count = 16
    """Rows of one request for explanations, which run on a thread."""
    body_seconds: Seconds = 10.0
    """How long a request's body may take to arrive."""
    keep_alive_seconds: Count = 75
    """How long an idle connection stays open; a proxy keeps its own for 60 s as a rule, and should end it first."""
    drain_seconds: Annotated[float, Field(ge=0)] = 2.0
    """Time after SIGTERM in which the service is not ready and each response closes its connection."""
    prediction_log_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of requests whose predictions are logged."""
    prediction_log_redact: list[str] = []
    """Features, as a JSON list, whose values are left out of the log; `key` leaves out the rows' keys."""
    page: bool = True
    """Whether the page, the model card and the API's documentation are served; if not, their paths are unknown."""
    access_log: bool = True
    log_queue_lines: Count = 16384
    """Lines that wait for standard output; above it, lines are dropped and counted."""


def load_settings() -> Settings:
    """Settings from the environment.

    Raises:
        OntimeError: a variable is unknown or has an invalid value.
    """
    known = [name.upper() for name in Settings.model_fields]
    for name in os.environ:
        field = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and field not in known:
            close = difflib.get_close_matches(field, known, n=1)
            hint = f"did you mean {PREFIX}{close[0]}?" if close else f"known: {', '.join(known)}"
            raise OntimeError(f"{name}: unknown; {hint}")
    try:
        settings = Settings()
    except ValidationError as error:
        problem = error.errors()[0]
        raise OntimeError(
            f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg'].lower()}, found {problem['input']!r}"
        ) from None
    except ValueError as error:
        raise OntimeError(f"{PREFIX}…: {' '.join(str(error).split())}; a list is written as JSON") from None
    check_signer(settings)
    if settings.shadow is None and settings.shadow_signature is not None:
        raise OntimeError(f"{PREFIX}SHADOW: missing; {PREFIX}SHADOW_SIGNATURE is the signature of its folder")
    return settings


def signer_of(settings: Settings) -> Signer:
    """Who must have signed what the service loads."""
    return Signer(settings.public_key, settings.identity, settings.identity_provider, settings.trust_config)


def check_signer(settings: Settings) -> None:
    """Refuse settings that name no signer, half an identity, or a key as well as an identity.

    Raises:
        OntimeError: names the variable that is missing or superfluous.
    """
    keyless = {f"{PREFIX}IDENTITY": settings.identity, f"{PREFIX}IDENTITY_PROVIDER": settings.identity_provider}
    missing = [name for name, value in keyless.items() if not value]
    if settings.public_key is None and len(missing) == len(keyless):
        raise OntimeError(
            f"{PREFIX}PUBLIC_KEY: missing; name the key that signed the model, or for a keyless signature "
            f"{' and '.join(keyless)}"
        )
    if settings.public_key is not None and len(missing) < len(keyless):
        given = next(name for name in keyless if name not in missing)
        raise OntimeError(
            f"{PREFIX}PUBLIC_KEY: set beside {given}; the model has one signature, leave one of them empty"
        )
    if len(missing) == 1:
        raise OntimeError(
            f"{missing[0]}: missing; a keyless signature is checked by an identity and its identity provider"
        )


def spans_are_asked_for() -> bool:
    """Whether OpenTelemetry's own variables ask for spans; the SDK reads the rest of them itself.

    Raises:
        OntimeError: they ask for an exporter or a protocol that the service does not have.
    """
    exporter = os.environ.get(TRACES_EXPORTER, "").strip()
    if exporter in ("", "none") or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if exporter != "otlp":
        raise OntimeError(f"{TRACES_EXPORTER}: expected otlp or none, found {exporter!r}")
    for name in OTLP_PROTOCOLS:
        protocol = os.environ.get(name, "").strip()
        if protocol not in ("", OTLP_PROTOCOL):
            raise OntimeError(f"{name}: expected {OTLP_PROTOCOL}, found {protocol!r}")
    return True
