"""`page.json`: what the service's page is built from, as a typed record.

`export` writes it; the service adds the model's name, version and threshold, and the page's scripts read it.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.model_deployment.inference.manifest import Manifest

PAGE = "page.json"

Value = int | float | str | None
Kind = Literal["number", "clock", "moment", "choice", "text"]
"""How a value is shown: a number, minutes since midnight as a time, days since 1970 as date and time, one of a list, or
a text."""


class _Record(BaseModel):
    # a key that a later version of the project adds is ignored
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Texts(_Record):
    """What the page says in the words of its readers; `record` is what one row is.

    `probability` is a name for it, `prediction` for a number that is asked in its place.
    """

    question: str
    event: str
    no_event: str
    probability: str
    record: str
    prediction: str = ""


class Choice(_Record):
    """One of a list's values, and what a person reads for it."""

    value: int | float | str
    label: str


class PageFeature(_Record):
    """One feature of the model. A number has bounds and `candidates` of the training rows, a list has `choices`."""

    name: str
    title: str
    unit: str
    description: str
    kind: Kind
    whole: bool
    may_be_missing: bool
    minimum: int | float | None
    maximum: int | float | None
    choices: list[Choice]
    candidates: list[int | float]


class Follow(_Record):
    """A feature whose value follows from others: `values` has a row per combination, those of `of`, then its own."""

    feature: str
    of: Annotated[list[str], Field(min_length=1)]
    values: list[list[Value]]


class Sum(_Record):
    """A feature that is the sum of others, modulo a day if it is a clock time."""

    feature: str
    of: Annotated[list[str], Field(min_length=1)]


class Page(_Record):
    """The page: `asked` are the features of its form in order; `starts` are whole records, a typical one first."""

    texts: Texts
    features: Annotated[list[PageFeature], Field(min_length=1)]
    asked: list[str]
    follows: list[Follow]
    sums: list[Sum]
    starts: Annotated[list[dict[str, Value]], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> "Page":
        names = [feature.name for feature in self.features]
        set_before = set(self.asked)
        if not set_before <= set(names):
            raise ValueError(f"asked: no feature {min(set_before - set(names))}")
        rules: list[Follow | Sum] = [*self.follows, *self.sums]
        for rule in rules:
            if rule.feature not in names or rule.feature in set_before:
                raise ValueError(f"{rule.feature} is no feature, or is set twice")
            if not set(rule.of) <= set_before:
                raise ValueError(f"{rule.feature} follows {min(set(rule.of) - set_before)}, which is not set before it")
            set_before.add(rule.feature)
        for follow in self.follows:
            if any(len(row) != len(follow.of) + 1 for row in follow.values):
                raise ValueError(f"{follow.feature}: a row of its values has another length than 1 more than `of`")
        for number, start in enumerate(self.starts):
            if list(start) != names:
                raise ValueError(f"starts.{number}: its features are not those of the page")
        return self

    def as_json(self) -> dict[str, Any]:
        """The content of `page.json`."""
        return self.model_dump(exclude=None if self.texts.prediction else {"texts": {"prediction"}})


def read_page(folder: Path, manifest: Manifest) -> Page:
    """The page of a champion's folder.

    Raises:
        OntimeError: there is none, the file is not what `export` writes, or it is of another model.
    """
    path = folder / PAGE
    try:
        page = Page.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        reason = str(first.get("ctx", {}).get("error", first["msg"].lower()))
        raise OntimeError(f"{path}: not a page: {key or 'top level'}: {reason}") from None
    if [feature.name for feature in page.features] != [feature.name for feature in manifest.features]:
        raise OntimeError(f"{path}: its features are not those of the model")
    return page
