"""`ontime init` on real tables, each from a copy of the checkout to a champion, beside four usual models.

`python -m benchmarks.own_tables [TABLE]...`. ROC AUC on test rows (of several classes the mean of each against the
others; of numbers R2) of the model that is served stands beside that of the best of tuned logistic or ridge regression,
scikit-learn's boosting, LightGBM and a random forest, or of a table with texts of a linear model of their TF-IDF, tuned
on the same validation rows and fitted on the same training and validation rows. The best is by the test rows, so chance
is on its side. A table whose question `ontime init` does not answer is left out in one line.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import finish, print_table
from benchmarks.environments import installed
from benchmarks.tables.real import TABLES, RealTable

HERE = Path(__file__).parent / "tables"
LEAST_MEAN, LEAST_EACH = -0.003, -0.01
"""Differences of the score from the best rival's: of the mean, and of each table beyond one standard error."""
RESAMPLES = 200


def score(task: str, target: Any, outputs: Any) -> float:
    """ROC AUC, of several classes the mean of each against the others; of numbers R2."""
    from sklearn.metrics import r2_score, roc_auc_score

    if task == "regression":
        return float(r2_score(target, outputs))
    return float(roc_auc_score(target, outputs, **({} if task == "binary" else {"multi_class": "ovr"})))


def standard_error(task: str, target: Any, one: Any, other: Any) -> float:
    """Of the difference of two models' scores, by resampling the test rows in pairs."""
    random, differences = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = random.integers(0, len(target), len(target))
        # without one of the classes there is no score
        if task != "regression" and len(np.unique(target[drawn])) < len(np.unique(target)):
            continue
        differences.append(score(task, target[drawn], one[drawn]) - score(task, target[drawn], other[drawn]))
    return float(np.std(differences, ddof=1))


def served(checkout: Path) -> tuple[str, Any, Any]:
    """The champion's family, what the model that is served says of the test rows, and their targets."""
    from ontime.common import paths
    from ontime.common.files import read_json
    from ontime.model_training.families import load_model
    from ontime.model_training.rows import load_encoder, load_rows

    with contextlib.chdir(checkout):
        champion = read_json(paths.SELECTION)["champion"]
        matrix, target = load_rows("test", load_encoder())
        return champion, load_model(champion, paths.REFIT / "model").predict(matrix), target


def rivals(checkout: Path, table: RealTable, output: Path) -> dict[str, Any]:
    """What each rival says of the test rows."""
    from ontime.common.files import read_json
    from ontime.common.layout import Layout

    layout = Layout(**read_json(checkout / "data" / "processed" / "feature_layout.json"))
    python = installed("lightgbm", HERE / "requirements-lightgbm.txt") / "bin" / "python"
    columns = json.dumps({name: getattr(layout, name) for name in ("numbers", "categories", "texts", "target")})
    subprocess.run(
        [python, HERE / "rivals" / "tuned.py", checkout / "data" / "processed", columns, table.task, output],
        check=True,
        stdout=subprocess.DEVNULL,
        # small tables: threads that wait for each other take longer than one
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    with np.load(output) as found:
        return dict(found)


def run_table(table: RealTable, folder: Path) -> dict[str, Any] | str:
    """From a copy of the checkout to a champion by `ontime init`; or why it refuses the table."""
    from ontime.verification.graph import copy_checkout

    checkout, source = folder / table.name, folder / f"{table.name}.csv"
    copy_checkout(Path.cwd(), checkout, [], {})
    frame = table.frame()
    frame.to_csv(source, index=False)
    started = time.perf_counter()
    command = ["ontime", "init", "--source", str(source), "--target", table.target, *table.options, "--yes"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode and table.task == "multiclass" and not (checkout / "data" / "processed").exists():
        return done.stderr.strip().splitlines()[-1]
    if done.returncode:
        raise SystemExit(f"{table.name}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    seconds = round(time.perf_counter() - started)
    champion, outputs, target = served(checkout)
    others = rivals(checkout, table, folder / f"{table.name}.npz")
    scores = {name: score(table.task, target, found) for name, found in others.items()}
    best = max(scores, key=lambda name: scores[name])
    own = score(table.task, target, outputs)
    return {
        "task": table.task,
        "rows": len(frame),
        "champion": champion,
        "score": round(own, 4),
        "best": best,
        "rivals": {name: round(value, 4) for name, value in scores.items()},
        "difference": round(own - scores[best], 4),
        "standard_error": round(standard_error(table.task, target, outputs, others[best]), 4),
        "seconds": seconds,
    }


def main() -> None:
    """Run the tables, print the table and the verdict."""
    chosen = [table for table in TABLES if table.name in sys.argv[1:] or not sys.argv[1:]]
    found, rows = {}, []
    for table in chosen:
        with tempfile.TemporaryDirectory() as folder:
            one = run_table(table, Path(folder))
        if isinstance(one, str):
            print(f"{table.name}: left out, since `ontime init` says: {one}", flush=True)
            continue
        found[table.name] = one
        print(f"{table.name}: {json.dumps(one)}", flush=True)
        rows.append(
            [
                *(table.name, table.task, f"{one['rows']:,}", one["champion"], f"{one['score']:.4f}"),
                *(f"{one['rivals'][one['best']]:.4f}", one["best"], f"{one['difference']:+.4f}"),
                *(f"{one['standard_error']:.4f}", str(one["seconds"])),
            ]
        )
    header = ["table", "task", "rows", "champion", "score", "best rival", "which", "difference", "its error", "seconds"]
    print_table(header, rows)
    mean = float(np.mean([one["difference"] for one in found.values()]))
    behind = [name for name, one in found.items() if one["difference"] + one["standard_error"] < LEAST_EACH]
    figure = {"mean_difference": round(mean, 5), "behind": behind, "tables": found}
    finish(figure, {"mean_difference": LEAST_MEAN, "each": LEAST_EACH}, mean >= LEAST_MEAN and not behind)


if __name__ == "__main__":
    main()
