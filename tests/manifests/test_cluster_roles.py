"""Each role that a pod of the platform takes has documents, which name who takes it and what it may reach."""

import json
from typing import Any

import pytest

from ontime.manifests.render import Manifest
from tests.charts import leaves, sources
from tests.checkouts import TOP

pytestmark = pytest.mark.xdist_group("manifests")
FOLDER = TOP / "deployment" / "configurations" / "iam"
ROLE = "arn:aws:iam::111122223333:role/ontime-"
ISSUER = "oidc.eks.us-east-1.amazonaws.com/id/CLUSTER"
ACCOUNTS = {
    "airflow-database": "airflow:airflow-database",
    "mlflow": "mlflow:mlflow",
    "mlflow-database": "mlflow:mlflow-database",
    "pipelines": "airflow:airflow-worker",
}
"""The ServiceAccount that takes each role, with its namespace; the charts make up their names."""


def statements(name: str) -> list[dict[str, Any]]:
    """A document's statements."""
    found: list[dict[str, Any]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))["Statement"]
    return found


def allowed(role: str) -> set[tuple[str, str]]:
    """What a role may do to what."""
    found = set()
    for statement in statements(f"{role}-permissions.json"):
        assert statement["Effect"] == "Allow" and not {"NotAction", "NotResource"} & statement.keys()
        actions, resources = (
            value if isinstance(value, list) else [value] for value in (statement["Action"], statement["Resource"])
        )
        assert not [action for action in actions if "*" in action]
        if "s3:ListBucket" in actions:
            assert statement["Condition"]["StringLike"].keys() == {"s3:prefix"}
        found |= {(action, resource.removeprefix("arn:aws:s3:::")) for action in actions for resource in resources}
    return found


def test_every_role_of_a_pod_has_documents_and_no_document_is_of_none(rendered: dict[str, list[Manifest]]) -> None:
    named = [text for _, values in sources(rendered) for _, text in leaves(values) if str(text).startswith("arn:aws:")]
    assert sorted(text.removeprefix(ROLE) for text in named) == sorted(ACCOUNTS)
    documents = {f"{role}-{part}.json" for role in ACCOUNTS for part in ("trust", "permissions")}
    assert {path.name for path in (FOLDER / "cluster").iterdir()} == documents


@pytest.mark.parametrize("role", ACCOUNTS)
def test_a_role_trusts_one_service_account_of_one_cluster(role: str) -> None:
    (statement,) = statements(f"cluster/{role}-trust.json")
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"}
    # compared whole: no pattern that another account could fit
    assert statement["Condition"] == {
        "StringEquals": {
            f"{ISSUER}:aud": "sts.amazonaws.com",
            f"{ISSUER}:sub": f"system:serviceaccount:{ACCOUNTS[role]}",
        }
    }


def test_tasks_of_airflow_may_do_what_the_jobs_of_the_forge_may() -> None:
    assert allowed("cluster/pipelines") == allowed("main") | allowed("monitoring")


@pytest.mark.parametrize("name", ["airflow", "mlflow"])
def test_a_database_reaches_its_own_copies_alone(name: str, rendered: dict[str, list[Manifest]]) -> None:
    (copies,) = (
        values["backups"]["s3"]
        for chart, values in sources(rendered)
        if chart == "cluster" and values["fullnameOverride"] == f"{name}-database"
    )
    # after a restore the database writes to a folder beside the first, such as mlflow-2
    below = [f"{copies['bucket']}{copies['path']}{end}" for end in ("/*", "-*")]
    actions = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
    assert allowed(f"cluster/{name}-database") == {
        ("s3:ListBucket", copies["bucket"]),
        *((action, resource) for action in actions for resource in below),
    }


def test_mlflow_reads_and_writes_its_artifacts_and_deletes_none(rendered: dict[str, list[Manifest]]) -> None:
    (root,) = (values["artifactRoot"]["s3"] for chart, values in sources(rendered) if chart == "mlflow")
    assert allowed("cluster/mlflow") == {
        ("s3:ListBucket", root["bucket"]),
        *(
            (action, f"{root['bucket']}/{root['path']}/*")
            for action in ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload")
        ),
    }


def test_tasks_of_airflow_find_the_log_where_their_role_may_read_it(rendered: dict[str, list[Manifest]]) -> None:
    (values,) = (values for chart, values in sources(rendered) if chart == "airflow")
    addresses = {one["name"]: one.get("value") for one in values["workers"]["kubernetes"]["env"]}
    for name, action in (("PREDICTION_LOG", "s3:GetObject"), ("MONITORING", "s3:PutObject")):
        assert (action, f"{addresses[name].removeprefix('s3://')}/*") in allowed("cluster/pipelines")
