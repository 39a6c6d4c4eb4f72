"""Margins that explanations add up to against those of the trained models, and what explanations cost.

`python -m benchmarks.explain`. In: models/champion, models/training_runs and the validation rows; every family is
explained as if it were the champion, against the same golden records.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.common import finish, measure, print_table, run_task
from ontime.common import paths
from ontime.common.environment import PINNED
from ontime.tasks.names import PROBABILITY

GREATEST_DIFFERENCE = 1e-6
FAMILIES = ("gradient_boosting", "random_forest", "logistic_regression", "neural_network")
OF_TREES = FAMILIES[:2]
ROWS = "rows.npz"


def prepare(family: str, rows: int, folder: str) -> None:
    """Write a family's graph and trees, validation rows, and their margins by the trained model.

    Margins are log-odds, and of a forest probabilities.
    """
    import numpy as np

    from ontime.model_deployment.export.onnx_graph import to_onnx
    from ontime.model_deployment.export.tree_nodes import tree_nodes
    from ontime.model_deployment.inference.manifest import MODEL
    from ontime.model_deployment.inference.trees import SCALES, TREES
    from ontime.model_training.families import load_model
    from ontime.model_training.rows import load_encoder, load_rows

    encoder, model = load_encoder(), load_model(family, paths.training_run(family) / "model")
    matrix = load_rows("validation", encoder)[0]
    matrix = matrix[np.linspace(0, len(matrix) - 1, rows).astype(int)]
    content = to_onnx(family, model, len(encoder.features), PROBABILITY)
    (Path(folder) / MODEL).write_bytes(content)
    if family in SCALES:
        np.save(Path(folder) / TREES, tree_nodes(content, SCALES[family]))
    if hasattr(model.model, "decision_function"):
        margin = model.model.decision_function(matrix)
    else:
        margin = model.predict(matrix)
        margin = margin if SCALES.get(family) == "probability" else np.log(margin) - np.log1p(-margin)
    np.savez(Path(folder) / ROWS, matrix=matrix, margin=margin)


def explain(family: str, rows: int, folder: str) -> dict[str, Any]:
    """Explain the rows, one request each, in a process that has loaded nothing else than a service."""
    import dataclasses

    import numpy as np

    from ontime.model_deployment.inference.champion import load_champion, open_session
    from ontime.model_deployment.inference.explanation import Explainer
    from ontime.model_deployment.inference.manifest import MODEL
    from ontime.model_deployment.inference.trees import SCALES, read_trees

    champion, scale, found = load_champion(paths.CHAMPION), SCALES.get(family), dict[str, Any]()
    data = np.load(Path(folder) / ROWS)
    matrix = data["matrix"]
    with noted(found, "start"):
        trees = read_trees(Path(folder), matrix.shape[1], scale) if scale else None
        if trees:
            trees.predict(champion.background)
    # trees are explained without a session, and what ONNX Runtime frees when it opens one would hide their memory
    session = champion.session if trees else open_session(Path(folder) / MODEL, threads=1)
    manifest = champion.manifest.model_copy(update={"model": family})
    explainer = Explainer(dataclasses.replace(champion, manifest=manifest, session=session, trees=trees))
    with noted(found, "first"):
        explainer.explain(matrix[:1])
    with noted(found, "others"):
        explained = [explainer.explain(matrix[row : row + 1]) for row in range(rows)]
    totals = np.array([float(one.base_value[0] + one.contributions[0].sum()) for one in explained])
    return {
        **found,
        "difference": float(np.abs(totals - data["margin"]).max()),
        "exact": sum(bool(one.exact[0]) for one in explained) / rows,
    }


@contextmanager
def noted(found: dict[str, Any], name: str) -> Iterator[None]:
    """Add the milliseconds of the block, and the MiB by which the process is larger after it."""
    before, started = resident_mib(), time.perf_counter()
    yield
    found[f"{name}_milliseconds"] = (time.perf_counter() - started) * 1000
    found[f"{name}_mib"] = resident_mib() - before


def resident_mib() -> float:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    """Print a table and the verdict."""
    parser = argparse.ArgumentParser(description="explanations against the trained models' margins")
    parser.add_argument("--rows", type=int, default=1000, help="validation rows to explain")
    rows = parser.parse_args().rows
    table, differences = [], {}
    for family in FAMILIES:
        with tempfile.TemporaryDirectory(prefix="ontime-explain-") as folder:
            _, found = (
                measure("benchmarks.explain", task, family, rows, folder, env={**PINNED, "OMP_NUM_THREADS": "1"}).result
                for task in TASKS
            )
        differences[family] = found["difference"]
        table.append(
            [
                family,
                f"{found['exact']:.0%}",
                f"{found['difference']:.1e}",
                *(f"{found[f'{name}_milliseconds']:.0f}" for name in ("start", "first")),
                f"{found['others_milliseconds'] / rows:.1f}",
                *(f"{found[f'{name}_mib']:.1f}" for name in ("start", "first", "others")),
            ]
        )
    header = ["", "exact", "difference", "start ms", "first ms", "ms/row", "start MiB", "first MiB", "others MiB"]
    print_table(header, table)
    greatest = max(differences[family] for family in OF_TREES)
    finish(
        figure={"greatest_difference_of_trees": greatest},
        goal={"greatest_difference_of_trees": GREATEST_DIFFERENCE},
        ok=greatest <= GREATEST_DIFFERENCE,
    )


TASKS = {"prepare": prepare, "explain": explain}
"""In their order."""


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in TASKS:
        run_task(TASKS, sys.argv[1:])
    else:
        main()
