"""The group of commands that watch a deployed model; each is in a module of its own name."""

import click

from ontime.monitoring import inputs, labels, replay, skew


@click.group(name="monitor")
def command() -> None:
    """Watch a deployed model."""


command.add_command(inputs.command)
command.add_command(labels.command)
command.add_command(replay.command)
command.add_command(skew.command)
