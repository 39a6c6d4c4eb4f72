"""The SavedModel's names and numbers; the server's configuration, parsed as it would, and the manifests around it."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from ruamel.yaml import YAML

from ontime.common.errors import OntimeError
from ontime.common.files import read_json, write_json
from ontime.encoder import Encoder
from ontime.model_deployment.export import saved_model
from ontime.model_deployment.export.onnx_graph import onnx_outputs, to_onnx
from ontime.model_deployment.export.saved_model import MODEL, SIGNATURE, command, saved_outputs, write_saved_model
from ontime.model_deployment.inference.champion import load_champion
from ontime.model_deployment.inference.signing import make_key, sign_folder
from ontime.model_deployment.service.protocol.records import RecordEncoding
from ontime.model_deployment.service.protocol.v1 import PredictProtocol
from ontime.model_deployment.service.settings import Settings
from ontime.model_training.families import load_model
from ontime.parameters import load_params
from ontime.tasks.names import PROBABILITY
from tests.checkouts import run
from tests.live import live

ROOT = Path(__file__).parents[3]
CONFIGURATION = ROOT / "deployment" / "configurations" / "tensorflow-serving"
COMPONENT = ROOT / "deployment" / "kubernetes" / "components" / "tensorflow-serving"
# tensorflow-serving-api leaves out these messages of TensorFlow Serving; to text the fields' numbers do not matter
OTHER_MESSAGES = {
    "MonitoringConfig": {"prometheus_config": ".PrometheusConfig"},
    "PrometheusConfig": {"enable": "bool", "path": "string"},
    "BatchingParameters": {
        "max_batch_size": "Int64Value",
        "batch_timeout_micros": "Int64Value",
        "max_enqueued_batches": "Int64Value",
        "num_batch_threads": "Int64Value",
        "enable_large_batch_splitting": "BoolValue",
        "max_execution_batch_size": "Int64Value",
    },
}


@pytest.fixture(scope="module")
def network(fork: Path) -> Any:
    return load_model(MODEL, fork / "models" / "training_runs" / MODEL / "model")


@pytest.fixture(scope="module")
def champion(fork: Path) -> Path:
    return fork / "models" / "champion"


@pytest.fixture(scope="module")
def encoder(champion: Path) -> Encoder:
    return Encoder.from_vocabulary(read_json(champion / "vocabulary.json"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, network: Any, champion: Path) -> Path:
    """The fork's network as version 3."""
    folder = tmp_path_factory.mktemp("saved") / "parcels" / "3"
    write_saved_model(network, folder, champion)
    return folder


@pytest.fixture(scope="module")
def records(champion: Path) -> list[dict[str, Any]]:
    """Golden records, and one of values that training never saw."""
    golden: list[dict[str, Any]] = read_json(champion / "golden.json")["records"]
    return [*golden, golden[0] | {"weight": None, "depot": "elsewhere"}]


@pytest.fixture(scope="module")
def deployment() -> Any:
    return YAML(typ="safe").load(COMPONENT / "deployment.yaml")


def documented_client() -> dict[str, Any]:
    """The functions that the page shows."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", (CONFIGURATION / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the repository's own page
    return names


def other_message(name: str) -> Any:
    """A message class for what the package of TensorFlow Serving's messages leaves out."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="other.proto", package="other", syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    scalars = {"bool": field.TYPE_BOOL, "string": field.TYPE_STRING}
    for message, fields in OTHER_MESSAGES.items():
        described = file.message_type.add(name=message)
        for number, (field_name, kind) in enumerate(fields.items(), start=1):
            added = described.field.add(name=field_name, number=number, label=field.LABEL_OPTIONAL)
            if kind in scalars:
                added.type = scalars[kind]
            else:
                added.type = field.TYPE_MESSAGE
                added.type_name = f".other{kind}" if kind.startswith(".") else f".google.protobuf.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"other.{name}"))


def models_config(text: str) -> Any:
    """`models.config` as the server reads it: the configuration of its one model."""
    messages = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    (config,) = text_format.Parse(text, messages.ModelServerConfig()).model_config_list.config
    return config


def walk(content: Any) -> Iterator[tuple[str, Any]]:
    """All keys of nested content with their values."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield key, value
            yield from walk(value)
    if isinstance(content, list):
        for value in content:
            yield from walk(value)


def test_the_command_writes_the_run_under_its_served_name_and_version(
    fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(fork)
    command.main([str(tmp_path), "--version", "3"], standalone_mode=False)
    folder = tmp_path / "parcels" / "3"
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {folder}"
    assert {"saved_model.pb", "variables", "assets.extra"} <= {path.name for path in folder.iterdir()}
    vocabulary = folder / "assets.extra" / "vocabulary.json"
    assert vocabulary.read_bytes() == (fork / "models" / "champion" / "vocabulary.json").read_bytes()
    assert [path.name for path in folder.parent.iterdir()] == ["3"]


def test_a_version_that_exists_is_refused_and_kept(fork: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in saved.rglob("*")}
    monkeypatch.chdir(fork)
    with pytest.raises(OntimeError, match=r"parcels/3: exists already, .*; give another --version"):
        command.main([str(saved.parents[1]), "--version", "3"], standalone_mode=False)
    assert {path: path.stat().st_mtime_ns for path in saved.rglob("*")} == before
    with pytest.raises(click.BadParameter):
        command.main([str(saved.parents[1]), "--version", "0"], standalone_mode=False)


@pytest.mark.parametrize(("family", "folder"), [("random_forest", "training_runs/neural_network"), (MODEL, "refit")])
def test_the_served_network_is_taken_if_it_is_champion_and_its_absence_is_one_line(
    champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, folder: str
) -> None:
    shutil.copytree(champion, tmp_path / "models" / "champion")
    path = tmp_path / "models" / "champion" / "manifest.json"
    write_json(path, read_json(path) | {"model": family})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OntimeError, match=rf"^models/{folder}/model: not found; run `dvc repro`"):
        command.main(["out"], standalone_mode=False)
    assert not (tmp_path / "out").exists()


def test_a_saved_model_that_differs_from_the_run_is_refused_and_not_left(
    network: Any, champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_model, "saved_outputs", lambda _, matrix, __: np.full(len(matrix), 0.5))
    with pytest.raises(OntimeError, match=r"saved-model: differs from the trained model by up to .*, above \d+e-07"):
        write_saved_model(network, tmp_path / "parcels" / "1", champion)
    assert list((tmp_path / "parcels").iterdir()) == []


def test_the_signature_has_the_projects_names_types_and_shapes(saved: Path, encoder: Encoder) -> None:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(saved))
    assert list(loaded.signatures) == [SIGNATURE] == ["serving_default"]
    signature = loaded.signatures[SIGNATURE]
    (taken,) = signature.structured_input_signature[1].values()
    assert (taken.name, taken.dtype, taken.shape.as_list()) == ("features", tf.float32, [None, len(encoder.features)])
    ((name, given),) = signature.structured_outputs.items()
    assert (name, given.dtype, given.shape.as_list()) == ("probability", tf.float32, [None])


@pytest.mark.parametrize("rows", [0, 1, 17])
def test_the_saved_model_gives_the_probabilities_of_the_onnx_export(
    saved: Path, network: Any, encoder: Encoder, records: list[dict[str, Any]], rows: int
) -> None:
    matrix = encoder.transform_records([list(record.values()) for record in records[-rows:]])[: rows or 0]
    found = saved_outputs(saved, matrix, PROBABILITY)
    assert found.dtype == np.float32
    assert found.shape == (rows,)
    exported = onnx_outputs(to_onnx(MODEL, network, len(encoder.features), PROBABILITY), matrix)
    np.testing.assert_allclose(found, exported, rtol=0, atol=1e-6)


def test_the_documented_client_encodes_as_the_encoder_does(
    champion: Path, encoder: Encoder, records: list[dict[str, Any]]
) -> None:
    vocabulary = read_json(champion / "vocabulary.json")
    rows = [documented_client()["encode"](record, vocabulary) for record in records]
    np.testing.assert_array_equal(
        np.array(rows, dtype=np.float32), encoder.transform_records([list(record.values()) for record in records])
    )


@pytest.mark.parametrize("extra", [{}, {"signature_name": SIGNATURE}])
def test_the_documented_request_fits_the_signature_and_the_service_unchanged(
    signed: Path, saved: Path, encoder: Encoder, records: list[dict[str, Any]], extra: dict[str, str]
) -> None:
    vocabulary = read_json(saved / "assets.extra" / "vocabulary.json")
    body = json.dumps(json.loads(documented_client()["predict_request"](records, vocabulary)) | extra)
    assert "NaN" in body
    encoding = RecordEncoding(load_champion(signed / "model"), max_rows=100)
    rows, as_columns, _ = PredictProtocol(encoding).read(body.encode(), {})
    matrix = encoding.matrix([rows])
    assert not as_columns
    np.testing.assert_array_equal(matrix, encoder.transform_records([list(record.values()) for record in records]))
    by_instances = saved_outputs(saved, np.array(json.loads(body)["instances"], dtype=np.float32), PROBABILITY)
    np.testing.assert_array_equal(by_instances, saved_outputs(saved, matrix, PROBABILITY))


def test_models_config_serves_the_projects_model_with_labels_for_loaded_versions() -> None:
    config = models_config((CONFIGURATION / "models.config").read_text())
    name = load_params(live("params.yaml")).export.name
    assert (config.name, config.base_path, config.model_platform) == (name, f"/models/{name}", "tensorflow")
    assert set(config.version_labels) == {"stable", "canary"}
    assert set(config.version_labels.values()) <= set(config.model_version_policy.specific.versions)


def test_a_misspelt_key_of_models_config_would_be_found() -> None:
    text = (CONFIGURATION / "models.config").read_text().replace("version_labels", "version_label")
    with pytest.raises(text_format.ParseError):
        models_config(text)


def test_batching_is_bounded_as_the_service_is() -> None:
    batching = text_format.Parse((CONFIGURATION / "batching.config").read_text(), other_message("BatchingParameters")())
    ours = Settings(public_key=Path("unused"))
    assert batching.max_batch_size.value == ours.max_rows
    assert batching.max_execution_batch_size.value == ours.max_batch_rows
    assert batching.max_execution_batch_size.value * batching.max_enqueued_batches.value == ours.max_queued_rows
    assert batching.enable_large_batch_splitting.value
    assert batching.batch_timeout_micros.value == 0


def test_metrics_are_on() -> None:
    monitoring = text_format.Parse(
        (CONFIGURATION / "monitoring.config").read_text(), other_message("MonitoringConfig")()
    )
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_every_file_that_a_flag_names_is_in_the_config_map(deployment: Any) -> None:
    pod = deployment["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    generated = YAML(typ="safe").load(CONFIGURATION / "kustomization.yaml")["configMapGenerator"]
    ((config_map, files),) = [(entry["name"], entry["files"]) for entry in generated]
    assert all((CONFIGURATION / name).is_file() for name in files)
    mounts = {mount["name"]: mount["mountPath"] for mount in server["volumeMounts"]}
    (volume,) = [volume for volume in pod["volumes"] if "configMap" in volume]
    assert volume["configMap"]["name"] == config_map
    flags = dict(argument.removeprefix("--").split("=") for argument in server["args"])
    named = {value for value in flags.values() if value.startswith("/")}
    assert named == {f"{mounts[volume['name']]}/{name}" for name in files}


def test_the_component_is_made_of_files_that_exist() -> None:
    content = YAML(typ="safe").load(COMPONENT / "kustomization.yaml")
    assert content["kind"] == "Component"
    assert all((COMPONENT / name).is_file() for name in content["resources"])
    assert [(COMPONENT / name).resolve() for name in content["components"]] == [CONFIGURATION]


def test_the_init_containers_put_the_model_where_the_server_looks_and_verify_it_there(
    deployment: Any, tmp_path: Path, saved: Path
) -> None:
    pod = deployment["spec"]["template"]["spec"]
    name = load_params(live("params.yaml")).export.name
    (python, option, code), check = [container["command"] for container in pod["initContainers"]]
    assert (python, option) == ("/opt/ontime/bin/python", "-c")
    assert "COPY . /saved-model/" in (CONFIGURATION / "Dockerfile").read_text().splitlines()
    (tmp_path / "saved-model").mkdir()
    (tmp_path / "saved-model" / name).symlink_to(saved.parent)
    here = code.replace('"/', f'"{tmp_path}/')
    for _ in range(2):
        exec(here, {})  # noqa: S102 - the repository's own manifest, twice as after a restart of the pod
    assert (tmp_path / "models" / name / "3" / "saved_model.pb").is_file()
    verifying = pod["initContainers"][1]
    # the release's image, not the one that brought the model
    assert (verifying["image"], check[1:]) == ("ontime", ["-m", "ontime", "check-signature", f"/serving/{name}"])
    containers = [*pod["initContainers"], *pod["containers"]]
    mounts = [one for container in containers for one in container["volumeMounts"] if one["name"] == "models"]
    assert [(one["mountPath"], one.get("readOnly", False)) for one in mounts] == [
        ("/models", False),
        ("/serving", True),
        ("/models", True),
    ]


@pytest.fixture
def delivered(saved: Path, tmp_path: Path) -> Path:
    """A SavedModel with a signature beside it, and the keys of two signers."""
    folder = tmp_path / "served" / "flight-delay"
    shutil.copytree(saved.parent, folder)
    for name in ("release", "stranger"):
        make_key(tmp_path / f"{name}.key")
    sign_folder(folder, folder.with_suffix(".sig"), tmp_path / "release.key")
    return folder


def check_signature(folder: Path, top: Path) -> "subprocess.CompletedProcess[str]":
    """What the init container runs, with the key of the release."""
    variables = {"ONTIME_SERVICE_PUBLIC_KEY": str(top / "release.pub")}
    return run("ontime", "check-signature", str(folder), cwd=top, check=False, **variables)


def a_byte(folder: Path) -> None:
    path = folder / "3" / "saved_model.pb"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def a_version(folder: Path) -> None:
    shutil.copytree(folder / "3", folder / "4")


def a_missing_file(folder: Path) -> None:
    (folder / "3" / "variables" / "variables.index").unlink()


def another_signer(folder: Path) -> None:
    sign_folder(folder, folder.with_suffix(".sig"), folder.parents[1] / "stranger.key")


def no_signature(folder: Path) -> None:
    folder.with_suffix(".sig").unlink()


@pytest.mark.attack("second-server")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (a_byte, r"served/flight-delay: not what was signed: .*saved_model\.pb"),
        (a_version, r"served/flight-delay: not what was signed: .*4/"),
        (a_missing_file, r"served/flight-delay: not what was signed: .*variables\.index"),
        (another_signer, r"flight-delay\.sig: not signed by .*release\.pub, or changed since"),
        (no_signature, r"flight-delay\.sig: no signature"),
    ],
)
def test_a_saved_model_that_the_release_did_not_sign_is_not_served(
    delivered: Path, tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    intact = check_signature(delivered, tmp_path)
    assert (intact.returncode, intact.stderr) == (0, ""), intact.stderr
    change(delivered)
    done = check_signature(delivered, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(rf"error: .*{reason}", done.stderr), done.stderr
    assert done.stderr.count("\n") == 1


def test_the_command_signs_all_versions_and_leaves_no_signature_of_others(
    fork: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path / "release.key")
    monkeypatch.chdir(fork)
    output = tmp_path / "signed"
    arguments = [str(output), "--key", str(tmp_path / "release.key")]
    command.main([*arguments, "--version", "1"], standalone_mode=False)
    command.main([*arguments, "--version", "2"], standalone_mode=False)
    (folder,) = (path for path in output.iterdir() if path.is_dir())
    assert check_signature(folder, tmp_path).returncode == 0
    command.main([str(output), "--version", "3"], standalone_mode=False)
    assert "no signature" in check_signature(folder, tmp_path).stderr


@pytest.mark.attack("second-server")
def test_only_named_clients_and_prometheus_reach_the_server_and_it_reaches_nobody(deployment: Any) -> None:
    policy = YAML(typ="safe").load(COMPONENT / "network_policy.yaml")["spec"]
    assert policy["podSelector"] == deployment["spec"]["selector"]
    assert (policy["policyTypes"], policy["egress"]) == (["Ingress", "Egress"], [])
    admitted = {
        name: [port["port"] for port in rule["ports"]]
        for rule in policy["ingress"]
        for source in rule["from"]
        for name in source["namespaceSelector"]["matchLabels"].items()
        if source.keys() == {"namespaceSelector"}
    }
    assert admitted == {
        ("ontime.io/client", "true"): ["grpc", "rest"],
        ("kubernetes.io/metadata.name", "monitoring"): ["rest"],
    }


def test_probes_and_service_meet_the_servers_ports_and_model(deployment: Any) -> None:
    name = load_params(live("params.yaml")).export.name
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    flags = dict(argument.removeprefix("--").split("=") for argument in server["args"])
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    assert ports == {"grpc": int(flags["port"]), "rest": int(flags["rest_api_port"])}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["httpGet"]["port"] == "rest"
        assert re.match(rf"/v1/models/{name}(/|$)", server[probe]["httpGet"]["path"])
    service = YAML(typ="safe").load(COMPONENT / "service.yaml")
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == ports


def test_pods_keep_to_pod_security_restricted(deployment: Any) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    for container in [*pod["initContainers"], *pod["containers"]]:
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert not context["allowPrivilegeEscalation"]
        assert context["readOnlyRootFilesystem"]
        bounded = {"cpu", "memory", "ephemeral-storage"}
        assert bounded == set(container["resources"]["requests"]) == set(container["resources"]["limits"])
    keys = {key for key, _ in walk(deployment)}
    assert not keys & {"hostNetwork", "hostPID", "hostIPC", "hostPath", "hostPort", "privileged"}
