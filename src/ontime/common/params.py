"""`params.yaml`, typed: a misspelt key, a wrong type or a value out of range is an error that names its place."""

import difflib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontime.common.errors import OntimeError

PARAMS_FILE = Path("params.yaml")
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A frozen part of `params.yaml` that knows all its keys and converts nothing but integers to floats."""

    # built when used: a stage builds Params once, not each section and then Params
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


SectionType = TypeVar("SectionType", bound=Section)


class Data(Section):
    """Which dataset: a package that `ontime.datasets` knows, or a CSV or parquet file, and its own options."""

    source: str
    options: dict[str, Any]


class Engine(Section):
    """How partitions are spread: a joblib backend."""

    backend: Literal["loky", "spark", "sequential"]


def moment(text: str | None) -> datetime:
    """The time that ISO 8601 text names; UTC where it has no offset.

    Raises:
        ValueError: it names none.
    """
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"not an ISO 8601 time: {text}") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class Split(Section):
    """By time (rows before `validation_from` train, rows from `test_from` on test) or stratified with a seed."""

    by: Literal["time", "stratified"]
    validation_from: str | None
    test_from: str | None
    validation_fraction: Fraction
    test_fraction: Fraction
    seed: Annotated[int, Field(ge=0)]
    min_category_rows: Count

    @model_validator(mode="after")
    def _boundaries(self) -> "Split":
        if self.by == "time" and not (self.validation_from and self.test_from):
            raise ValueError("by: time needs validation_from and test_from, as ISO 8601 times")
        if self.by == "time" and moment(self.validation_from) >= moment(self.test_from):
            raise ValueError("validation_from must be before test_from")
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction and test_fraction leave nothing to train on")
        return self


class LogisticRegression(Section):
    """scikit-learn's names."""

    C: Positive
    max_iter: Count


class RandomForest(Section):
    """scikit-learn's names."""

    n_estimators: Count
    max_features: Annotated[float, Field(gt=0, le=1)]
    min_samples_leaf: Count


class GradientBoosting(Section):
    """Names of scikit-learn's HistGradientBoostingClassifier."""

    learning_rate: Positive
    max_iter: Count
    max_leaf_nodes: Annotated[int, Field(ge=2)]
    min_samples_leaf: Count
    max_features: Annotated[float, Field(gt=0, le=1)]
    l2_regularization: Annotated[float, Field(ge=0)]
    n_iter_no_change: Count


class NeuralNetwork(Section):
    """Keras: dense layers, relu, sigmoid at the end, adam."""

    hidden_units: list[Count]
    learning_rate: Positive
    # longer sums are split by the size of the processor's cache, which would change bytes
    batch_size: Annotated[int, Field(ge=1, le=256)]
    epochs: Count
    patience: Count


class Train(Section):
    """One section per model family, and the seed that all share."""

    seed: Annotated[int, Field(ge=0)]
    logistic_regression: LogisticRegression
    random_forest: RandomForest
    gradient_boosting: GradientBoosting
    neural_network: NeuralNetwork


MODEL_FAMILIES = tuple(name for name in Train.model_fields if name != "seed")


class Decision(Section):
    """What the two kinds of mistake cost, in one unit; the threshold minimises the sum on validation."""

    false_alarm_cost: Positive
    missed_event_cost: Positive


class Evaluate(Section):
    """Columns whose values are evaluated one by one, and the group whose past rate is a baseline."""

    slices: list[str]
    baseline_group: list[str]


class Select(Section):
    """The validation metric that decides."""

    metric: Literal["roc_auc", "pr_auc", "log_loss", "brier_score"]


class Tolerance(Section):
    """How much worse than its base a metric may be: the larger of the two, in its unit and as a share of the base."""

    absolute: Annotated[float, Field(ge=0)]
    relative: Annotated[float, Field(ge=0)]


class Gate(Section):
    """When a pull request fails: a validation metric of the champion is worse than allowed, beyond chance.

    The worsening's interval at `confidence` comes from `resamples` paired bootstrap resamples of the rows.
    """

    metrics: dict[Literal["roc_auc", "pr_auc", "log_loss", "brier_score", "cost_per_1000"], Tolerance]
    slices: Tolerance
    slice_rows: Count
    confidence: Fraction
    resamples: Annotated[int, Field(ge=100)]
    seed: Annotated[int, Field(ge=0)]


class Export(Section):
    """The model as registry and service know it: its name, golden records, and what its page asks for."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    golden_records: Count
    page_features: list[str]


class Tune(Section):
    """Random search: how many trials, and for each model family the values to try."""

    trials: Count
    seed: int
    space: dict[str, dict[str, list[Any]]]


class Params(Section):
    """All of `params.yaml`."""

    data: Data
    engine: Engine
    split: Split
    train: Train
    decision: Decision
    evaluate: Evaluate
    select: Select
    gate: Gate
    export: Export
    tune: Tune


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check `params.yaml`.

    Raises:
        OntimeError: not found, not YAML, or a key that is unknown, missing, of the wrong type or out of range.
    """
    try:
        content = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise OntimeError(f"{path}: not found; run this in the repository's top folder") from None
    except YAMLError as error:
        raise OntimeError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    return check(Params, content, str(path))


def check(model: type[SectionType], content: Any, where: str) -> SectionType:
    """Turn plain content into a typed section; `where` begins the one-line error."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise OntimeError("; ".join(_explain(model, problem, where) for problem in error.errors())) from None


def _explain(model: type[Section], problem: Any, where: str) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    where = f"{where}: {place}" if place else where
    if problem["type"] == "extra_forbidden":
        known = list(_section_at(model, problem["loc"][:-1]).model_fields)
        close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
        return f"{where}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{where}: missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}, found {problem['input']!r:.60}"


def _section_at(model: type[Section], loc: tuple[int | str, ...]) -> type[Section]:
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        for kind in (annotation, *get_args(annotation)):
            if isinstance(kind, type) and issubclass(kind, Section):
                model = kind
    return model


def check_family(name: str) -> str:
    """The name itself, if it is a model family."""
    if name not in MODEL_FAMILIES:
        close = difflib.get_close_matches(name, MODEL_FAMILIES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(MODEL_FAMILIES)}"
        raise OntimeError(f"unknown model {name}; {hint}")
    return name
