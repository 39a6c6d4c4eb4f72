"""The charts that the platform's Applications name, and the values that they give them."""

from collections.abc import Iterator
from typing import Any

from ontime.manifests.render import Manifest


def sources(rendered: dict[str, list[Manifest]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each chart of the platform and its values."""
    for application in rendered["argocd"]:
        if application["kind"] == "Application":
            spec = application["spec"]
            for source in spec.get("sources") or [spec["source"]]:
                if "chart" in source:
                    yield source["chart"], source.get("helm", {}).get("valuesObject", {})


def leaves(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is no list or mapping, and the names that lead to it."""
    if isinstance(values, dict):
        for name, inner in values.items():
            yield from leaves(inner, (*path, str(name)))
    elif isinstance(values, list):
        for inner in values:
            yield from leaves(inner, path)
    else:
        yield path, values
