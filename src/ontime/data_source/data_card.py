"""The data card of a table of one's own: what `ontime init` knows, and what a person has to say."""

from pathlib import Path

import pandas as pd

from ontime.common.files import write_text
from ontime.common.layout import Layout
from ontime.datasets.schema import TableSchema
from ontime.tasks.names import TaskName

CARD = Path("data/README.md")
TARGETS: dict[TaskName, str] = {
    "binary": "The event is that",
    "multiclass": "The classes are those of",
    "regression": "The number is",
}


def write_card(
    name: str, source: str, frame: pd.DataFrame, schema: TableSchema, roles: Layout, asked: str, task: TaskName
) -> bool:
    """Write the card of a table, unless the present one is of the same model: a person may have edited it.

    Args:
        name: of the model; source: where the table is from; asked: the event or the number, in plain words.

    Returns:
        Whether it was written.
    """
    title = f"# Data card: {name}"
    if CARD.exists() and CARD.read_text(encoding="utf-8").startswith(f"{title}\n"):
        return False
    write_text(CARD, "\n".join([title, *_body(source, frame, schema, roles, asked, task)]) + "\n")
    return True


def _body(
    source: str, frame: pd.DataFrame, schema: TableSchema, roles: Layout, asked: str, task: TaskName
) -> list[str]:
    role = dict.fromkeys(roles.features, "feature")
    role |= dict.fromkeys(roles.key, "key")
    uses = {roles.time: "time", roles.group: "group of the split", roles.weight: "weight of the row"}
    role |= {name: use for name, use in uses.items() if name}
    return [
        "",
        "Written by `ontime init` from the table, and yours to complete: it stays until the model gets another name.",
        "",
        "## Source and licence",
        "",
        f"{plain_words(source)}, {len(frame):,} rows. Say here where it is from, who may use it, how it was collected.",
        "",
        "## Purpose and personal data",
        "",
        "Say here what the predictions are for, the categories of persons and data, and the legal basis; mark columns",
        "with personal data in `data/schema/` (`docs/privacy.md` has the register of processing).",
        "",
        "## Columns",
        "",
        "| column | type | missing | used as |",
        "|---|---|---|---|",
        *(
            f"| {plain_words(column.name)} | {'text' if column.text else column.type} "
            f"| {int(frame[column.name].isna().sum()):,} | {role.get(column.name, 'not used')} |"
            for column in schema.fields
            if column.name in frame
        ),
        "",
        "The rules for the table are in `data/schema/`; `ontime validate` checks them and stops the graph if one is",
        "broken. `data/features.yaml` has the titles and units of the features for people.",
        "",
        "## Prediction target",
        "",
        f"{TARGETS[task]} {asked}. Rows without a target are not trained on. Say here when it is asked for, and",
        "check that every feature is known by then.",
    ]


def plain_words(text: str) -> str:
    """A text that ends no sentence's part, no cell of a table, and is no code."""
    return " ".join(text.replace("`", "'").replace(";", ",").replace("|", "\\|").split())
