"""A fork of each task, an event, classes and a number, from `ontime init` to the answers of a running service."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ontime.common import paths
from ontime.common.files import read_json, write_json
from ontime.model_deployment.batch.score import score
from ontime.model_deployment.export.saved_model import saved_outputs
from ontime.model_deployment.inference.champion import load_champion
from ontime.model_deployment.inference.explanation import Explainer
from ontime.model_deployment.inference.manifest import read_manifest
from ontime.model_deployment.inference.page import read_page
from ontime.model_deployment.inference.prediction_log import PredictionLine
from ontime.model_deployment.inference.signing import make_key, sign
from ontime.model_deployment.service.smoke import smoke_test
from ontime.model_evaluation.judge import judge_of
from ontime.model_training.families import FAMILIES, load_model
from ontime.model_training.rows import load_encoder, load_rows
from ontime.monitoring.log import compacted
from ontime.tasks.task import load_task
from tests.browser import Tab, chromium
from tests.commands import run_command
from tests.services import Running, log_lines, serving
from tests.task_graphs import KINDS, Kind, refused, run_graph


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """One task after the other."""
    return KINDS[request.param]


@pytest.fixture(scope="module")
def fork(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of the task's table that has run."""
    return run_graph(tmp_path_factory.mktemp(kind.task) / "fork", kind.table(), kind.task, *kind.options)


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


def expected_of(golden: dict[str, Any]) -> npt.NDArray[Any]:
    """What the golden records say of the model's numbers."""
    return np.array(golden.get("probabilities", golden.get("predictions")))


def golden_text(golden: dict[str, Any], said: npt.NDArray[Any]) -> str | None:
    """The text of the golden record of which the model says the least."""
    record = golden["records"][int(said.argmin())]
    text: str | None = next(record[name] for name in ("advert", "note") if name in record)
    return text


def test_init_says_what_the_task_is(
    tmp_path: Path, kind: Kind, fork: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    shutil.copytree(fork, tmp_path / "fork", ignore=shutil.ignore_patterns("models"))
    monkeypatch.chdir(tmp_path / "fork")
    run_command("init", "--source", "table.csv", "--target", kind.target, "--no-run")
    assert f" features, {kind.said}" in capsys.readouterr().out


@pytest.mark.usefixtures("in_fork")
def test_the_champion_beats_the_baselines_and_says_by_how_much(kind: Kind) -> None:
    selection, task, judge = read_json(paths.SELECTION), load_task(), judge_of(kind.task)
    assert selection["metric"] == kind.metric
    assert set(selection["candidates"]) == set(FAMILIES[kind.task])
    assert list(selection["baselines"]) == list(task.baselines)
    assert all(low > 0 for low, _ in selection["leads_over_baselines"].values())
    manifest = read_manifest(paths.CHAMPION)
    assert (manifest.task, manifest.output) == (kind.task, task.output)
    assert (manifest.threshold is None) == (kind.task != "binary")
    assert tuple(manifest.classes) == task.classes == kind.classes
    assert set(judge.accepted) <= set(manifest.metrics["test"])
    card = (paths.CHAMPION / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert kind.card in card
    page = (paths.CHAMPION / "report.html").read_text(encoding="utf-8")
    assert kind.card in page
    if kind.task != "binary":
        assert not [word for word in ("threshold", "event") for text in (card, page) if word in text]


@pytest.mark.parametrize("family", dict.fromkeys(name for names in FAMILIES.values() for name in names))
def test_every_family_is_exported_within_the_tolerance_and_explained(
    in_fork: Path, kind: Kind, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if family not in FAMILIES[kind.task]:
        assert refused("train", family).startswith(f"{family}: no model of a {kind.task} task;")
        return
    shutil.copytree(in_fork, tmp_path / "fork", ignore=shutil.ignore_patterns("raw"))
    monkeypatch.chdir(tmp_path / "fork")
    write_json(paths.SELECTION, read_json(paths.SELECTION) | {"champion": family})
    for command in ("refit", "export"):
        run_command(command)
    champion, (matrix, _) = load_champion(paths.CHAMPION), load_rows("test", load_encoder())
    expected = load_model(family, paths.REFIT / "model").predict(matrix)
    found = champion.predict(matrix)
    assert found.shape == (len(matrix), *([len(kind.classes)] if kind.classes else []))
    np.testing.assert_allclose(found, expected, rtol=0, atol=champion.answer.tolerance(expected))
    if family == "neural_network":
        run_command("saved-model", str(tmp_path / "served"))
        served = saved_outputs(tmp_path / "served" / "table" / "1", matrix, champion.answer.output)
        np.testing.assert_allclose(served, expected, rtol=0, atol=champion.answer.tolerance(expected))
    explained = Explainer(champion).explain(matrix[:2])
    margin = explained.base_value + explained.contributions.sum(axis=1)
    np.testing.assert_allclose(margin, explained.margin, rtol=1e-6)
    if explained.scale != "log-odds":
        of_decided = expected[:2] if expected.ndim == 1 else expected[:2].max(axis=1)
        np.testing.assert_allclose(margin, of_decided, rtol=1e-5)


@pytest.mark.usefixtures("in_fork")
def test_the_page_asks_in_the_words_of_the_task(kind: Kind) -> None:
    page = read_page(paths.CHAMPION, read_manifest(paths.CHAMPION))
    assert page.texts.question == kind.question


@pytest.mark.usefixtures("in_fork")
def test_a_table_is_scored_with_what_the_model_says(kind: Kind, tmp_path: Path) -> None:
    score(paths.split_rows("test"), tmp_path / "out.parquet", paths.CHAMPION, backend="sequential")
    scored = pq.read_table(tmp_path / "out.parquet").to_pandas()
    rows = pq.read_table(paths.split_rows("test")).column_names
    assert [name for name in scored if name not in rows] == [*kind.columns, "model_version"]
    matrix, target = load_rows("test", load_encoder())
    champion = load_champion(paths.CHAMPION)
    outputs = champion.predict(matrix)
    numbers = scored[[name for name in kind.columns if name != "decision"]].to_numpy()
    np.testing.assert_array_equal(numbers, outputs.reshape(len(matrix), -1))
    if "decision" in scored:
        assert scored["decision"].tolist() == champion.answer.values("decision", outputs).tolist()
    task = load_task()
    rule = {} if champion.manifest.threshold is None else {"threshold": champion.manifest.threshold}
    judge = judge_of(kind.task, task.classes)
    assert judge.summarize(target, outputs.astype(np.float64), rule) == pytest.approx(
        read_json(paths.REFIT / "metrics" / "test.json"), rel=1e-4, abs=champion.answer.tolerance(outputs)
    )


@pytest.mark.usefixtures("in_fork")
def test_new_rows_without_a_target_are_predicted(kind: Kind, tmp_path: Path) -> None:
    kind.table().drop(columns=kind.target).to_csv(tmp_path / "new.csv", index=False)
    for name in ("out.parquet", "out.csv"):
        run_command("predict", str(tmp_path / "new.csv"), str(tmp_path / name))
    score(paths.FEATURES / "table.parquet", tmp_path / "scored.parquet", paths.CHAMPION, backend="sequential")
    columns = [kind.key, kind.time, *kind.columns, "model_version"]
    answers, scored = (pq.read_table(tmp_path / name).to_pandas() for name in ("out.parquet", "scored.parquet"))
    pd.testing.assert_frame_equal(answers, scored[columns])
    assert pd.read_csv(tmp_path / "out.csv").columns.tolist() == columns


@pytest.mark.integration
def test_both_protocols_answer(kind: Kind, fork: Path, running: Running, golden: dict[str, Any]) -> None:
    import tritonclient.http as triton

    records, inputs, expected = golden["records"], [], expected_of(golden)
    answer = read_manifest(fork / paths.CHAMPION).answer
    with triton.InferenceServerClient(f"127.0.0.1:{running.port}") as client:
        metadata = client.get_model_metadata("table")
        assert metadata["outputs"] == list(kind.outputs)
        assert tuple(metadata.get("classes", ())) == kind.classes
        for tensor in metadata["inputs"]:
            values = [record[tensor["name"]] for record in records]
            text = tensor["datatype"] == "BYTES"
            array = np.array([v or "" for v in values] if text else values, dtype=np.object_ if text else np.float32)
            inputs.append(triton.InferInput(tensor["name"], [len(records)], tensor["datatype"]))
            inputs[-1].set_data_from_numpy(array, binary_data=True)
        for binary in (False, True):
            wanted = [triton.InferRequestedOutput(str(output["name"]), binary) for output in kind.outputs]
            found = client.infer("table", inputs, outputs=wanted)
            outputs = found.as_numpy(answer.output)
            np.testing.assert_allclose(outputs, expected, rtol=0, atol=answer.tolerance(expected))
            if "decision" in answer.types:
                decided = found.as_numpy("decision").tolist()
                texts = [one.decode() if isinstance(one, bytes) else one for one in decided]
                assert texts == answer.values("decision", outputs).tolist()
        assert (client.infer("table", inputs).as_numpy("decision") is None) == ("decision" not in answer.types)


@pytest.mark.integration
def test_golden_records_the_log_and_the_daily_checks_agree(
    kind: Kind, running: Running, fork: Path, tmp_path: Path
) -> None:
    said = smoke_test("127.0.0.1", running.port, fork / paths.CHAMPION, "1.2.3", 10)
    assert said.startswith("table 1.2.3: 16 golden records, 20 times, differ by up to ")
    with contextlib.chdir(fork):
        load = ["--rate", "5", "--seconds", "2", "--p50", "1000", "--p99", "5000"]
        run_command("acceptance", running.url, *load, "--output", str(tmp_path / "acceptance"))
    # once, because the service writes meanwhile
    written = running.log.read_text().rpartition("\n")[0]
    lines = log_lines(written, "prediction")
    names = {str(output["name"]) for output in kind.outputs}
    assert lines
    assert all({"probability", "decision", "prediction"} & set(line) == names for line in lines)
    assert {type(msgspec.json.decode(json.dumps(line), type=PredictionLine)) for line in lines} == {PredictionLine}
    counts = compacted(written.encode().splitlines(), str(tmp_path / "log"))
    assert (counts["predictions"], counts["unreadable"]) == (len(lines), 0)
    (file,) = (tmp_path / "log").rglob("*.parquet")
    assert pd.read_parquet(file)[sorted(names)].notna().all(axis=None)
    with contextlib.chdir(fork):
        day = lines[0]["time"][:10]
        options = ["--log", str(tmp_path / "log"), "--output", str(tmp_path / "out"), "--model-version", "1.2.3"]
        run_command("monitor", "replay", day, *options)
        run_command("monitor", "inputs", day, *options)
    assert read_json(tmp_path / "out" / "replay" / f"{day}.json")["prediction"]["differing"] == 0
    inputs = read_json(tmp_path / "out" / "inputs" / f"{day}.json")["inputs"]
    assert np.isfinite(inputs["(probability)"]["shift"])


@pytest.mark.integration
def test_the_page_shows_the_answer_of_the_task(kind: Kind, running: Running, golden: dict[str, Any]) -> None:
    expected = expected_of(golden)
    with chromium() as browser:
        tab = Tab(browser)
        tab.open(f"{running.url}/#example-1", 'document.querySelectorAll("#reasons li").length > 0')
        assert tab.text("h1") == kind.question
        shown = float(tab.text("#probability").removesuffix(" %"))
        one = expected if expected.ndim == 1 else expected.max(axis=1)
        assert shown == pytest.approx(one.min() * (1 if kind.task == "regression" else 100), abs=1)
        assert tab.run('document.getElementById("scale").hidden') == (kind.task != "binary")
        assert tab.run('document.getElementById("each").hidden') == (not kind.classes)
        # a text has a field, and no other values that might change the decision
        assert tab.run('document.querySelector("textarea").value') == (golden_text(golden, one) or "")
        assert not [line for line in tab.texts("#flips li") if line.startswith(("Advert", "Note"))]
        effects = tab.texts("#reasons .effect")
        assert all(" it by " in text and ("points" in text) == (kind.task != "regression") for text in effects)
        if kind.classes:
            row = expected[one.argmin()]
            assert tab.text("#decision") == f"Most probable {kind.target}: {kind.classes[row.argmax()]}"
            ranked = [kind.classes[place] for place in np.argsort(-row)]
            bars = tab.texts("#classes li")
            assert [text.startswith(name) for text, name in zip(bars, ranked, strict=True)] == [True] * len(ranked)
        if kind.task == "regression":
            assert tab.text("#decision") == tab.text("#threshold") == ""
            assert tab.text("#probability-name") == f"Expected {kind.target}:"
            assert "number" in tab.text("#reasons-help")
