"""Rendered manifests in tests: one by its kind, those that make pods, and a repository of them alone."""

from collections.abc import Iterator
from pathlib import Path

from ontime.manifests.render import Manifest, containers, copy_sources
from tests.checkouts import TOP, git

STAGES = ("staging", "production")


def one(manifests_: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """The only manifest of a kind, or of a kind and name."""
    (found,) = [
        manifest
        for manifest in manifests_
        if manifest["kind"] == kind and (name is None or manifest["metadata"]["name"] == name)
    ]
    return found


def pods(rendered: dict[str, list[Manifest]]) -> Iterator[tuple[str, Manifest]]:
    """Every manifest that makes pods, and where it is."""
    for target, found in rendered.items():
        for manifest in found:
            if containers(manifest):
                yield f"{target} {manifest['kind']} {manifest['metadata']['name']}", manifest


def commit_sources(folder: Path) -> None:
    """A repository of the manifests alone."""
    copy_sources(TOP, folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "--quiet", "--message=base")
