"""The documents of access for Google's and Azure's stores: the same jobs as on AWS, and no more than they need."""

import json
from typing import Any

import pytest

from tests.checkouts import TOP
from tests.owned import text_of

FOLDER = TOP / "deployment" / "configurations" / "iam"
ROLES = ("pull-request", "main", "release", "monitoring")
ISSUER = "token.actions.githubusercontent.com"
POOL = "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/github/subject/"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"


def load(name: str) -> Any:
    """Content of a JSON file."""
    return json.loads(text_of(FOLDER / name))


def subjects(role: str) -> set[str]:
    """The jobs that may take a role of AWS."""
    (statement,) = load(f"{role}-trust.json")["Statement"]
    found = statement["Condition"]["StringEquals"][f"{ISSUER}:sub"]
    return {found} if isinstance(found, str) else set(found)


def test_googles_bucket_lets_all_jobs_read_and_main_create() -> None:
    policy = load("google/bucket-policy.json")
    reading, creating, owning = policy["bindings"]
    # conditions are ignored in the earlier versions
    assert policy["version"] == 3
    assert reading["role"] == "roles/storage.objectViewer"
    assert set(reading["members"]) == {f"{POOL}{one}" for role in ROLES for one in subjects(role)}
    assert creating["role"] == "roles/storage.objectCreator"
    assert creating["members"] == [f"{POOL}{one}" for one in subjects("main")]
    assert creating["condition"]["expression"] == (
        'resource.name.startsWith("projects/_/buckets/ontime-models/objects/dvc/")'
    )
    assert owning["role"] == "roles/storage.admin"
    assert not [member for member in owning["members"] if not member.startswith("group:")]


@pytest.mark.parametrize("role", ROLES)
def test_an_application_of_azure_trusts_the_jobs_of_its_role(role: str) -> None:
    credentials = load("azure/federated-credentials.json")
    assert credentials.keys() == set(ROLES)
    assert {one["subject"] for one in credentials[role]} == subjects(role)
    for one in credentials[role]:
        assert one["issuer"] == f"https://{ISSUER}"
        assert one["audiences"] == ["api://AzureADTokenExchange"]


@pytest.mark.parametrize(("role", "actions"), [("reader", {"read"}), ("main", {"read", "add/action"})])
def test_a_role_of_azure_neither_replaces_nor_deletes(role: str, actions: set[str]) -> None:
    definition = load(f"azure/{role}-role.json")
    assert set(definition["DataActions"]) == {f"{BLOBS}/{action}" for action in actions}
    assert definition["Actions"] == definition["NotActions"] == definition["NotDataActions"] == []


def test_replaced_objects_are_kept_as_long_as_on_aws() -> None:
    (days,) = [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in load("bucket-lifecycle.json")["Rules"]
        if "NoncurrentVersionExpiration" in rule
    ]
    google = {rule["action"]["type"]: rule["condition"] for rule in load("google/bucket-lifecycle.json")["rule"]}
    assert google["Delete"] == {"daysSinceNoncurrentTime": days}
    (azure,) = load("azure/lifecycle.json")["rules"]
    assert azure["definition"]["actions"] == {"version": {"delete": {"daysAfterCreationGreaterThan": days}}}
