"""`ontime …`: one command per stage and per operation; a command's module is imported only when it runs."""

import ast
import importlib.util
import sys
from pathlib import Path
from typing import Any

import click

from ontime.common.environment import end_with_parent
from ontime.common.errors import OntimeError

STAGES = {
    "ingest": "ontime.data_processing.ingest",
    "validate": "ontime.data_processing.validate",
    "featurize": "ontime.data_processing.featurize",
    "split": "ontime.data_processing.split",
    "train": "ontime.model_training.train",
    "evaluate": "ontime.model_evaluation.evaluate",
    "cross-validate": "ontime.backtest.cross_validate",
    "baselines": "ontime.model_evaluation.baselines",
    "select": "ontime.model_evaluation.select",
    "refit": "ontime.model_evaluation.refit",
    "forward": "ontime.backtest.forward",
    "export": "ontime.model_deployment.export.export",
}


def all_commands() -> dict[str, str]:
    """Module of each command; running a stage never reads the list of operations."""
    operations: dict[str, str] = importlib.import_module("ontime.operations").OPERATIONS
    return STAGES | operations


class _Commands(click.Group):
    """Stages and operations, each the object `command` of its module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(all_commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        module = STAGES.get(cmd_name) or all_commands().get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by the first sentences of their modules, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(module)) for name, module in all_commands().items()])


def _summary(module: str) -> str:
    spec = importlib.util.find_spec(module)
    source = Path(str(spec.origin)).read_text(encoding="utf-8") if spec else ""
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Run a stage of the graph or an operation of the repository, from its top folder."""


def main() -> Any:
    """Entry point: exit status 0, 1 for a problem told in one line, 2 for wrong usage, 130 when interrupted."""
    if sys.argv[1:2] and sys.argv[1] in STAGES:
        end_with_parent()
    try:
        return commands(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except OntimeError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{error.strerror or error}")
    except MemoryError:
        sys.exit("error: out of memory; close other programs or use a machine with more")
