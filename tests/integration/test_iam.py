"""The bucket's settings and the roles' policies: least privilege as JSON, and enforced by a real S3 server.

The server (SeaweedFS) enforces permissions, trust by OIDC tokens, the bucket policy, versions and encryption. It takes
lifecycle rules without carrying them out here, and has no public access block. It reads a token's claims as `oidc:sub`
where AWS reads `token.actions.githubusercontent.com:sub`; so the condition keys, and they alone, are renamed for it.
"""

import base64
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import get_session
from cryptography.hazmat.primitives.asymmetric import rsa

from ontime.repository import s3
from tests.checkouts import TOP, run
from tests.owned import text_of
from tests.s3_server import served
from tests.servers import JsonHandler, http_server

FOLDER = TOP / "deployment" / "configurations" / "iam"
ROLES = ("pull-request", "main", "release")
ISSUER = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"
REPOSITORY = "repo:example/ontime"
TOKEN_SECONDS = 300
SIGNING_KEY = base64.b64encode(b"a key of thirty-two characters..").decode()
SUBJECTS = {
    "pull-request": {"pull_request", "ref:refs/heads/main"},
    "main": {"environment:main"},
    "release": {"environment:staging", "environment:production"},
    "monitoring": {"environment:monitoring"},
    "erasure": {"environment:privacy"},
}
"""Which jobs may take a role."""
STRANGERS = ("repo:example/other:environment:main", "repo:example/ontime:ref:refs/heads/main2", "repo:example/ontime:")


def load(name: str) -> Any:
    """Content of a JSON file."""
    return json.loads(text_of(FOLDER / f"{name}.json"))


def listed(value: Any) -> list[Any]:
    """A policy's value, which may be one or a list."""
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_named_things_to_named_objects(role: str) -> None:
    for statement in load(f"{role}-permissions")["Statement"]:
        assert statement["Effect"] == "Allow"
        assert not {"NotAction", "NotResource"} & statement.keys()
        for action in listed(statement["Action"]):
            assert "*" not in action
        for resource in listed(statement["Resource"]):
            assert resource in ("arn:aws:s3:::ontime-models", "arn:aws:s3:::ontime-models/dvc/*")
        if "s3:ListBucket" in listed(statement["Action"]):
            assert statement["Condition"] == {"StringLike": {"s3:prefix": ["dvc", "dvc/*"]}}


def test_only_main_may_write_and_no_role_may_delete_or_change_the_bucket() -> None:
    actions = {
        role: {
            action for statement in load(f"{role}-permissions")["Statement"] for action in listed(statement["Action"])
        }
        for role in ROLES
    }
    reading = {"s3:ListBucket", "s3:GetObject"}
    assert actions["pull-request"] == actions["release"] == reading
    assert actions["main"] == reading | {"s3:PutObject", "s3:AbortMultipartUpload"}


def test_the_role_that_watches_reads_and_writes_its_results_alone() -> None:
    log, allowed = "arn:aws:s3:::ontime-predictions", set()
    for statement in load("monitoring-permissions")["Statement"]:
        assert statement["Effect"] == "Allow"
        assert not {"NotAction", "NotResource"} & statement.keys()
        for resource in listed(statement["Resource"]):
            allowed |= {(action, resource) for action in listed(statement["Action"])}
    reading = {
        ("s3:GetObject", f"arn:aws:s3:::{name}/*") for name in ("ontime-models/dvc", "ontime-predictions/predictions")
    }
    assert allowed == reading | {
        ("s3:ListBucket", "arn:aws:s3:::ontime-models"),
        ("s3:ListBucket", log),
        ("s3:GetObject", f"{log}/monitoring/*"),
        ("s3:PutObject", f"{log}/monitoring/*"),
        ("s3:AbortMultipartUpload", f"{log}/monitoring/*"),
    }


def test_erasure_may_read_and_delete_named_objects_and_write_none() -> None:
    allowed = {
        (action, resource)
        for statement in load("erasure-permissions")["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }
    of_objects = ("s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion")
    of_buckets = ("s3:ListBucket", "s3:ListBucketVersions")
    models, log = "arn:aws:s3:::ontime-models", "arn:aws:s3:::ontime-predictions"
    assert allowed == {
        *(
            (action, f"{bucket}/{below}/*")
            for action in of_objects
            for bucket, below in ((models, "dvc"), (log, "predictions"))
        ),
        *((action, bucket) for action in of_buckets for bucket in (models, log)),
    }


@pytest.mark.parametrize("role", [*ROLES, "monitoring", "erasure"])
def test_a_role_trusts_named_jobs_of_one_repository(role: str) -> None:
    (statement,) = load(f"{role}-trust")["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"] == {"Federated": PROVIDER}
    # compared whole: no pattern that another repository or branch could fit
    (equals,) = statement["Condition"].values()
    assert list(statement["Condition"]) == ["StringEquals"]
    assert equals[f"{ISSUER}:aud"] == "sts.amazonaws.com"
    assert set(listed(equals[f"{ISSUER}:sub"])) == {f"{REPOSITORY}:{subject}" for subject in SUBJECTS[role]}


def test_the_bucket_denies_requests_without_tls_and_other_encryption() -> None:
    without_tls, unencrypted, _ = load("bucket-policy")["Statement"]
    assert (without_tls["Effect"], without_tls["Principal"], without_tls["Action"]) == ("Deny", "*", "s3:*")
    assert without_tls["Resource"] == ["arn:aws:s3:::ontime-models", "arn:aws:s3:::ontime-models/*"]
    assert without_tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert (unencrypted["Effect"], unencrypted["Action"]) == ("Deny", "s3:PutObject")


@pytest.mark.attack("remote-model")
def test_the_bucket_lets_the_writing_role_create_objects_and_replace_none() -> None:
    statement = load("bucket-policy")["Statement"][2]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:PutObject")
    assert statement["Principal"] == {"AWS": [arn("ontime-main"), arn("ontime-pipelines")]}
    assert statement["Resource"] == "arn:aws:s3:::ontime-models/*"
    # denied without If-None-Match; beginning an upload in parts and sending a part cannot have it
    assert statement["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }


def test_the_bucket_is_private_and_keeps_versions() -> None:
    assert set(load("bucket-public-access-block").values()) == {True}
    assert load("bucket-versioning") == {"Status": "Enabled"}


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[dict[str, Any]]:
    """An S3 server with more flags than `ontime s3` gives it."""
    weed = shutil.which("weed")
    assert weed
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "weed"
    program.write_text(f'#!/bin/sh\nexec "{weed}" "$@" -volume.max=30 -master.volumeSizeLimitMB=64 {" ".join(flags)}\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    with served(folder / "data", WEED_S3_SSE_KEK="ab" * 32, PATH=path) as state:
        yield state


def client(state: dict[str, Any], service: str = "s3", **settings: Any) -> Any:
    """A client of the server; as its administrator unless told otherwise."""
    return get_session().create_client(
        service,
        endpoint_url=f"http://127.0.0.1:{state['port']}",
        region_name="us-east-1",
        **(
            settings
            or {"aws_access_key_id": state["access_key_id"], "aws_secret_access_key": state["secret_access_key"]}
        ),
    )


def refused(call: Any, **arguments: Any) -> bool:
    """Whether the server denies a call; any other failure is raised."""
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return True
    return False


class Issuer:
    """Who vouches for jobs, as GitHub does: a key, and the address of a page that shows its public half."""

    def __init__(self, key: rsa.RSAPrivateKey, url: str) -> None:
        self._key = key
        self.url = url

    def token(self, subject: str, audience: str = "sts.amazonaws.com", key: Any = None) -> str:
        """What a job with that subject shows."""
        now = int(time.time())
        claims = {"iss": self.url, "sub": subject, "aud": audience, "iat": now, "exp": now + TOKEN_SECONDS}
        return jwt.encode(claims, key or self._key, algorithm="RS256", headers={"kid": "1"})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """A running issuer."""
    key = rsa.generate_private_key(65537, 2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))

    class Page(JsonHandler):
        def respond(self, content: Any) -> tuple[int, Any]:
            del content
            return 200, {"keys": [{**public, "kid": "1", "use": "sig", "alg": "RS256"}]}

    with http_server(Page) as host:
        yield Issuer(key, f"http://{host}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[dict[str, Any]]:
    """A server with the roles as they are here, an object in the cache and one beside it."""
    top = tmp_path_factory.mktemp("iam")
    trust = {role: json.loads(text_of(FOLDER / f"{role}-trust.json").replace(f"{ISSUER}:", "oidc:")) for role in ROLES}
    content = {
        "sts": {"tokenDuration": "1h", "maxSessionLength": "12h", "issuer": "test", "signingKey": SIGNING_KEY},
        "providers": [
            {
                "name": PROVIDER,
                "type": "oidc",
                "enabled": True,
                "config": {"issuer": issuer.url, "clientId": "sts.amazonaws.com", "jwksUri": f"{issuer.url}/keys"},
            }
        ],
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "roles": [
            {"roleName": role, "roleArn": arn(role), "trustPolicy": trust[role], "attachedPolicies": [role]}
            for role in ROLES
        ],
        "policies": [{"name": role, "document": load(f"{role}-permissions")} for role in ROLES],
    }
    (top / "roles.json").write_text(json.dumps(content))
    with serving(top, f"-s3.iam.config={top}/roles.json") as state:
        for key in ("dvc/object", "other/object"):
            client(state).put_object(Bucket=s3.BUCKET, Key=key, Body=b"1")
        yield state


def arn(role: str) -> str:
    """The role's name for AWS."""
    return f"arn:aws:iam::111122223333:role/{role}"


def assume(server: dict[str, Any], role: str, token: str) -> dict[str, str]:
    """Credentials of a role for a token."""
    sts = client(server, "sts", config=Config(signature_version=UNSIGNED))
    found = sts.assume_role_with_web_identity(RoleArn=arn(role), RoleSessionName="job", WebIdentityToken=token)
    return {
        "aws_access_key_id": found["Credentials"]["AccessKeyId"],
        "aws_secret_access_key": found["Credentials"]["SecretAccessKey"],
        "aws_session_token": found["Credentials"]["SessionToken"],
    }


def trusts(server: dict[str, Any], role: str, token: str) -> bool:
    """Whether a role is given for a token."""
    try:
        assume(server, role, token)
    except ClientError:
        return False
    return True


@pytest.mark.integration
@pytest.mark.parametrize("role", ROLES)
def test_a_job_gets_the_role_that_trusts_it_and_no_other(server: dict[str, Any], issuer: Issuer, role: str) -> None:
    for owner, subjects in SUBJECTS.items():
        for subject in subjects:
            assert trusts(server, role, issuer.token(f"{REPOSITORY}:{subject}")) is (owner == role), subject
    assert not [subject for subject in STRANGERS if trusts(server, role, issuer.token(subject))]


@pytest.mark.integration
def test_a_token_for_somebody_else_or_by_somebody_else_gets_no_role(server: dict[str, Any], issuer: Issuer) -> None:
    subject = f"{REPOSITORY}:environment:main"
    forged = rsa.generate_private_key(65537, 2048)
    assert trusts(server, "main", issuer.token(subject))
    assert not trusts(server, "main", issuer.token(subject, audience="https://github.com/example"))
    assert not trusts(server, "main", issuer.token(subject, key=forged))


@pytest.mark.integration
@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_the_cache_and_main_alone_writes_it(server: dict[str, Any], issuer: Issuer, role: str) -> None:
    subject = f"{REPOSITORY}:{min(SUBJECTS[role])}"
    job = client(server, **assume(server, role, issuer.token(subject)))
    at = {"Bucket": s3.BUCKET}
    assert not refused(job.get_object, **at, Key="dvc/object")
    assert not refused(job.list_objects_v2, **at, Prefix="dvc/files/")
    assert refused(job.put_object, **at, Key="dvc/new", Body=b"1") is (role != "main")
    for call, arguments in (
        (job.get_object, {"Key": "other/object"}),
        (job.put_object, {"Key": "other/new", "Body": b"1"}),
        (job.delete_object, {"Key": "dvc/object"}),
        (job.list_objects_v2, {}),
        (job.list_objects_v2, {"Prefix": "other/"}),
        (job.put_bucket_versioning, {"VersioningConfiguration": {"Status": "Suspended"}}),
        (job.delete_bucket_policy, {}),
    ):
        assert refused(call, **at, **arguments), f"{role}: {call.__name__} {arguments}"


@pytest.mark.integration
def test_dvc_pulls_by_the_reading_role_and_pushes_by_the_writing_one(
    server: dict[str, Any], issuer: Issuer, tmp_path: Path
) -> None:
    def job(role: str, *command: str, check: bool = True) -> Any:
        keys = assume(server, role, issuer.token(f"{REPOSITORY}:{min(SUBJECTS[role])}"))
        variables = {name.upper(): value for name, value in keys.items()}
        address = f"http://127.0.0.1:{server['port']}"
        return run(*command, cwd=tmp_path, check=check, AWS_ENDPOINT_URL=address, AWS_REGION="us-east-1", **variables)

    run("dvc", "init", "--quiet", "--no-scm", cwd=tmp_path)
    run("dvc", "remote", "add", "--quiet", "--default", "models", f"s3://{s3.BUCKET}/dvc", cwd=tmp_path)
    (tmp_path / "table.csv").write_text("a\n1\n")
    run("dvc", "add", "--quiet", "table.csv", cwd=tmp_path)
    denied = job("pull-request", "dvc", "push", check=False)
    assert denied.returncode != 0
    assert "Access Denied" in denied.stderr
    job("main", "dvc", "push")
    missing = json.loads(job("release", "dvc", "data", "status", "--not-in-remote", "--json").stdout)
    assert not missing.get("not_in_remote")
    (tmp_path / "table.csv").unlink()
    shutil.rmtree(tmp_path / ".dvc" / "cache")
    job("pull-request", "dvc", "pull")
    assert (tmp_path / "table.csv").read_text() == "a\n1\n"


@pytest.mark.integration
def test_a_replaced_and_a_deleted_object_come_back_as_versions(server: dict[str, Any]) -> None:
    admin, at = client(server), {"Bucket": s3.BUCKET, "Key": "dvc/versions"}
    admin.put_bucket_versioning(Bucket=s3.BUCKET, VersioningConfiguration=load("bucket-versioning"))
    first = admin.put_object(**at, Body=b"first")["VersionId"]
    admin.put_object(**at, Body=b"second")
    admin.delete_object(**at)
    assert admin.get_object(**at, VersionId=first)["Body"].read() == b"first"


@pytest.mark.integration
@pytest.mark.attack("remote-model")
def test_the_writing_role_can_remove_no_version_that_it_replaced(server: dict[str, Any], issuer: Issuer) -> None:
    admin, at = client(server), {"Bucket": s3.BUCKET, "Key": "dvc/kept"}
    first = admin.put_object(**at, Body=b"first")["VersionId"]
    job = client(server, **assume(server, "main", issuer.token(f"{REPOSITORY}:environment:main")))
    with pytest.raises(ClientError, match="PreconditionFailed"):
        job.put_object(**at, Body=b"second", IfNoneMatch="*")
    job.put_object(**at, Body=b"second")
    assert refused(job.delete_object, **at, VersionId=first)
    assert admin.get_object(**at, VersionId=first)["Body"].read() == b"first"


@pytest.mark.integration
def test_a_locked_version_is_removed_by_nobody_without_saying_so(server: dict[str, Any]) -> None:
    admin, bucket = client(server), "locked"
    admin.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    admin.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=load("bucket-object-lock"))
    at = {"Bucket": bucket, "Key": "dvc/object"}
    first = admin.put_object(**at, Body=b"first")["VersionId"]
    # an object lock keeps versions; it prevents no newer one
    admin.put_object(**at, Body=b"second")
    assert refused(admin.delete_object, **at, VersionId=first)
    assert admin.get_object(**at, VersionId=first)["Body"].read() == b"first"


@pytest.mark.integration
def test_objects_are_encrypted_without_being_asked_to(server: dict[str, Any]) -> None:
    admin, bucket = client(server), "encrypted"
    admin.create_bucket(Bucket=bucket)
    admin.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=load("bucket-encryption"))
    admin.put_object(Bucket=bucket, Key="dvc/object", Body=b"1")
    assert admin.head_object(Bucket=bucket, Key="dvc/object")["ServerSideEncryption"] == "AES256"


@pytest.mark.integration
def test_lifecycle_rules_are_taken_as_they_are(server: dict[str, Any]) -> None:
    admin, rules = client(server), load("bucket-lifecycle")
    admin.put_bucket_lifecycle_configuration(Bucket=s3.BUCKET, LifecycleConfiguration=rules)
    found = admin.get_bucket_lifecycle_configuration(Bucket=s3.BUCKET)["Rules"]
    by_id = {rule["ID"]: rule for rule in found}
    assert by_id["forget-replaced-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    assert by_id["abort-unfinished-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


@pytest.mark.integration
def test_the_bucket_policy_denies_other_encryption_and_then_all_that_comes_without_tls(server: dict[str, Any]) -> None:
    admin, bucket = client(server), "guarded"
    admin.create_bucket(Bucket=bucket)
    policy = json.loads(text_of(FOLDER / "bucket-policy.json").replace(s3.BUCKET, bucket))
    at = {"Bucket": bucket, "Key": "dvc/object"}
    unencrypted = {**policy, "Statement": policy["Statement"][1:]}
    admin.put_bucket_policy(Bucket=bucket, Policy=json.dumps(unencrypted))
    assert not refused(admin.put_object, **at, Body=b"1")
    assert not refused(admin.put_object, **at, Body=b"1", ServerSideEncryption="AES256")
    assert refused(admin.put_object, **at, Body=b"1", ServerSideEncryption="aws:kms:dsse")
    admin.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert refused(admin.get_object, **at)
    assert refused(admin.put_object, **at, Body=b"1")
