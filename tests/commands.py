"""Commands of `ontime` run in the test's own process, parameters that train in a second, and what of them is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ontime.cli import commands
from ontime.common import params
from ontime.common.params import Section, SectionType
from ontime.model_training import families
from ontime.model_training.families import FAMILIES, family
from ontime.parameters import Params


def run_command(*arguments: str) -> None:
    """Run a command of `ontime` in this process and folder."""
    commands.main(list(arguments), standalone_mode=False)


def write_params(content: Any, path: Path) -> None:
    """Write parameters in block style: DVC's parser takes no question mark before a comma."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(content, path)


def make_small(path: Path, folds: int = 1) -> None:
    """Set parameters that train in a second."""
    yaml = YAML()
    content = yaml.load(path)
    content["engine"]["backend"] = "sequential"
    content["split"]["folds"] = folds
    content["train"]["random_forest"]["n_estimators"] = 20
    content["train"]["gradient_boosting"]["max_iter"] = 40
    content["train"]["neural_network"] |= {"hidden_units": [8], "epochs": 3, "learning_rate": 0.01, "batch_size": 32}
    content["export"]["golden_records"] = 16
    yaml.dump(content, path)


def leaves_of(section: type[Section] = Params, prefix: str = "") -> Iterator[str]:
    """Dotted names of all parameters that are no sections, those of an event's families by their own sections."""
    of_events, of_numbers = ({f"train.{one}" for one in FAMILIES[task]} for task in ("binary", "regression"))
    for name, field in section.model_fields.items():
        if f"{prefix}{name}" in of_numbers - of_events:
            continue
        inner = family(name).Parameters if f"{prefix}{name}" in of_events else None
        if inner is None and isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            inner = field.annotation
        if inner is None:
            yield f"{prefix}{name}"
        else:
            yield from leaves_of(inner, f"{prefix}{name}.")


class Reads:
    """Which parameters the commands of one process read, by their dotted names in `params.yaml`."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._places: dict[int, tuple[str, Section]] = {}

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Note from now on what is read of every section that is checked."""
        leaves = set(leaves_of())
        plain_check, plain_get, plain_dump = params.check, Section.__getattribute__, Section.model_dump

        def check(section: type[SectionType], content: Any, where: str) -> SectionType:
            found = plain_check(section, content, where)
            file, _, place = where.partition(": ")
            # a dataset's own options are one parameter
            if file == str(params.PARAMS_FILE) and place and place not in leaves:
                # its plain content was read only to be checked
                self.names.discard(place)
                self._places[id(found)] = (place, found)
            return found

        def get(section: Section, name: str) -> Any:
            value = plain_get(section, name)
            if isinstance(value, Section) and id(section) in self._places:
                self._places[id(value)] = (f"{self._places[id(section)][0]}.{name}", value)
            elif name in type(section).model_fields:
                self._note(section, name)
            return value

        def dump(section: Section, **options: Any) -> dict[str, Any]:
            for name in type(section).model_fields:
                self._note(section, name)
            return plain_dump(section, **options)

        for module in (params, families):
            patch.setattr(module, "check", check)
        patch.setattr(Section, "__getattribute__", get)
        patch.setattr(Section, "model_dump", dump)

    def _note(self, section: Section, name: str) -> None:
        if id(section) in self._places:
            self.names.add(f"{self._places[id(section)][0]}.{name}")


def run_and_watch(*arguments: str) -> set[str]:
    """Run a command and return the parameters that it read."""
    reads = Reads()
    with pytest.MonkeyPatch.context() as patch:
        reads.watch(patch)
        run_command(*arguments)
    return reads.names
