"""The Spark operator in the cluster, as its chart leaves it with the values that the platform's Application gives.

In: a rig that runs, and the Spark image in its registry. Out: the operator's pods at work. Of the chart only the image
differs: as the operator's own Dockerfile puts its program on Apache's image, it is put on the project's, with the same
version of Spark to submit runs by, which is not the version that runs them.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ontime.common.files import write_json
from ontime.manifests.render import Manifest, parse
from ontime.manifests.schemas import Definitions
from tests.rehearsal.cluster.binaries import Part, find_parts
from tests.rehearsal.cluster.rig import Rig
from tests.rehearsal.cluster.settings import TOP

CHART = "charts/spark-operator-chart"
HELM = Definitions("helm.sh/helm/v3", "v3.18.5", "cmd")
IMAGE = "spark-operator"
SPARK = "pyspark==4.0.4 --hash=sha256:7e119366364d48e3cda1b1efd1ebc6cd672949500667c9cabbeef858daba700f\n"
"""Of the operator's own image, with Java's programs, which are all that it uses."""
ROLLOUT_SECONDS = 600
DOCKERFILE = """\
ARG BASE
FROM ${BASE}
USER 0
COPY requirements.txt /build/
RUN python -m pip install --quiet --no-cache-dir --no-compile --no-deps --require-hashes --no-build-isolation \
        --root-user-action=ignore --target=/opt/operator --requirement /build/requirements.txt
COPY --chmod=755 spark-operator /usr/bin/spark-operator
ENV SPARK_HOME=/opt/operator/pyspark
USER 185:185
ENTRYPOINT ["/usr/bin/spark-operator"]
"""


def release() -> tuple[Manifest, str, str]:
    """Of the platform's Application: the values that it gives the chart, its namespace, and the operator's version."""
    (found,) = parse((TOP / "argocd" / "platform" / "spark_operator.yaml").read_text(encoding="utf-8"))
    source = found["spec"]["source"]
    return source["helm"]["valuesObject"], found["spec"]["destination"]["namespace"], f"v{source['targetRevision']}"


def parts() -> tuple[Part, Part]:
    """What is built: the operator with its chart, and helm."""
    module = Definitions("github.com/kubeflow/spark-operator/v2", release()[2], CHART)
    operator = Part("spark-operator", {"spark-operator": "./cmd/operator"}, definitions={"chart": module}, whole=module)
    return operator, Part("helm", {"helm": "./cmd/helm"}, whole=HELM)


def install(rig: Rig, folder: Path, spark_image: str, build_and_push: Callable[[Path, str, str], str]) -> str:
    """Make the operator's image, apply its chart, and wait until it works; the namespace of its runs.

    Args:
        folder: where the image's sources are put; it must be absent.
        spark_image: the name, in the store that the images are built in, of the image that the operator's is built on.
        build_and_push: builds a folder with a Dockerfile on a base, pushes it by a name, and returns its digest.
    """
    operator, helm = find_parts(*parts()).values()
    program, chart = operator / "bin" / "spark-operator", operator / "chart"
    values, namespace, version = release()
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    (folder / "requirements.txt").write_text(SPARK, encoding="utf-8")
    shutil.copyfile(program, folder / program.name)
    build_and_push(folder, spark_image, f"{rig.registry}/{IMAGE}:{version}")
    image: dict[str, Any] = {"registry": rig.registry, "repository": IMAGE, "tag": version}
    write_json(folder / "values.json", {**values, "image": image})
    names = (f"--namespace={namespace}", "--include-crds", f"--values={folder / 'values.json'}")
    rendered = rig.run(helm / "bin" / "helm", "template", "spark-operator", str(chart), *names)
    rig.kubectl("create", "namespace", namespace)
    rig.kubectl("apply", "--server-side", f"--namespace={namespace}", "--filename=-", text=rendered)
    for name in ("controller", "webhook"):
        place = (f"deployment/spark-operator-{name}", f"--namespace={namespace}", f"--timeout={ROLLOUT_SECONDS}s")
        rig.kubectl("rollout", "status", *place)
    # without its authority the API server cannot call the webhook, and refuses every run
    for kind in ("mutating", "validating"):
        written = "--for=jsonpath={.webhooks[0].clientConfig.caBundle}"
        rig.kubectl("wait", written, f"{kind}webhookconfiguration/spark-operator-webhook", "--timeout=60s")
    return namespace
