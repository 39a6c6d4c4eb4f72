"""The champion as people keep it: a scikit-learn pipeline from a DataFrame of records to probabilities, in joblib.

The encoding gives the codes that the champion was trained on, so its golden probabilities are this pipeline's too.
Columns must be complete; the benchmark asks for no others.
"""

import json
import os
from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

PIPELINE = Path(os.environ["WORK"]) / "pipeline.joblib"


def champion_pipeline() -> Pipeline:
    """Encoding and the trained estimator in one; fitted on the golden records, whose columns it learns."""
    champion = Path(os.environ["CHAMPION"])
    vocabulary = json.loads((champion / "vocabulary.json").read_bytes())
    # codes 0 and 1 are an unknown and a missing value
    known = [["unknown value", "missing value", *values] for values in vocabulary["categories"].values()]
    encoder = OrdinalEncoder(categories=known, handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer(
        [
            ("numbers", "passthrough", vocabulary["numbers"]),
            ("categories", encoder, list(vocabulary["categories"])),
        ]
    )
    records = pd.DataFrame(json.loads((champion / "golden.json").read_bytes())["records"])
    columns.fit(records)
    return Pipeline([("columns", columns), ("classifier", joblib.load(os.environ["TRAINED"]))])


if __name__ == "__main__":
    joblib.dump(champion_pipeline(), PIPELINE)
