"""KServe's InferenceRESTClient, from an environment of its own, gets the golden probabilities unchanged."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.serving.environments import environment
from ontime.common.files import read_json
from tests.services import serving

pytestmark = pytest.mark.integration


def test_the_kserve_client_gets_the_golden_probabilities_in_both_protocols(signed: Path, tmp_path: Path) -> None:
    golden = signed / "model" / "golden.json"
    with serving(signed, tmp_path / "service.log", DRAIN_SECONDS="0") as running:
        done = subprocess.run(
            [
                environment("kserve") / "bin" / "python",
                Path(__file__).with_name("kserve_client.py"),
                str(running.port),
                "parcels",
                golden,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    expected = pytest.approx(read_json(golden)["probabilities"], abs=1e-6)
    assert found["v1"] == expected
    assert found["v2"] == expected
