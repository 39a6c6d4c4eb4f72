"""The manifest of a run by the Spark operator: valid for the chart's version; what it runs exists."""

import copy
import re
import shutil
import tomllib

import pytest

from ontime.manifests.render import Manifest, parse
from ontime.manifests.schemas import Definitions, schemas_of, validate
from ontime.model_deployment.batch.score import command
from tests.checkouts import TOP

MODULE, FOLDER = "github.com/kubeflow/spark-operator/v2", "config/crd/bases"
CHECKOUT = "local:///checkout/"
pytestmark = pytest.mark.xdist_group("manifests")


@pytest.fixture(scope="module")
def application() -> Manifest:
    (found,) = parse((TOP / "deployment" / "kubernetes" / "spark" / "score.yaml").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def definitions() -> dict[str, Manifest]:
    """Schemas of the operator's kinds, of the version that the platform installs."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed: it gets the definitions")
    (operator,) = parse((TOP / "argocd" / "platform" / "spark_operator.yaml").read_text(encoding="utf-8"))
    version = operator["spec"]["source"]["targetRevision"]
    return dict(schemas_of(Definitions(MODULE, f"v{version}", FOLDER)))


def test_the_operator_takes_it(application: Manifest, definitions: dict[str, Manifest]) -> None:
    named = copy.deepcopy(application)
    # Kubernetes makes a name of the prefix
    named["metadata"]["name"] = named["metadata"].pop("generateName")
    assert list(validate(named, definitions)) == []
    named["spec"]["executor"]["instanses"] = 2
    (problem,) = validate(named, definitions)
    assert "instanses" in problem


def test_it_runs_this_checkouts_command_on_the_locked_spark(application: Manifest) -> None:
    spec = application["spec"]
    assert (TOP / spec["mainApplicationFile"].removeprefix(CHECKOUT)).is_file()
    assert spec["arguments"][0] == command.name
    given = command.make_context(command.name, spec["arguments"][1:]).params
    assert given["backend"] == "spark"
    assert not given["source"].is_absolute()
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["optional-dependencies"]["spark"] == [f"pyspark=={spec['sparkVersion']}"]
    assert re.search(rf"^pyspark=={spec['sparkVersion']} ", (TOP / "requirements-spark.txt").read_text(), re.MULTILINE)


def test_its_image_is_built_on_the_services_base_and_its_group_owns_the_checkout(application: Manifest) -> None:
    service, spark = (
        (TOP / "deployment" / "docker" / name).read_text(encoding="utf-8")
        for name in ("Dockerfile", "spark/Dockerfile")
    )
    base = re.compile(r"^ARG BASE=(\S+@sha256:[0-9a-f]{64})$", re.MULTILINE)
    assert base.findall(spark) == base.findall(service) != []
    (group,) = re.findall(r"^USER \d+:(\d+)$", spark, re.MULTILINE)
    assert application["spec"]["driver"]["podSecurityContext"] == {"fsGroup": int(group)}


def test_its_pods_may_do_no_more_than_they_need(application: Manifest) -> None:
    for part in ("driver", "executor"):
        context = application["spec"][part]["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
    assert application["spec"]["executor"]["serviceAccount"] != application["spec"]["driver"]["serviceAccount"]
    assert "volumeMounts" not in application["spec"]["executor"]
