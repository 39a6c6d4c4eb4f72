"""The service's configuration: environment variables that begin with ONTIME_SERVICE_, checked at the start."""

import difflib
import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ontime.errors import OntimeError

PREFIX = "ONTIME_SERVICE_"
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Each field is read from ONTIME_SERVICE_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    model: Path = Path("models/champion")
    """Folder of the model."""
    signature: Path = Path("models/champion.sig")
    public_key: Path | None = None
    """Whose signature is wanted; or, for a keyless one, `identity` and `identity_provider`."""
    identity: str = ""
    identity_provider: str = ""
    model_version: str = "0.0.0"
    git_commit: str = "unknown"
    host: str = "127.0.0.1"
    port: Port = 8080
    metrics_port: Port = 9090
    """Both ports: 0 takes a free one."""
    threads: Count = 1
    """Threads of ONNX Runtime for one batch."""
    max_body_bytes: Count = 8 * 1024 * 1024
    max_rows: Count = 4096
    """Rows of one request."""
    max_batch_rows: Count = 512
    """Rows that run on the event loop at once; a larger request runs on a thread."""
    max_queued_rows: Count = 16384
    """Rows that wait or run; above it new requests get 429."""
    body_seconds: Seconds = 10.0
    """How long a request's body may take to arrive."""
    drain_seconds: Annotated[float, Field(ge=0)] = 2.0
    """After SIGTERM: not ready, and each answer closes its connection, before the listener closes."""
    prediction_log_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the requests whose predictions are logged."""
    prediction_log_redact: list[str] = []
    """Features (a JSON list) whose values are left out of the log."""
    access_log: bool = True


def load_settings() -> Settings:
    """Settings from the environment.

    Raises:
        OntimeError: a variable that is unknown or has a value that its field may not have.
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
    if settings.public_key is None and not (settings.identity and settings.identity_provider):
        raise OntimeError(
            f"{PREFIX}PUBLIC_KEY: missing; name the key that signed the model, or for a keyless signature "
            f"{PREFIX}IDENTITY and {PREFIX}IDENTITY_PROVIDER"
        )
    return settings
