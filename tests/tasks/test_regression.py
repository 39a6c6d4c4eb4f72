"""A fork whose target is a number, from `ontime init` to the answers of a running service."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ontime.common import paths
from ontime.common.files import read_json, write_json
from ontime.model_deployment.batch.score import score
from ontime.model_deployment.inference.champion import load_champion
from ontime.model_deployment.inference.explanation import Explainer
from ontime.model_deployment.inference.manifest import read_manifest
from ontime.model_deployment.inference.page import read_page
from ontime.model_deployment.inference.prediction_log import PredictionLine
from ontime.model_deployment.inference.signing import make_key, sign
from ontime.model_deployment.service.smoke import smoke_test
from ontime.model_training.families import FAMILIES, load_model
from ontime.model_training.rows import load_encoder, load_rows
from ontime.monitoring.log import compacted
from tests.browser import Tab, chromium
from tests.commands import run_command
from tests.services import Running, log_lines, serving
from tests.task_graphs import prices, refused, run_graph

RELATIVE = 1e-6


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of prices that has run."""
    options = ["--target", "price", "--key", "house", "--time", "sold"]
    return run_graph(tmp_path_factory.mktemp("prices") / "fork", prices(), "regression", *options)


@pytest.fixture
def in_fork(fork: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(fork)
    return fork


@pytest.fixture(scope="module")
def running(fork: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service of the champion."""
    top = tmp_path_factory.mktemp("service")
    shutil.copytree(fork / paths.CHAMPION, top / "model")
    make_key(top / "model.key")
    sign(top / "model", top / "model.sig", top / "model.key")
    with serving(top, top / "service.log", DRAIN_SECONDS="0") as found:
        yield found


@pytest.fixture(scope="module")
def golden(fork: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(fork / paths.CHAMPION / "golden.json")
    return content


def test_init_says_what_the_task_is(tmp_path: Path, fork: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    shutil.copytree(fork, tmp_path / "fork", ignore=shutil.ignore_patterns("models"))
    monkeypatch.chdir(tmp_path / "fork")
    run_command("init", "--source", "table.csv", "--target", "price", "--no-run")
    assert "task regression: price is a number from " in capsys.readouterr().out


@pytest.mark.usefixtures("in_fork")
def test_the_champion_beats_the_means_and_says_by_how_much() -> None:
    selection = read_json(paths.SELECTION)
    assert selection["metric"] == "rmse"
    assert list(selection["candidates"]) == sorted(selection["candidates"], key=selection["candidates"].get)
    assert set(selection["candidates"]) == set(FAMILIES["regression"])
    assert selection["value"] < 0.5 * selection["baselines"]["group_mean"] < selection["baselines"]["mean"]
    manifest = read_manifest(paths.CHAMPION)
    assert (manifest.task, manifest.output, manifest.threshold) == ("regression", "prediction", None)
    assert set(manifest.metrics["test"]) == {"rmse", "mae", "r2", "mean_error", "mean_target", "rows"}
    card = (paths.CHAMPION / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "\nThis model says what price is.\n" in card
    assert "root mean squared error" in card
    pictures = (paths.CHAMPION / "report.html").read_text(encoding="utf-8")
    assert "root mean squared error group by group" in pictures
    for text in (card, pictures):
        assert not [word for word in ("robability", "threshold", "event") if word in text]


@pytest.mark.parametrize("family", FAMILIES["regression"])
def test_every_family_is_exported_to_a_millionth_and_explained(
    in_fork: Path, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(in_fork, tmp_path / "fork", ignore=shutil.ignore_patterns("raw"))
    monkeypatch.chdir(tmp_path / "fork")
    write_json(paths.SELECTION, read_json(paths.SELECTION) | {"champion": family})
    for command in ("refit", "forward", "export"):
        run_command(command)
    champion, (matrix, _) = load_champion(paths.CHAMPION), load_rows("test", load_encoder())
    expected = load_model(family, paths.REFIT / "model").predict(matrix)
    np.testing.assert_allclose(champion.predict(matrix), expected, rtol=RELATIVE)
    assert (champion.trees is not None) == (family in ("random_forest", "gradient_boosting"))
    found = Explainer(champion).explain(matrix[:2])
    assert found.scale == "prediction"
    np.testing.assert_allclose(found.base_value + found.contributions.sum(axis=1), expected[:2], rtol=RELATIVE)


@pytest.mark.usefixtures("in_fork")
def test_the_page_asks_for_a_number() -> None:
    page = read_page(paths.CHAMPION, read_manifest(paths.CHAMPION))
    assert page.texts.question == "How much will price be?"
    assert page.texts.prediction == "Expected price"


@pytest.mark.usefixtures("in_fork")
def test_a_table_is_scored_with_the_number(tmp_path: Path) -> None:
    score(paths.split_rows("test"), tmp_path / "out.parquet", paths.CHAMPION, backend="sequential")
    scored = pq.read_table(tmp_path / "out.parquet").to_pandas()
    matrix, target = load_rows("test", load_encoder())
    np.testing.assert_array_equal(scored["prediction"], load_champion(paths.CHAMPION).predict(matrix))
    assert not {"probability", "decision"} & set(scored)
    rmse = np.sqrt(np.mean((scored["prediction"] - target) ** 2))
    assert read_json(paths.REFIT / "metrics" / "test.json")["rmse"] == pytest.approx(rmse, rel=1e-5)


@pytest.mark.usefixtures("in_fork")
def test_new_rows_without_a_price_get_the_number(tmp_path: Path) -> None:
    prices().drop(columns="price").to_csv(tmp_path / "new.csv", index=False)
    run_command("predict", str(tmp_path / "new.csv"), str(tmp_path / "out.parquet"))
    score(paths.FEATURES / "table.parquet", tmp_path / "scored.parquet", paths.CHAMPION, backend="sequential")
    columns = ["house", "sold", "prediction", "model_version"]
    answers, scored = (pq.read_table(tmp_path / name).to_pandas() for name in ("out.parquet", "scored.parquet"))
    pd.testing.assert_frame_equal(answers, scored[columns])


@pytest.mark.usefixtures("in_fork")
def test_what_is_for_events_alone_is_one_line() -> None:
    line = "works only for a binary task; params.yaml has task.kind: regression"
    assert refused("backtest", "--start", "2024-02-01") == f"ontime backtest: {line}"
    day = ["2024-03-01", "--labels", "x.csv", "--log", "log", "--model-version", "1.2.3"]
    assert refused("monitor", "labels", *day) == f"ontime monitor labels: {line}"
    assert refused("train", "logistic_regression").startswith("logistic_regression: no model of a regression task;")


@pytest.mark.integration
def test_both_protocols_answer_with_the_number(running: Running, golden: dict[str, Any]) -> None:
    import tritonclient.http as triton

    records, inputs = golden["records"], []
    with triton.InferenceServerClient(f"127.0.0.1:{running.port}") as client:
        metadata = client.get_model_metadata("table")
        assert metadata["outputs"] == [{"name": "prediction", "datatype": "FP32", "shape": [-1]}]
        for tensor in metadata["inputs"]:
            values = [record[tensor["name"]] for record in records]
            text = tensor["datatype"] == "BYTES"
            array = np.array([v or "" for v in values] if text else values, dtype=np.object_ if text else np.float32)
            inputs.append(triton.InferInput(tensor["name"], [len(records)], tensor["datatype"]))
            inputs[-1].set_data_from_numpy(array, binary_data=True)
        for binary in (False, True):
            found = client.infer("table", inputs, outputs=[triton.InferRequestedOutput("prediction", binary)])
            np.testing.assert_allclose(found.as_numpy("prediction"), golden["predictions"], rtol=RELATIVE)
        assert client.infer("table", inputs).as_numpy("decision") is None


@pytest.mark.integration
def test_golden_records_and_the_log_have_the_number(running: Running, fork: Path, tmp_path: Path) -> None:
    said = smoke_test("127.0.0.1", running.port, fork / paths.CHAMPION, "1.2.3", 10)
    assert said.startswith("table 1.2.3: 16 golden records, 20 times, differ by up to ")
    lines = log_lines(running.log.read_text(), "prediction")
    assert lines
    assert all("prediction" in line and not {"probability", "decision"} & set(line) for line in lines)
    assert {type(msgspec.json.decode(json.dumps(line), type=PredictionLine)) for line in lines} == {PredictionLine}
    with running.log.open("rb") as stream:
        counts = compacted(stream, str(tmp_path / "log"))
    assert (counts["predictions"], counts["unreadable"]) == (len(lines), 0)
    (file,) = (tmp_path / "log").rglob("*.parquet")
    table = pd.read_parquet(file)
    assert table["prediction"].notna().all()
    with contextlib.chdir(fork):
        day = lines[0]["time"][:10]
        options = ["--log", str(tmp_path / "log"), "--output", str(tmp_path / "out"), "--model-version", "1.2.3"]
        run_command("monitor", "replay", day, *options)
        run_command("monitor", "inputs", day, *options)
    assert read_json(tmp_path / "out" / "replay" / f"{day}.json")["prediction"]["differing"] == 0
    inputs = read_json(tmp_path / "out" / "inputs" / f"{day}.json")["inputs"]
    assert np.isfinite(inputs["(probability)"]["shift"])


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_page_shows_a_number_and_no_decision(running: Running, golden: dict[str, Any]) -> None:
    with chromium() as browser:
        tab = Tab(browser)
        tab.open(f"{running.url}/#example-1", 'document.querySelectorAll("#reasons li").length > 0')
        assert tab.text("h1") == "How much will price be?"
        assert tab.text("#probability-name") == "Expected price:"
        assert float(tab.text("#probability")) == pytest.approx(min(golden["predictions"]), abs=1)
        assert tab.text("#decision") == tab.text("#threshold") == ""
        assert tab.run('document.getElementById("scale").hidden && document.getElementById("other").hidden')
        assert all(" it by " in text and "points" not in text for text in tab.texts("#reasons .effect"))
        assert "number" in tab.text("#reasons-help")
