"""Rivals run in environments of their own: one has other versions of the packages, both have packages of their own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.environments import installed

HERE = Path(__file__).parent
NO_REPORTS = {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
"""What keeps the rivals from reporting that they are used."""


def rival(name: str, *arguments: str | Path) -> Any:
    """Run a rival's script: what it says on its last line, from JSON."""
    python = installed(name, HERE / f"requirements-{name}.txt") / "bin" / "python"
    done = subprocess.run(
        [python, "-m", f"benchmarks.monitoring.rivals.{name}_days", *arguments],
        cwd=HERE.parents[1],
        env={**os.environ, **NO_REPORTS},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
