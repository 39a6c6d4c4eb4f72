"""Values of a table and of a YAML file as Python's own."""

from typing import Any


def plain(value: Any) -> Any:
    """Python's own types in place of numpy's and ruamel.yaml's."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if hasattr(value, "item"):
        return value.item()
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
