"""ROC AUC of the four model families on the task of the tidymodels article "Preprocess your data with recipes".

In: data/raw. The article (https://www.tidymodels.org/start/recipes/) asks whether a flight that has landed was 30 or
more minutes late, from its predictors alone, and publishes 0.764 for a logistic regression on a random split.
"""

import sys
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import finish, measure, print_table, run_task
from ontime.common import paths
from ontime.common.environment import PINNED
from ontime.common.files import read_parquet
from ontime.common.layout import TARGET, Layout
from ontime.data_processing.split import vocabulary_of
from ontime.encoder import Encoder
from ontime.model_training.families import FAMILIES, Setting, family, parameters_of
from ontime.parameters import load_params
from ontime.tasks.binary import Binary

PUBLISHED_ROC_AUC = 0.764
LEAST_ROC_AUC = 0.82
LATE_MINUTES = 30
SEED = 222
TRAINING_FRACTION = 0.75
VALIDATION_FRACTION = 0.1
"""Of the training rows: those that decide when to stop."""
ROWS, LATE_ROWS = 325_819, 52_540
"""As the article prints them."""
OTHER_DAY = "none"
HOLIDAYS = {
    "2013-01-01": "USNewYearsDay",
    "2013-01-20": "USInaugurationDay",
    "2013-01-21": "USMLKingsBirthday",
    "2013-02-12": "USLincolnsBirthday",
    "2013-02-18": "USPresidentsDay",
    "2013-02-22": "USWashingtonsBirthday",
    "2013-03-04": "USCPulaskisBirthday",
    "2013-03-29": "USGoodFriday",
    "2013-05-27": "USMemorialDay",
    "2013-05-30": "USDecorationMemorialDay",
    "2013-06-19": "USJuneteenthNationalIndependenceDay",
    "2013-07-04": "USIndependenceDay",
    "2013-09-02": "USLaborDay",
    "2013-10-14": "USColumbusDay",
    "2013-11-05": "USElectionDay",
    "2013-11-11": "USVeteransDay",
    "2013-11-28": "USThanksgivingDay",
    "2013-12-25": "USChristmasDay",
}
"""The 18 of timeDate::listHolidays("US") in 2013; no two fall on one day, so one category holds them."""
LAYOUT = Layout(
    key=["flight", "time_hour"],
    time=None,
    numbers=["dep_time", "air_time", "distance"],
    categories=["origin", "dest", "carrier", "date_dow", "date_month", "date_holiday"],
)
"""The article's roles: `flight` and `time_hour` identify a row and are no predictors."""


def article_rows() -> pd.DataFrame:
    """The article's `flight_data`: flights at hours with a weather record, rows with a missing value left out."""
    flights = read_parquet(paths.RAW / "flights")
    weather = read_parquet(paths.RAW / "weather", columns=["origin", "time_hour"])
    rows = flights.merge(weather, on=["origin", "time_hour"]).dropna(
        subset=["dep_time", "flight", "origin", "dest", "air_time", "distance", "carrier", "arr_delay", "time_hour"]
    )
    date = rows["time_hour"].dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d")
    day = pd.to_datetime(date)
    rows = rows.assign(
        date_dow=day.dt.day_name(),
        date_month=day.dt.month_name(),
        date_holiday=date.map(HOLIDAYS).fillna(OTHER_DAY),
        target=(rows["arr_delay"] >= LATE_MINUTES).astype("int8"),
    )
    return rows[LAYOUT.columns].reset_index(drop=True)


def split(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Three quarters at random to train on, a part of them held out as validation rows, and the rest as test rows."""
    order = np.random.default_rng(SEED).permutation(len(rows))
    training = int(len(rows) * TRAINING_FRACTION)
    validation = int(training * VALIDATION_FRACTION)
    parts = {"validation": order[:validation], "train": order[validation:training], "test": order[training:]}
    return {name: rows.iloc[np.sort(places)] for name, places in parts.items()}


def fit_and_score(name: str) -> dict[str, Any]:
    """Fit one family with its parameters of params.yaml; its ROC AUC on the test rows, and the rows of each part."""
    from sklearn.metrics import roc_auc_score

    params = load_params()
    rows = article_rows()
    if (len(rows), int(rows[TARGET].sum())) != (ROWS, LATE_ROWS):
        sys.exit(f"{len(rows)} rows, {rows[TARGET].sum()} late; the article has {ROWS} and {LATE_ROWS}")
    parts = split(rows)
    encoder = Encoder.from_vocabulary(
        vocabulary_of(parts["train"], rows, LAYOUT, params.split.min_category_rows, Binary())
    )
    data = {
        part: (
            encoder.transform({column: held[column].to_numpy() for column in encoder.features}),
            held[TARGET].to_numpy(),
        )
        for part, held in parts.items()
    }
    setting = Setting(encoder, parameters_of(name, params.train), params.train.seed, Binary())
    model, _ = family(name).fit(data["train"], data["validation"], setting)
    probability = model.predict(data["test"][0])
    return {
        "roc_auc": float(roc_auc_score(data["test"][1], probability)),
        "rows": {name: len(part) for name, part in parts.items()},
    }


TASKS = {task.__name__: task for task in (fit_and_score,)}


def main() -> None:
    """Fit each family in its own process, print the table and the verdict."""
    if not (paths.RAW / "flights").is_dir():
        sys.exit(f"{paths.RAW}: no flights; run `dvc repro` first")
    measured = {
        name: measure("benchmarks.tidymodels_recipe", "fit_and_score", name, env=PINNED) for name in FAMILIES["binary"]
    }
    roc_auc = {name: done.result["roc_auc"] for name, done in measured.items()}
    rows = measured[next(iter(FAMILIES["binary"]))].result["rows"]
    print(", ".join(f"{name} rows: {count:,}" for name, count in rows.items()))
    table = [["tidymodels article, logistic regression", f"{PUBLISHED_ROC_AUC:.3f}", "published", ""]]
    for name, done in measured.items():
        table.append([name, f"{roc_auc[name]:.4f}", f"{done.seconds:.1f}", f"{done.peak_mib:,.0f}"])
    print_table(["", "test ROC AUC", "seconds", "peak MiB"], table)
    best = max(roc_auc, key=lambda name: roc_auc[name])
    finish(
        figure={"best": best, "roc_auc": round(roc_auc[best], 4), "published_roc_auc": PUBLISHED_ROC_AUC},
        goal={"roc_auc": LEAST_ROC_AUC},
        ok=roc_auc[best] >= LEAST_ROC_AUC,
    )


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in TASKS:
        run_task(TASKS, sys.argv[1:])
    else:
        main()
