"""A model serves only if it is what was signed and still says what it said of its golden records."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ontime.common.errors import OntimeError
from ontime.common.files import sha256
from ontime.model_deployment.inference.champion import Model, count_unusual, load_model
from ontime.model_deployment.inference.signing import sign
from ontime.model_deployment.service.settings import Settings


def resigned(signed: Path, target: Path, settings: Settings, name: str, content: Any) -> Settings:
    """Settings for a copy with one JSON file replaced, its manifest mended and all of it signed again."""
    shutil.copytree(signed, target, dirs_exist_ok=True)
    (target / "model" / name).write_text(json.dumps(content))
    if name != "manifest.json":
        manifest = json.loads((target / "model" / "manifest.json").read_text())
        path = target / "model" / name
        manifest["files"][name] = {"sha256": sha256(path), "size": path.stat().st_size}
        (target / "model" / "manifest.json").write_text(json.dumps(manifest))
    sign(target / "model", target / "model.sig", target / "model.key")
    return settings.model_copy(update={"model": target / "model", "signature": target / "model.sig"})


def test_the_model_knows_its_name_version_and_digest(model: Model, signed: Path) -> None:
    assert (model.name, model.version, model.git_commit) == ("parcels", "1.2.3", "0123456789abcdef")
    assert model.digest == sha256(signed / "model" / "model.onnx")
    assert model.may_be_missing.tolist() == [True, True, True, False]


def test_a_model_of_another_key_is_not_loaded(settings: Settings, tmp_path: Path) -> None:
    changed = settings.model_copy(update={"public_key": tmp_path / "none.pub"})
    with pytest.raises(OntimeError, match=r"none\.pub: not found"):
        load_model(changed)


def test_a_signed_model_with_other_golden_probabilities_is_not_served(
    settings: Settings, signed: Path, golden: dict[str, Any], tmp_path: Path
) -> None:
    probabilities = [*golden["probabilities"][:-1], golden["probabilities"][-1] + 1e-4]
    changed = resigned(signed, tmp_path, settings, "golden.json", {**golden, "probabilities": probabilities})
    with pytest.raises(OntimeError, match=r"golden records differ by up to 1\.0e-04, above 1e-05"):
        load_model(changed)


def test_a_row_has_the_same_probability_alone_and_among_others_but_for_the_last_bits(
    model: Model, golden: dict[str, Any]
) -> None:
    matrix = model.encoder.transform_records([list(record.values()) for record in golden["records"]])
    together = model.probability(matrix)
    alone = np.concatenate([model.probability(matrix[row : row + 1]) for row in range(len(matrix))])
    np.testing.assert_allclose(alone, together, rtol=0, atol=2.5e-7)


def test_a_decision_is_the_threshold_or_above(model: Model) -> None:
    probability = np.array([0, np.nextafter(np.float32(model.threshold), 0), 1], dtype=np.float32)
    assert model.decide(probability).tolist() == [False, False, True]


def test_missing_and_unknown_values_are_counted_by_feature(model: Model) -> None:
    records = [(1, 0, "north", "day"), (None, 0, None, "day"), (None, 1, "moon", "dusk")]
    missing, unknown = count_unusual(model, model.encoder.transform_records(records))
    assert missing.tolist() == [2, 0, 1, 0]
    assert unknown.tolist() == [1, 1]
