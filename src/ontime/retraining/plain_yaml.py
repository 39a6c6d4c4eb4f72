"""Reads YAML that may come from an attacker: small in memory whatever it says."""

from collections.abc import Iterable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from ontime.common.errors import OntimeError

MOST_LEVELS = 30


def loaded(name: str, content: bytes) -> dict[str, Any]:
    """The keys and values of a file that a job left.

    Raises:
        OntimeError: it is no such file, is too deep, or has aliases.
    """
    yaml = YAML(typ="safe")
    try:
        text = content.decode("utf-8")
        loaded = yaml.load(text) if _is_shallow(yaml.parse(text)) else None
    except (YAMLError, ValueError, TypeError, RecursionError):
        loaded = None
    if not isinstance(loaded, dict):
        raise OntimeError(f"the job's {name}: not a YAML file of keys and values, without aliases")
    return loaded


def _is_shallow(events: Iterable[Any]) -> bool:
    """Whether a YAML text can be loaded: its levels fit on the stack, and no alias multiplies its content."""
    depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MOST_LEVELS or isinstance(event, AliasEvent):
            return False
    return True
