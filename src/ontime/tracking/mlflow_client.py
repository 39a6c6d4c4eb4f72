"""Access to an MLflow server that may be down: a failure is a one-line warning."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def asking_mlflow(lost: str, variable: str = "MLFLOW_TRACKING_URI") -> Iterator[str]:
    """Run a block that uses MLflow at the yielded address; a failure only prints a one-line warning.

    Args:
        lost: the consequence of a failure, for that warning.
        variable: names the address; where it is not set, the tracking server's is meant.
    """
    os.environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    # by default MLflow retries for several minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    # long enough for a server that is busy with others
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    address = os.environ.get(variable, os.environ["MLFLOW_TRACKING_URI"])
    import mlflow  # noqa: F401  its import sets the level of its loggers to INFO

    for library in ("mlflow", "alembic"):
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield address
    except Exception as error:  # a by-product must never fail a run
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        sys.stderr.write(without_passwords(f"warning: MLflow at {address}: {lost}: {reason}\n"))


def without_passwords(text: str) -> str:
    """The text whose addresses have lost user and password."""
    return re.sub(r"//[^/@\s]*@", "//", text)
