"""The registry copied into MLflow's: a model version per registered one, an alias per stage.

MLflow follows and never leads: nothing here reads what it says, and a server that does not answer costs a warning.
`MLFLOW_TRACKING_URI` says where to (default `sqlite:///mlflow.db`), `MLFLOW_REGISTRY_URI` if the registry is elsewhere.
"""

from ontime.common import paths
from ontime.release.registry import Registry
from ontime.tracking.mlflow_client import asking_mlflow


def mirror(registry: Registry) -> int | None:
    """Copy what MLflow lacks.

    Returns:
        Number of changes there; None if it could not be reached, which is told in one line on standard error.
    """
    with asking_mlflow("registry not mirrored"):
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
        wanted = registry.wanted(stage)
        number = numbers[registry.version_of(wanted)] if wanted else None
        if number is not None and str(aliases.get(stage)) != str(number):
            client.set_registered_model_alias(name, stage, number)
            changes += 1
        if number is None and stage in aliases:
            client.delete_registered_model_alias(name, stage)
            changes += 1
    return changes
