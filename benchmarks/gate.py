"""How often the gate fails a model that is as good as the champion, and how often one that is worse.

`python -m benchmarks.gate`. In: a workspace whose graph has run. The champion's family is trained again: with other
seeds, which the gate shall pass on resampled rows, and on random halves of the features, which it shall fail.
"""

import argparse
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common import finish, print_table
from ontime.common.environment import pin
from ontime.tasks.binary import Binary

if TYPE_CHECKING:
    import pandas as pd

    from ontime.parameters import Params
    from ontime.pull_request.gate import Comparison

MOST_FALSE_ALARMS = 0.02
SEED = 0


def found_in(both: "pd.DataFrame", thresholds: tuple[float, float], params: "Params") -> "list[Comparison]":
    """What the gate finds on paired rows."""
    from ontime.pull_request.gate import compare_metrics, compare_slices

    found = compare_metrics(both, *thresholds, params.decision, params.gate)
    return found + compare_slices(both, params.evaluate.slices, params.gate)


def alarmed(both: "pd.DataFrame", thresholds: tuple[float, float], params: "Params", seed: int) -> bool:
    """Whether the gate fails on one resample of paired rows."""
    rows = np.random.default_rng(seed).integers(0, len(both), len(both))
    return any(metric.regressed for metric in found_in(both.iloc[rows], thresholds, params))


def main(retrained: int, resamples: int, halves: int) -> None:
    """Print a row for each model that was trained, and the verdict."""
    from ontime.common import paths
    from ontime.common.files import read_json, read_parquet
    from ontime.encoder import Encoder
    from ontime.engine import run_tasks
    from ontime.model_evaluation.metrics import best_threshold
    from ontime.model_training.families import Setting, family, parameters_of
    from ontime.model_training.rows import load_encoder, load_rows
    from ontime.parameters import load_params

    params, encoder = load_params(), load_encoder()
    train, validation = load_rows("train", encoder), load_rows("validation", encoder)
    champion = read_json(paths.SELECTION)["champion"]
    parameters = parameters_of(champion, params.train)
    run = paths.training_run(champion)
    threshold = read_json(run / "metrics" / "validation.json")["threshold"]
    base = read_parquet(run / "predictions" / "validation.parquet").rename(columns={"probability": "base"})
    random = np.random.default_rng(SEED)
    table: list[list[str]] = []

    def against_champion(name: str, columns: list[str], seed: int) -> "tuple[pd.DataFrame, tuple[float, float], bool]":
        """Train on some columns: paired rows, thresholds, and whether the gate fails on them."""
        kept = [place for place, feature in enumerate(encoder.features) if feature in columns]
        part = Encoder(
            tuple(feature for feature in encoder.numbers if feature in columns),
            {feature: values for feature, values in encoder.categories.items() if feature in columns},
        )
        rows, others = ((matrix[:, kept], labels) for matrix, labels in (train, validation))
        model, _ = family(champion).fit(rows, others, Setting(part, parameters, seed, Binary()))
        probability = model.predict(others[0]).astype(np.float32)
        both = base.assign(head=probability)
        thresholds = threshold, best_threshold(others[1], probability.astype(np.float64), params.decision)
        found = found_in(both, thresholds, params)
        worse = [metric.name for metric in found if metric.regressed]
        changes = [f"{metric.head - metric.base:+.4f}" for metric in found[: len(params.gate.metrics)]]
        table.append([name, str(len(kept)), *changes, str(len(worse)), ", ".join(worse[:3])])
        return both, thresholds, bool(worse)

    alarms: list[bool] = []
    for number in range(1, retrained + 1):
        both, thresholds, _ = against_champion(f"seed {number}", list(encoder.features), params.train.seed + number)
        draws = range(number, resamples + 1, retrained)
        alarms += run_tasks(alarmed, [(both, thresholds, params, draw) for draw in draws], "loky")
    caught = []
    for number in range(1, halves + 1):
        columns = list(random.choice(encoder.features, len(encoder.features) // 2, replace=False))
        caught.append(against_champion(f"half {number}", columns, params.train.seed)[2])
    print_table(["trained with", "features", *params.gate.metrics, "regressed", "such as"], table)
    share = sum(alarms) / len(alarms)
    print(
        f"{champion} on {len(base):,} validation rows: as good a model failed {sum(alarms)} of {len(alarms)} times, "
        f"half the features {sum(caught)} of {len(caught)}"
    )
    finish(
        figure={"false_alarms": round(share, 4), "halves_caught": sum(caught), "halves": len(caught)},
        goal={"false_alarms_below": MOST_FALSE_ALARMS, "halves_caught": len(caught)},
        ok=share < MOST_FALSE_ALARMS and all(caught),
    )


if __name__ == "__main__":
    pin()
    parser = argparse.ArgumentParser(description="the gate on models as good and models worse")
    parser.add_argument("--retrained", type=int, default=4, help="models with other seeds")
    parser.add_argument("--resamples", type=int, default=200, help="of the validation rows, over these models")
    parser.add_argument("--halves", type=int, default=8, help="models on half the features")
    given = parser.parse_args()
    main(given.retrained, given.resamples, given.halves)
