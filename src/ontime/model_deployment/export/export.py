"""Export the champion so that it can be served and checked without the packages that trained it.

In: the model of `models/refit` and its test metrics, the champion's run, vocabulary, feature rows, training,
validation and test rows, the rows of `models/forward`, `data/features.yaml`. Out: `models/champion/` with `model.onnx`,
`vocabulary.json`, `golden.json` (records with what the model says of them), `page.json` (what the service's page is
built from), `metrics.json` (the champion's metric, for `dvc exp show`), `manifest.json`, `MODEL_CARD.md` and
`report.html`, the card with pictures; of a model of trees `trees.npy`, their nodes; of rows with a time
`reference.json`: their counts by day, and how far labels may be from what the model expects.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ontime.common import paths
from ontime.common.arrays import Outputs
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, read_parquet, replacing, sha256, write_json, write_text
from ontime.common.layout import Layout
from ontime.common.params import Count, Section, check, load_section
from ontime.data_processing.split import Split
from ontime.datasets.features import load_features
from ontime.datasets.registry import dataset_of
from ontime.datasets.source import Data
from ontime.encoder import Encoder
from ontime.model_deployment.export.label_reference import label_reference
from ontime.model_deployment.export.model_card import BEFORE_REFIT, DecisionRule, model_card
from ontime.model_deployment.export.onnx_graph import INPUT, onnx_outputs, to_onnx
from ontime.model_deployment.export.page import PageTexts, make_page
from ontime.model_deployment.export.parts import judged_part
from ontime.model_deployment.export.reference import REFERENCE
from ontime.model_deployment.export.reference_days import reference_of
from ontime.model_deployment.export.report import report
from ontime.model_deployment.export.tree_nodes import tree_nodes
from ontime.model_deployment.inference.manifest import GOLDEN, MANIFEST, MODEL, VOCABULARY, Feature, File, Manifest
from ontime.model_deployment.inference.page import PAGE
from ontime.model_deployment.inference.trees import TREES, Trees, scale_of
from ontime.model_evaluation.judge import judge_of
from ontime.model_evaluation.publish import Publish
from ontime.model_evaluation.settings import Decision, Evaluate
from ontime.model_training.families import Predict, Train, load_model
from ontime.model_training.rows import load_encoder, load_rows
from ontime.tasks.answers import Answer, answer_of, one_number
from ontime.tasks.task import load_task

METRICS = "metrics.json"
SAMPLE_ROWS = 1000
"""Validation rows on which `trees.npy` is compared with the trained model; the graph is compared on all."""
PACKAGES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "tensorflow-cpu", "tf2onnx")


class Export(Section):
    """What the model is called, how many golden records it has, and what the service's page asks and says."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    golden_records: Count
    page_features: list[str]
    page_follows: dict[str, list[str]]
    page_sums: dict[str, list[str]]
    page_texts: PageTexts


@click.command(name="export")
def command() -> None:
    """Write models/champion: ONNX graph, manifest, golden records, page, model card, report."""
    settings = load_section("export", Export)
    data, split = load_section("data", Data), load_section("split", Split)
    task, seed = load_task(), load_section("train", Train).seed
    selection = read_json(paths.SELECTION)
    champion = selection["champion"]
    run = paths.training_run(champion)
    encoder = load_encoder()
    model = load_model(champion, paths.REFIT / "model")
    predict = model.predict
    metrics = {
        "validation": read_json(run / "metrics" / "validation.json"),
        "test": read_json(paths.REFIT / "metrics" / "test.json"),
    }
    rule_values = dict(metrics["validation"])
    threshold = metrics["validation"].pop("threshold", None)
    answer = answer_of(task.name, threshold, task.classes)
    matrix, _ = load_rows("validation", encoder)
    content = to_onnx(champion, model, encoder.width, answer.output, len(task.classes))
    check_parity("ONNX", onnx_outputs(content, matrix), predict(matrix), answer)
    scale = scale_of(task.name, champion)
    nodes = tree_nodes(content, scale) if scale else None
    if scale and nodes is not None:
        sample = matrix[:SAMPLE_ROWS]
        trees = Trees(nodes, encoder.width, scale)
        check_parity(TREES, trees.predict(sample), predict(sample), answer)
    vocabulary = read_json(paths.VOCABULARY)
    refit = read_json(paths.REFIT / "metadata" / "refit.json")
    others = {name: paths.training_run(name) for name in task.baselines} | (
        {BEFORE_REFIT: run} if refit["refit"] else {}
    )
    others_test = {name: read_json(folder / "metrics" / "test.json") for name, folder in others.items()}
    training = read_json(run / "metadata" / "training.json")
    training["parameters"] = read_json(run / "config" / "parameters.json")
    golden = golden_records(encoder, predict, settings.golden_records, seed, answer)
    layout = Layout(**read_json(paths.FEATURE_LAYOUT))
    dataset = dataset_of(data.source)
    options = check(dataset.Options, data.options, "params.yaml: data.options")
    says = dataset.says(options)
    reference = reference_of(encoder, predict, layout, split, dataset.asked_minutes_before(options), task)
    evaluation, judge = load_section("evaluate", Evaluate), judge_of(task.name)
    measured = load_model(champion, run / "model") if refit["refit"] else model
    least = load_section("publish", Publish).slice_rows
    parts = [
        judged_part(part, one.predict, encoder, judge, rule_values, evaluation.slices, layout, split, least)
        for part, one in (("validation", measured), ("test", model))
    ]
    rule = None if threshold is None else DecisionRule(load_section("decision", Decision), threshold)
    if reference and layout.time:
        costs = rule.costs if rule else None
        labels = label_reference(layout.time, evaluation.slices, evaluation.baseline_group, costs, task)
        reference = replace(reference, labels=labels)
    page = make_page(
        settings.page_texts,
        settings.page_features,
        settings.page_follows,
        settings.page_sums,
        load_features(layout),
        vocabulary,
        read_parquet(paths.split_rows("train"), columns=encoder.features),
        golden["records"],
        one_number(np.array(golden[answer.golden])).tolist(),
    )
    with replacing(paths.CHAMPION) as folder:
        folder.mkdir()
        (folder / MODEL).write_bytes(content)
        write_json(folder / VOCABULARY, vocabulary)
        write_json(folder / GOLDEN, golden)
        if nodes is not None:
            np.save(folder / TREES, nodes)
        write_json(folder / PAGE, page.as_json())
        if reference is not None:
            write_text(folder / REFERENCE, reference.as_text())
        card = model_card(
            settings.name,
            says,
            data,
            split,
            rule,
            champion,
            selection,
            metrics,
            others_test,
            training,
            refit,
            vocabulary,
            task.classes,
            layout.weight,
        )
        write_text(folder / "MODEL_CARD.md", card)
        pictures = report(
            settings.name,
            says,
            settings.page_texts.record,
            rule,
            metrics["test"],
            {name: others_test[name] for name in task.baselines},
            parts,
            pd.read_csv(run / "metrics" / "history.csv"),
            judge,
            selection.get("folds", 1),
            layout.weight,
        )
        write_text(folder / "report.html", pictures)
        write_json(folder / METRICS, summary_of(selection, metrics))
        manifest = Manifest(
            name=settings.name,
            model=champion,
            input=INPUT,
            output=answer.output,
            files=describe_files(folder),
            features=describe_features(vocabulary),
            threshold=threshold,
            golden_tolerance=answer.tolerance(np.array(golden[answer.golden])),
            training_data_sha256=training["training_data_sha256"],
            validation_data_sha256=refit.get("validation_data_sha256"),
            metrics=metrics,
            packages={name: version(name) for name in PACKAGES},
            task=task.name,
            classes=list(task.classes),
            weight=layout.weight,
        )
        write_json(folder / MANIFEST, manifest.as_json())


def summary_of(selection: Mapping[str, Any], metrics: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The champion, and what it has of the metric that chose it, by names that no other metrics file has."""
    name = selection["metric"]
    return {"champion": selection["champion"], "metric": name, **{part: one[name] for part, one in metrics.items()}}


def check_parity(name: str, found: npt.NDArray[Any], expected: Outputs, answer: Answer) -> float:
    """Greatest difference between what the exported and the trained model say of each row.

    Args:
        name: what was exported, for the error.
        answer: knows the tolerance.

    Raises:
        OntimeError: it is above the tolerance.
    """
    difference, tolerance = float(np.abs(found - expected).max()), answer.tolerance(expected)
    if not difference <= tolerance:
        raise OntimeError(
            f"export: {name} differs from the trained model by up to {difference:.1e}, above {tolerance:.0e}"
        )
    return difference


def golden_records(encoder: Encoder, predict: Predict, count: int, seed: int, answer: Answer) -> dict[str, Any]:
    """Validation records as a client would send them, and what the model says of them.

    That is what the trained model itself says, so that it does not depend on a processor's ONNX kernels.
    """
    rows = read_parquet(paths.split_rows("validation"), columns=encoder.features)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:count])
    rows = rows.iloc[chosen]
    columns = {name: rows[name].to_numpy() for name in encoder.features}
    expected = predict(encoder.transform(columns))
    records = [{name: _plain(value) for name, value in record.items()} for record in rows.to_dict(orient="records")]
    return {"records": records, answer.golden: shortened(expected, answer)}


def shortened(outputs: Outputs, answer: Answer) -> list[Any]:
    """A model's numbers (rows,) or (rows, classes) as golden records keep them."""
    if outputs.ndim > 1:
        return [shortened(row, answer) for row in outputs]
    return [answer.shortened(float(value)) for value in outputs]


def _plain(value: Any) -> str | float | int | None:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return None
    number = float(value)
    return int(number) if number.is_integer() else number


def describe_files(folder: Path) -> dict[str, File]:
    """SHA-256 and size in bytes of each file in a folder."""
    return {
        path.name: File(sha256=sha256(path), size=path.stat().st_size)
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".")
    }


def describe_features(vocabulary: dict[str, Any]) -> list[Feature]:
    """Name, type, whether it may be missing and its typical value, for each feature in order."""
    missing, typical = set(vocabulary["may_be_missing"]), vocabulary["typical"]
    kinds: tuple[tuple[Literal["number", "category", "text"], Any], ...] = (
        ("number", vocabulary["numbers"]),
        ("category", vocabulary["categories"]),
        ("text", vocabulary.get("texts", ())),
    )
    return [
        Feature(name=name, type=kind, may_be_missing=name in missing, typical=typical[name])
        for kind, names in kinds
        for name in names
    ]
