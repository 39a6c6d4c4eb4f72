"""The data card that `ontime init` writes, once for a model."""

from pathlib import Path

import pandas as pd

from tests.commands import run_command

CARD = Path("data/README.md")


def init(name: str) -> str:
    """Configure the graph for the parcels, and return the card."""
    columns = ["--target", "late", "--time", "sent", "--key", "parcel", "--exclude", "service"]
    run_command("init", "--source", "parcels.csv", "--name", name, *columns, "--no-run")
    return CARD.read_text(encoding="utf-8")


def test_the_card_says_what_is_known_of_the_table(graph: Path, parcels: pd.DataFrame) -> None:
    CARD.write_text("# Data card: something else\n")
    parcels.to_csv(graph / "parcels.csv", index=False)
    text = init("parcels")
    assert text.startswith("# Data card: parcels\n")
    assert "parcels.csv, 600 rows" in text
    missing = int(parcels["weight"].isna().sum())
    assert f"| weight | number | {missing} | feature |" in text
    assert "| parcel | integer | 0 | key |" in text
    assert "| service | string | 0 | not used |" in text
    assert "The event is that late is yes" in text


def test_what_a_person_wrote_there_stays_until_the_model_is_another(graph: Path, parcels: pd.DataFrame) -> None:
    parcels.to_csv(graph / "parcels.csv", index=False)
    init("parcels")
    CARD.write_text(CARD.read_text(encoding="utf-8") + "\nFrom the depot's scales.\n", encoding="utf-8")
    assert "the depot's scales" in init("parcels")
    assert "the depot's scales" not in init("letters")


def test_names_of_columns_are_no_markup(graph: Path, parcels: pd.DataFrame) -> None:
    parcels.rename(columns={"weight": "a|b", "depot": "`x/y`"}).to_csv(graph / "parcels.csv", index=False)
    text = init("parcels")
    assert "| a\\|b | number |" in text
    assert "| 'x/y' | string |" in text


def test_the_column_of_the_groups_is_said_to_divide_the_rows(graph: Path, parcels: pd.DataFrame) -> None:
    parcels.assign(route=parcels["parcel"] % 60).to_csv(graph / "parcels.csv", index=False)
    run_command("init", "--source", "parcels.csv", "--target", "late", "--group", "route", "--no-run")
    assert "| route | integer | 0 | group of the split |" in CARD.read_text(encoding="utf-8")
