"""`params.yaml`, typed: a misspelt key, a wrong type or a value out of range is an error that names the key.

Each section is a class beside the code that reads it, so that another section makes no stage run again.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontime.common.errors import OntimeError

PARAMS_FILE = Path("params.yaml")
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A frozen part of `params.yaml` that knows all its keys and converts nothing but integers to floats."""

    # built when used: a process builds the sections that it reads
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


SectionType = TypeVar("SectionType", bound=Section)


def load_section(name: str, section: type[SectionType], path: Path = PARAMS_FILE) -> SectionType:
    """Read and check one section of `params.yaml`.

    Raises:
        OntimeError: not found, not YAML, or a key that is unknown, missing, of the wrong type or out of range.
    """
    content = read_params(path)
    if name not in content:
        raise OntimeError(f"{path}: {name}: missing; {_hint(name, list(content))}")
    return check(section, content[name], f"{path}: {name}")


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """The plain content of `params.yaml`.

    Raises:
        OntimeError: not found, not YAML, or no sections.
    """
    try:
        content = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise OntimeError(f"{path}: not found; run this in the repository's top folder") from None
    except YAMLError as error:
        raise OntimeError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise OntimeError(f"{path}: has no sections; expected `name:` and indented keys")
    return content


def check(section: type[SectionType], content: Any, where: str) -> SectionType:
    """Turn plain content into a typed section; `where` begins the one-line error."""
    try:
        return section.model_validate(content)
    except ValidationError as error:
        raise OntimeError("; ".join(_explain(section, problem, where) for problem in error.errors())) from None


def closest(word: str, known: list[str]) -> str:
    """A hint at the word that was meant: the known one that is close, else all of them."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"


def _hint(name: str, found: list[str]) -> str:
    close = difflib.get_close_matches(name, found, n=1)
    return f"is {close[0]} meant?" if close else f"the file has {', '.join(map(str, found)) or 'no section'}"


def _explain(section: type[Section], problem: Any, where: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    # a key of a section is told as `section.key`
    where = f"{where}{'.' if ': ' in where else ': '}{key}" if key else where
    if problem["type"] == "extra_forbidden":
        known = list(_section_at(section, problem["loc"][:-1]).model_fields)
        return f"{where}: unknown key; {closest(str(problem['loc'][-1]), known)}"
    if problem["type"] == "missing":
        return f"{where}: missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}, found {problem['input']!r:.60}"


def _section_at(section: type[Section], loc: tuple[int | str, ...]) -> type[Section]:
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = section.model_fields[part].annotation
        for kind in (annotation, *get_args(annotation)):
            if isinstance(kind, type) and issubclass(kind, Section):
                section = kind
    return section
