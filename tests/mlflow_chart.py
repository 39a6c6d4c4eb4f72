"""How the chart of `argocd/platform/mlflow.yaml` starts MLflow: the command, environment and accounts of its values.

Written after the chart's templates `deployment.yaml`, `configmap.yaml` and `auth_ini_configmap.yaml`.
"""

from typing import Any

from ontime.manifests.render import parse
from tests.checkouts import TOP


def chart(name: str = "mlflow") -> dict[str, Any]:
    """The source of a chart: its version and values."""
    (application,) = parse((TOP / "argocd" / "platform" / "mlflow.yaml").read_text())
    (found,) = [one for one in application["spec"]["sources"] if one["chart"] == name]
    return dict(found)


def values() -> dict[str, Any]:
    """The values of the chart."""
    found: dict[str, Any] = chart()["helm"]["valuesObject"]
    return found


def arguments(given: dict[str, Any]) -> list[str]:
    """The server's options but host and port, in the chart's order."""
    root = given.get("artifactRoot", {})
    proxied, s3 = root.get("proxiedArtifactStorage", False), root.get("s3", {})
    option, folder = ("artifacts-destination", "./mlartifacts") if proxied else ("default-artifact-root", "./mlruns")
    if s3.get("enabled"):
        folder = f"s3://{s3['bucket']}/{s3.get('path', '')}"
    return [
        f"--backend-store-uri={scheme(given['backendStore']['postgres'])}://",
        f"--{option}={folder}",
        *(["--serve-artifacts"] if proxied else []),
        *(["--app-name=basic-auth"] if given.get("auth", {}).get("enabled") else []),
        # the quotes reach the program
        "--uvicorn-opts='--log-level=info'",
    ]


def scheme(postgres: dict[str, Any]) -> str:
    """The address's scheme: the database and, where the values name one, the driver."""
    assert postgres["enabled"]
    return f"postgresql+{postgres['driver']}" if postgres.get("driver") else "postgresql"


def environment(given: dict[str, Any]) -> dict[str, str]:
    """Variables of its ConfigMap that say neither where the database is nor what is logged, and those of the values."""
    return {
        **given.get("extraEnvVars", {}),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(given.get("serverAllowedHosts", [])),
    }


def accounts(given: dict[str, Any], database: str, administrator: tuple[str, str]) -> str:
    """The file of `MLFLOW_AUTH_CONFIG_PATH`, for accounts in a database, with the first account."""
    name, password = administrator
    return (
        "[mlflow]\n"
        f"default_permission = {given.get('auth', {}).get('defaultPermission', 'READ')}\n"
        f"database_uri = {database}\n"
        f"admin_username = {name}\nadmin_password = {password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
