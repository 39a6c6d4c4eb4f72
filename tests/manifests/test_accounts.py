"""Nothing of the platform is left with an account, a password or a key that its chart brings, or open to anybody."""

import re
from typing import Any

import pytest

from ontime.manifests.render import Manifest, parse
from tests.charts import leaves, sources
from tests.kubernetes import one
from tests.owned import owned
from tests.pages import HOW_TO, blocks

pytestmark = pytest.mark.xdist_group("manifests")
ABSENT = object()
NAMED = re.compile(r"[a-z0-9-]+")
"""The name of a Secret that somebody made."""
CLOSED: dict[str, dict[str, Any]] = {
    # its job makes admin with the password admin; without their names the keys are made by each sync
    "airflow": {
        "createUserJob.defaultUser.enabled": False,
        "fernetKeySecretName": NAMED,
        "apiSecretKeySecretName": NAMED,
        "jwtSecretName": NAMED,
        "postgresql.enabled": False,
        "config.core.auth_manager": re.compile(r"airflow\.providers\.fab\..*FabAuthManager"),
    },
    "cert-manager": {},
    "cloudnative-pg": {},
    # the superuser's password works from the network
    "cluster": {"cluster.enableSuperuserAccess": False, "backups.s3.inheritFromIAMRole": True},
    # admin with the password prom-operator; both others ask nobody who it is
    "kube-prometheus-stack": {
        "grafana.admin.existingSecret": NAMED,
        "grafana.adminPassword": ABSENT,
        "grafana.grafana\\.ini.auth\\.anonymous.enabled": False,
        "prometheus.networkPolicy.enabled": True,
        "alertmanager.networkPolicy.enabled": True,
    },
    # anybody reads, writes and deletes
    "mlflow": {
        "auth.enabled": True,
        "auth.existingAdminSecret.name": NAMED,
        "auth.postgres.enabled": True,
        "auth.postgres.existingSecret.name": NAMED,
        "auth.defaultPermission": re.compile("READ|NO_PERMISSIONS"),
    },
    # demonstration users, and certificates with published keys, one of which is an administrator's
    "opensearch": {
        "securityConfig.internalUsersSecret": NAMED,
        "securityConfig.config.data.internal_users\\.yml": ABSENT,
        "securityConfig.config.data.config\\.yml.config.dynamic.http.anonymous_auth_enabled": False,
    },
    "opentelemetry-collector": {},
    "plugin-barman-cloud": {},
    "spark-operator": {},
}
"""By chart: values that its default accounts, keys and open doors need in order to be closed, by their paths."""
SECRET_KEY = re.compile(r"password|passwd|secret_?key|access_?key|token|credential|private_?key$", re.IGNORECASE)
REFERENCE = re.compile(r"\$\{env:\w+\}")
NAMES_A_KEY = {("airflow", "secret.secretKey")}
"""Which key of a Secret is meant, where the value's own name sounds as if it were the secret."""
DANGEROUS = re.compile(r"insecure_?skip_?verify|allow_?insecure|disable_?auth|anonymous", re.IGNORECASE)
MADE_IN_THE_CLUSTER = {"airflow-database-app", "mlflow-database-app", "opensearch-authority", "opensearch-nodes"}
"""By CloudNativePG and cert-manager."""
CALLED = {"existingSecret", "internalUsersSecret", "fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName"}
MOUNTED = {"secrets"}
REFERS = {"existingAdminSecret", "existingDatabaseSecret", "secretKeyRef", "secretRef"}


def value(values: Any, path: str) -> Any:
    """The value at a path; a point within a name has a backslash before it."""
    for name in re.split(r"(?<!\\)\.", path):
        values = values.get(name.replace("\\.", "."), ABSENT) if isinstance(values, dict) else ABSENT
    return values


def is_closed(found: Any, wanted: Any) -> bool:
    """Whether a value is the wanted one or, where that is a pattern, matches it."""
    if isinstance(wanted, re.Pattern):
        return isinstance(found, str) and wanted.fullmatch(found) is not None
    return found is wanted


def test_each_chart_is_one_of_which_it_is_known_what_it_leaves_open(rendered: dict[str, list[Manifest]]) -> None:
    assert {chart for chart, _ in sources(rendered)} == CLOSED.keys()


@pytest.mark.attack("platform-access")
@pytest.mark.parametrize(("chart", "path"), [(chart, path) for chart, wanted in CLOSED.items() for path in wanted])
def test_no_default_account_key_or_open_door_is_left(
    rendered: dict[str, list[Manifest]], chart: str, path: str
) -> None:
    found = [value(values, path) for name, values in sources(rendered) if name == chart]
    assert found
    for one_of_them in found:
        assert is_closed(one_of_them, CLOSED[chart][path]), one_of_them


@pytest.mark.attack("platform-access")
def test_no_value_is_a_password_or_gives_up_a_check(rendered: dict[str, list[Manifest]]) -> None:
    seen = 0
    for chart, values in sources(rendered):
        for path, found in leaves(values):
            where = f"{chart} {'.'.join(path)}: {found}"
            seen += 1
            is_name = path[-1].endswith(("Name", "_file")) or (chart, ".".join(path)) in NAMES_A_KEY
            if SECRET_KEY.search(path[-1]) and isinstance(found, str) and not is_name:
                assert REFERENCE.fullmatch(found), where
            if any(DANGEROUS.search(name) for name in path):
                assert found is False, where
    assert seen > 50


@pytest.mark.attack("platform-access")
def test_the_collector_writes_its_own_index_and_can_do_nothing_else(rendered: dict[str, list[Manifest]]) -> None:
    charts = dict(sources(rendered))
    security = charts["opensearch"]["securityConfig"]["config"]
    (writer,) = charts["opentelemetry-collector"]["extraContainers"]
    account = {variable["name"]: variable for variable in writer["env"]}
    user, password = account["OPENSEARCH_USER"]["value"], account["OPENSEARCH_PASSWORD"]
    mapping, roles = security["data"]["roles_mapping.yml"], security["data"]["roles.yml"]
    mine = [role for role, mapped in mapping.items() if user in mapped.get("users", ())]
    assert mine == ["collector"]
    role = roles["collector"]
    assert role["cluster_permissions"] == ["indices:data/write/bulk"]
    (permission,) = role["index_permissions"]
    assert permission["index_patterns"] == ["ss4o_logs-*"]
    for action in permission["allowed_actions"]:
        assert re.match(r"indices:(data/write/(index|bulk)|admin/(auto_)?create|admin/mapping/(auto_)?put)", action)
    secret = password["valueFrom"]["secretKeyRef"]["name"]
    assert secret != charts["opensearch"]["securityConfig"]["internalUsersSecret"]


@pytest.mark.attack("platform-access")
def test_opensearch_makes_no_demonstration_and_its_certificates_are_its_own(
    rendered: dict[str, list[Manifest]],
) -> None:
    values = dict(sources(rendered))["opensearch"]
    assert {"name": "DISABLE_INSTALL_DEMO_CONFIG", "value": "true"} in values["extraEnvs"]
    text = values["config"]["opensearch.yml"]
    (mount,) = values["secretMounts"]
    for layer in ("transport", "http"):
        for file in ("pemcert_filepath", "pemkey_filepath", "pemtrustedcas_filepath"):
            (path,) = re.findall(rf"^plugins\.security\.ssl\.{layer}\.{file}: (\S+)$", text, re.MULTILINE)
            assert path.startswith(f"{mount['path'].rpartition('/')[2]}/")
    assert "plugins.security.allow_unsafe_democertificates: false" in text
    certificates = [one for one in values["extraObjects"] if one["kind"] == "Certificate"]
    (nodes,) = [one["spec"] for one in certificates if one["spec"]["secretName"] == mount["secretName"]]
    assert f'nodes_dn: ["CN={nodes["commonName"]}"]' in text
    assert nodes["privateKey"]["encoding"] == "PKCS8"
    assert f"{values['masterService']}.logging" in nodes["dnsNames"]
    collector = dict(sources(rendered))["opentelemetry-collector"]
    (writer,) = collector["extraContainers"]
    variables = {variable["name"]: variable.get("value", "") for variable in writer["env"]}
    assert variables["OPENSEARCH_ADDRESS"] == f"https://{values['masterService']}.logging:9200"
    (secret,) = (one for one in collector["extraVolumes"] if "secret" in one)
    assert secret["secret"]["secretName"] == mount["secretName"]
    (authority,) = (one["mountPath"] for one in writer["volumeMounts"] if one["name"] == secret["name"])
    assert variables["OPENSEARCH_AUTHORITY"] == f"{authority}/{secret['secret']['items'][0]['path']}"


@pytest.mark.attack("platform-access")
def test_argo_cd_has_no_account_beside_the_single_sign_on(rendered: dict[str, list[Manifest]]) -> None:
    settings = one(rendered["argocd"], "ConfigMap", "argocd-cm")["data"]
    assert settings["admin.enabled"] == settings["users.anonymous.enabled"] == "false"
    assert not [name for name in settings if name.startswith("accounts.")]
    assert one(rendered["argocd"], "ConfigMap", "argocd-rbac-cm")["data"]["policy.default"] == ""


def test_each_database_is_copied_every_day_and_kept_for_a_month(rendered: dict[str, list[Manifest]]) -> None:
    databases = [values for chart, values in sources(rendered) if chart == "cluster"]
    assert len(databases) == 2
    for values in databases:
        backups = values["backups"]
        assert (backups["enabled"], backups["method"], backups["retentionPolicy"]) == (True, "plugin", "30d")
        (daily,) = backups["scheduledBackups"]
        assert re.fullmatch(r"0 \d+ \d+ \* \* \*", daily["schedule"])
        assert daily["pluginConfiguration"] == backups["pluginConfiguration"]
        assert backups["s3"]["path"] == f"/{values['cluster']['initdb']['database']}"
        # the bucket of the databases, not the one of DVC, whose readers are others
        assert backups["s3"]["bucket"] == f"{owned()['buckets']}-databases"


def test_each_secret_that_is_made_by_hand_is_documented(rendered: dict[str, list[Manifest]]) -> None:
    found = {"argocd-notifications-secret"}
    for _, values in sources(rendered):
        for path, text in leaves(values):
            is_named = path[-1] in CALLED | MOUNTED | {"secretName"} or (
                path[-1] == "name" and set(path) & (CALLED | REFERS)
            )
            found |= {text} if is_named else set()
    for manifest in rendered["gateway"]:
        for path, text in leaves(manifest):
            found |= {text} if path[-1] == "secretName" else set()
    page = (HOW_TO / "accounts.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([a-z-]+)` \| [a-z-]+ \| `", page, re.MULTILINE)
    assert found - MADE_IN_THE_CLUSTER == set(documented) and len(set(documented)) == len(documented)
    assert found > MADE_IN_THE_CLUSTER


def test_the_documented_values_for_a_restore_are_those_of_the_same_database(
    rendered: dict[str, list[Manifest]],
) -> None:
    (text,) = (text for _, text in blocks(HOW_TO / "backup.md") if text.startswith("mode: recovery"))
    (restore,) = parse(text)
    (values,) = (one for chart, one in sources(rendered) if chart == "cluster" and "mlflow" in one["fullnameOverride"])
    assert restore["recovery"]["clusterName"] == values["fullnameOverride"]
    assert restore["recovery"]["s3"] == values["backups"]["s3"]
    assert restore["recovery"]["pluginConfiguration"] == values["backups"]["pluginConfiguration"]
    assert {name: restore["recovery"][name] for name in ("database", "owner")} == values["cluster"]["initdb"]
    assert restore["backups"]["s3"]["path"] != values["backups"]["s3"]["path"]
