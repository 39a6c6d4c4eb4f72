"""`golden.json`: records with what the model said of them when it was released, to check it wherever it runs."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ontime.common.arrays import Matrix
from ontime.common.errors import OntimeError
from ontime.common.files import read_json
from ontime.encoder import Encoder
from ontime.model_deployment.inference.manifest import GOLDEN

Said = float | list[float]
"""What a model says of a record: a number, or the probability of each class."""


class Golden(BaseModel):
    """Records by feature name as a client sends them, and for each what the trained model itself says of it.

    That is in `probabilities` or, of numbers, in `predictions`.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    records: list[dict[str, int | float | str | None]] = Field(min_length=1)
    probabilities: list[Said] | None = None
    predictions: list[float] | None = None

    @property
    def expected(self) -> list[Said]:
        """What the trained model says, by record."""
        return [*self.predictions] if self.probabilities is None and self.predictions else self.probabilities or []

    @model_validator(mode="after")
    def _complete(self) -> "Golden":
        if (self.probabilities is None) == (self.predictions is None):
            raise ValueError("expected either probabilities or predictions")
        if len({len(one) if isinstance(one, list) else None for one in self.expected}) > 1:
            raise ValueError("expected as many probabilities of each record")
        return self

    def matrix(self, encoder: Encoder) -> Matrix:
        """The records encoded (records, features).

        Raises:
            OntimeError: a record has other features than the encoder, or a value of another type.
        """
        for number, record in enumerate(self.records):
            if record.keys() != set(encoder.features):
                raise OntimeError(f"{GOLDEN}: records.{number}: its features are not those of the model")
        try:
            return encoder.transform_records([[record[name] for name in encoder.features] for record in self.records])
        except ValueError as error:
            raise OntimeError(f"{GOLDEN}: records: {error}") from None


def read_golden(folder: Path) -> Golden:
    """The golden records of a champion's folder.

    Raises:
        OntimeError: there are none, or the file is not what `export` writes.
    """
    path = folder / GOLDEN
    try:
        golden = Golden.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise OntimeError(f"{path}: not golden records: {key or 'top level'}: {first['msg'].lower()}") from None
    name = "predictions" if golden.probabilities is None else "probabilities"
    if len(golden.records) != len(golden.expected):
        raise OntimeError(
            f"{path}: not golden records: {len(golden.records)} records but {len(golden.expected)} {name}"
        )
    return golden
