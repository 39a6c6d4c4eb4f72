"""Copies the registry to MLflow's model registry: a model version for each version, an alias for each stage.

The copy is one-way: MLflow's content is never used for a release, and if the server is down, a warning is printed.
`MLFLOW_TRACKING_URI` is the server (default `sqlite:///mlflow.db`), `MLFLOW_REGISTRY_URI` a separate registry.
"""

from ontime.common import paths
from ontime.release.registry import Registry
from ontime.tracking.mlflow_client import asking_mlflow


def mirror(registry: Registry) -> int | None:
    """Copy the versions and stages that MLflow does not have yet.

    Returns:
        Number of changes; None if MLflow could not be reached, after a one-line warning on standard error.
    """
    with asking_mlflow("registry not mirrored", "MLFLOW_REGISTRY_URI"):
        return _copy(registry)
    return None


def _copy(registry: Registry) -> int:
    from mlflow import MlflowClient

    client, name, changes = MlflowClient(), registry.name, 0
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
        changes += 1
    numbers = {one.tags.get("version"): one.version for one in client.search_model_versions(f"name = '{name}'")}
    for event in registry.registrations():
        if event.version not in numbers:
            tags = {"version": event.version, "git_commit": event.commit}
            source = f"dvc://{paths.CHAMPION}?rev={event.commit}"
            numbers[event.version] = client.create_model_version(name, source, tags=tags).version
            changes += 1
    aliases = client.get_registered_model(name).aliases
    for stage in registry.stages:
        desired = registry.wanted(stage)
        number = numbers[registry.version_of(desired)] if desired else None
        if number is not None and str(aliases.get(stage)) != str(number):
            client.set_registered_model_alias(name, stage, number)
            changes += 1
        if number is None and stage in aliases:
            client.delete_registered_model_alias(name, stage)
            changes += 1
    return changes
