"""The section `privacy` of `params.yaml`: what names a person, where rows are held, and for how long."""

from typing import Annotated

from pydantic import Field

from ontime.common.errors import OntimeError
from ontime.common.params import Count, Section, load_section

NO_PERSONS = "privacy.subject is empty in params.yaml: no column names a person, so nothing is held of one"


class Privacy(Section):
    """The policy.

    `subject` is the column of the raw table whose value names a person; `log` the address of the prediction log,
    `monitoring` the folder that `ontime monitor` writes to, `labels` the file of labels, each where there is one;
    `images` repositories of a registry that models are published to; `mlflow` the address of the MLflow server, or of
    its database, that trainings are recorded in. `keep_versions_days` after somebody is forgotten older versions are
    removed; `keep_log_days` days of the log stay.
    """

    subject: str | None = None
    log: str | None = None
    monitoring: str | None = None
    labels: str | None = None
    images: list[str] = Field(default_factory=list)
    mlflow: str | None = None
    keep_versions_days: Annotated[int, Field(ge=0)]
    keep_log_days: Count


def load_privacy() -> Privacy:
    """The section of this checkout."""
    return load_section("privacy", Privacy)


def subject_of(privacy: Privacy) -> str:
    """The column that names a person.

    Raises:
        OntimeError: there is none.
    """
    if privacy.subject is None:
        raise OntimeError(NO_PERSONS)
    return privacy.subject
