"""What Airflow's accounts may do, asked of a real API server that has the committed Role."""

from collections.abc import Iterator

import pytest

from ontime.common.errors import OntimeError
from tests.checkouts import TOP
from tests.rehearsal.cluster.api_server import ApiServer, running_api_server

pytestmark = [pytest.mark.rehearsal, pytest.mark.xdist_group("rehearsal")]
NAMESPACE = "airflow"
OF_THE_SCHEDULER = {f"{verb} pods" for verb in ("create", "delete", "get", "list", "patch", "watch")}
REFUSED = {
    "update pods",
    "deletecollection pods",
    "create pods --subresource=exec",
    "get pods --subresource=log",
    "get configmaps",
    *(f"{verb} secrets" for verb in ("create", "get", "list")),
    *(f"create {kind}" for kind in ("serviceaccounts --subresource=token", "rolebindings", "deployments", "jobs")),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The API server with what is committed of Airflow."""
    with running_api_server(tmp_path_factory.mktemp("server") / "run") as made:
        made.kubectl("create", "namespace", NAMESPACE)
        made.kubectl("apply", f"--kustomize={TOP / 'deployment' / 'kubernetes' / 'airflow'}")
        yield made


def may(server: ApiServer, account: str, what: str, namespace: str = NAMESPACE) -> bool:
    """Whether an account may do something."""
    user = f"system:serviceaccount:{NAMESPACE}:{account}"
    try:
        told = server.kubectl("auth", "can-i", *what.split(), f"--namespace={namespace}", user=user)
    except OntimeError as error:
        # kubectl says "no" by its exit status alone
        assert not str(error), error
        return False
    return told.strip() == "yes"


def test_the_scheduler_may_do_nothing_but_make_pods(server: ApiServer) -> None:
    asked = OF_THE_SCHEDULER | REFUSED
    assert {what for what in asked if may(server, "airflow-scheduler", what)} == OF_THE_SCHEDULER
    assert not [what for what in sorted(asked) if may(server, "airflow-scheduler", what, "kube-system")]


def test_a_task_may_do_nothing_in_the_cluster(server: ApiServer) -> None:
    assert not [what for what in sorted(OF_THE_SCHEDULER | REFUSED) if may(server, "airflow-worker", what)]
