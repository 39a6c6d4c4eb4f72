"""MLflow is started in tests by what its chart makes of the values."""

from typing import Any

from tests import mlflow_chart
from tests.owned import owned

RENDERED = """\
[mlflow]
default_permission = READ
database_uri = DATABASE
admin_username = NAME
admin_password = PASSWORD
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


def test_command_variables_and_accounts_are_those_that_the_chart_renders() -> None:
    # read from `helm template` of this version; with another, render again
    assert mlflow_chart.chart()["targetRevision"] == "1.11.5"
    given = mlflow_chart.values()
    assert mlflow_chart.arguments(given) == [
        "--backend-store-uri=postgresql+psycopg2://",
        f"--artifacts-destination=s3://{owned()['buckets']}-mlflow/artifacts",
        "--serve-artifacts",
        "--app-name=basic-auth",
        "--uvicorn-opts='--log-level=info'",
    ]
    assert mlflow_chart.environment(given) == {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "120",
        "MLFLOW_SERVER_ALLOWED_HOSTS": (
            "mlflow.mlflow,mlflow.mlflow.svc,mlflow.mlflow.svc.cluster.local,localhost:*,127.0.0.1:*"
        ),
    }
    assert mlflow_chart.accounts(given, "DATABASE", ("NAME", "PASSWORD")) == RENDERED


def test_runs_and_accounts_are_in_the_database_that_the_other_chart_makes() -> None:
    given, database = mlflow_chart.values(), mlflow_chart.chart("cluster")["helm"]["valuesObject"]
    made: dict[str, Any] = database["cluster"]["initdb"]
    for postgres in (given["backendStore"]["postgres"], given["auth"]["postgres"]):
        assert postgres["database"] == made["database"]
        assert postgres["host"] == f"{database['fullnameOverride']}-rw"
        assert mlflow_chart.scheme(postgres) == "postgresql+psycopg2"


def test_no_artifact_is_written_where_it_is_lost() -> None:
    root = mlflow_chart.values()["artifactRoot"]
    assert root["proxiedArtifactStorage"] and root["s3"]["enabled"]
    # neither DVC's bucket nor the one of the databases, whose readers are others
    assert root["s3"]["bucket"] not in (owned()["bucket"], f"{owned()['buckets']}-databases")
