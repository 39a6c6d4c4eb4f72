"""A second model beside the one that answers, in a real process."""

from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from ontime.common.files import read_json
from tests.services import log_lines, make_second, serving, start

pytestmark = pytest.mark.integration


def test_every_answered_row_is_predicted_by_the_second_model_too(signed: Path, tmp_path: Path) -> None:
    folder = make_second(signed, tmp_path / "second")
    golden: dict[str, Any] = read_json(signed / "model" / "golden.json")
    second: dict[str, Any] = read_json(folder / "golden.json")
    settings = {"SHADOW": str(folder), "SHADOW_VERSION": "2.0.0"}
    with serving(signed, tmp_path / "service.log", **settings) as running:
        with httpx2.Client(base_url=running.url) as client:
            for number in range(200):
                place = number % len(golden["records"])
                body = {"instances": [golden["records"][place]]}
                answer = client.post("/v1/models/parcels:predict", json=body, headers={"x-request-id": str(number)})
                assert answer.json()["predictions"] == pytest.approx([golden["probabilities"][place]], abs=1e-6)
        assert "ontime_shadow_rows_skipped_total 0.0" in httpx2.get(f"http://127.0.0.1:{running.metrics_port}").text
    printed = running.log.read_text()
    (ready,) = log_lines(printed, "ready")
    assert (ready["shadow"], ready["shadow_version"]) == ("parcels", "2.0.0")
    found = {int(line["request_id"]): line["probability"] for line in log_lines(printed, "shadow")}
    assert len(found) == 200
    expected = [second["probabilities"][number % len(golden["records"])] for number in sorted(found)]
    np.testing.assert_allclose([found[number] for number in sorted(found)], expected, rtol=0, atol=1e-6)


def test_a_second_model_that_nobody_signed_is_refused_in_one_line(signed: Path, tmp_path: Path) -> None:
    folder = make_second(signed, tmp_path / "second")
    with (folder / "vocabulary.json").open("a") as vocabulary:
        vocabulary.write(" ")
    with pytest.raises(AssertionError, match=r"did not start: error: \S+second: not what was signed"):
        start(signed, tmp_path / "service.log", SHADOW=str(folder))
