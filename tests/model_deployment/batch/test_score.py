"""Batch scoring: the service's probabilities behind the input's columns, one whole file per partition or none."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ontime.common.environment import PINNED
from ontime.common.errors import OntimeError
from ontime.common.files import read_json, sha256, write_json
from ontime.encoder import Encoder
from ontime.model_deployment.batch import score as score_module
from ontime.model_deployment.batch.columns import encode
from ontime.model_deployment.batch.score import PartitionResult, command, exclusive_lock, score
from ontime.model_deployment.export.onnx_graph import onnx_outputs
from ontime.model_deployment.inference.signing import make_key

PROGRAM = "import sys; from ontime.model_deployment.batch.score import command; command.main(sys.argv[1:])"
SPARK_PROGRAM = """
import sys
from pathlib import Path
from ontime.model_deployment.batch.score import score

source, target, model = map(Path, sys.argv[1:])
score(source, target, model, "1.2.3", backend="spark")
"""


@pytest.fixture(scope="module")
def model(signed: Path) -> Path:
    return signed / "model"


@pytest.fixture(scope="module")
def table(fork: Path) -> pa.Table:
    """The feature table of the small fork."""
    return pq.read_table(fork / "data" / "processed" / "features" / "table.parquet")


@pytest.fixture
def source(tmp_path: Path, table: pa.Table) -> Path:
    """The table in three partitions."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, start in enumerate((0, 200, 450), start=1):
        pq.write_table(table.slice(start, (200, 250, 150)[number - 1]), folder / f"2024-0{number}.parquet")
    return folder


def expected(model: Path, table: pa.Table) -> Any:
    """Probabilities by the encoder and ONNX Runtime as the export checks them."""
    encoder = Encoder.from_vocabulary(read_json(model / "vocabulary.json"))
    frame = table.to_pandas()
    matrix = encoder.transform({name: frame[name].to_numpy() for name in encoder.features})
    return onnx_outputs((model / "model.onnx").read_bytes(), matrix)


def assert_same_probabilities(scored: pa.Table, wanted: Any) -> None:
    # matrices of other heights are multiplied by other kernels
    np.testing.assert_allclose(scored["probability"].to_numpy(), wanted, rtol=0, atol=1e-6)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in folder.iterdir()}


def ontime_score(*arguments: object) -> None:
    command.main([str(argument) for argument in arguments], standalone_mode=False)


def test_each_row_keeps_its_columns_and_gets_what_the_service_would_answer(
    source: Path, tmp_path: Path, model: Path, table: pa.Table
) -> None:
    done = score(source, tmp_path / "out", model, "1.2.3", backend="sequential")
    assert done == [PartitionResult(200, 0, True), PartitionResult(250, 0, True), PartitionResult(150, 0, True)]
    assert sorted(hashes(tmp_path / "out")) == sorted(hashes(source))
    scored = pa.concat_tables([pq.read_table(path) for path in sorted((tmp_path / "out").iterdir())])
    assert scored.select(table.column_names).replace_schema_metadata(None).equals(table.replace_schema_metadata(None))
    assert scored.column_names == [*table.column_names, "probability", "decision", "model_version"]
    assert [str(scored[name].type) for name in scored.column_names[-3:]] == ["float", "bool", "string"]
    assert_same_probabilities(scored, expected(model, table))
    threshold = read_json(model / "manifest.json")["threshold"]
    assert scored["decision"].to_pylist() == [value >= threshold for value in scored["probability"].to_pylist()]
    assert scored["model_version"].unique().to_pylist() == ["1.2.3"]


def test_processes_write_the_same_bytes_as_one(
    source: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.chdir(tmp_path)
    score(Path(source.name), Path("one"), model, backend="sequential")
    score(Path(source.name), Path("two"), model, backend="loky")
    assert hashes(tmp_path / "two") == hashes(tmp_path / "one")


def test_tasks_are_given_absolute_paths(
    source: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def note(_: Any, tasks: list[Any], backend: str, files: Any) -> list[PartitionResult]:
        seen.extend([*tasks, [path for task in tasks for kind in files(*task) for path in kind], backend])
        return []

    monkeypatch.setattr(score_module, "run_tasks", note)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(model)
    score(Path("in"), Path("out"), Path("model"), backend="spark")
    *tasks, files, backend = seen
    assert backend == "spark"
    arguments = [value for task in tasks for value in task if isinstance(value, Path)]
    assert len(arguments) == 3 * len(tasks)
    assert [path for path in (*arguments, *files) if not path.is_absolute()] == []
    assert [target.name for _, target, *_ in tasks] == sorted(hashes(source))


@pytest.mark.parametrize("group_rows", [37, 300])
def test_row_groups_stay_as_they_are(tmp_path: Path, model: Path, table: pa.Table, group_rows: int) -> None:
    pq.write_table(table.slice(0, 300), tmp_path / "one.parquet", row_group_size=group_rows)
    score(tmp_path / "one.parquet", tmp_path / "out.parquet", model, backend="sequential")
    rows = [
        [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        for metadata in map(pq.read_metadata, (tmp_path / "one.parquet", tmp_path / "out.parquet"))
    ]
    assert rows[0] == rows[1]
    assert max(rows[0]) == group_rows


def test_the_probability_has_statistics_that_readers_filter_by(source: Path, tmp_path: Path, model: Path) -> None:
    score(source / "2024-01.parquet", tmp_path / "out.parquet", model, backend="sequential")
    scored = pq.read_table(tmp_path / "out.parquet")["probability"].to_numpy()
    group = pq.read_metadata(tmp_path / "out.parquet").row_group(0)
    (column,) = [one for one in map(group.column, range(group.num_columns)) if one.path_in_schema == "probability"]
    assert (column.statistics.min, column.statistics.max) == (scored.min(), scored.max())


def test_a_file_is_scored_to_a_file(source: Path, tmp_path: Path, model: Path) -> None:
    one = source / "2024-01.parquet"
    score(one, tmp_path / "new" / "scores.parquet", model, backend="sequential")
    score(source, tmp_path / "out", model, backend="sequential")
    assert sha256(tmp_path / "new" / "scores.parquet") == sha256(tmp_path / "out" / one.name)


@pytest.mark.parametrize("rows", [0, 1, 7, 199])
def test_batches_of_any_size_give_the_same_rows(
    tmp_path: Path, model: Path, table: pa.Table, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    if rows:
        monkeypatch.setattr(score_module, "BATCH_ROWS", rows)
    one = tmp_path / "groups.parquet"
    part = table.slice(0, 300) if rows else table.slice(0, 0)
    pq.write_table(part, one, row_group_size=37)
    score(one, tmp_path / "out.parquet", model, backend="sequential")
    scored = pq.read_table(tmp_path / "out.parquet")
    assert scored.num_rows == part.num_rows
    assert_same_probabilities(scored, expected(model, part))


def test_no_batch_is_larger_than_its_bound(
    tmp_path: Path, model: Path, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "BATCH_ROWS", 50)
    sizes: list[int] = []

    def note(part: pa.RecordBatch, encoder: Encoder) -> Any:
        sizes.append(part.num_rows)
        return encode(part, encoder)

    monkeypatch.setattr(score_module, "encode", note)
    pq.write_table(table, tmp_path / "one.parquet", row_group_size=120)
    score(tmp_path / "one.parquet", tmp_path / "out.parquet", model, backend="sequential")
    assert sum(sizes) == table.num_rows
    assert max(sizes) <= 50


@pytest.mark.parametrize(
    ("depot", "weight"),
    [
        (pa.large_string(), pa.float64()),
        (pa.string_view(), pa.float32()),
        (pa.dictionary(pa.int8(), pa.string()), pa.float64()),
        (pa.dictionary(pa.int32(), pa.large_string()), pa.float64()),
    ],
    ids=str,
)
def test_a_file_whose_columns_have_other_types_gets_the_same_probabilities(
    tmp_path: Path, model: Path, table: pa.Table, depot: pa.DataType, weight: pa.DataType
) -> None:
    other = change(table, "depot", table["depot"].cast(depot).combine_chunks())
    other = change(other, "weight", table["weight"].cast(weight).combine_chunks())
    other = other.append_column("note", pa.array([{"of": [row]} for row in range(table.num_rows)]))
    pq.write_table(other, tmp_path / "one.parquet")
    score(tmp_path / "one.parquet", tmp_path / "out.parquet", model, backend="sequential")
    scored = pq.read_table(tmp_path / "out.parquet")
    assert_same_probabilities(scored, expected(model, table))
    assert scored["depot"].cast(pa.string()).to_pylist() == table["depot"].to_pylist()
    assert scored["note"].to_pylist() == other["note"].to_pylist()


def test_a_column_without_any_value_is_all_missing(tmp_path: Path, model: Path, table: pa.Table) -> None:
    nothing = pa.nulls(table.num_rows)
    empty = change(change(table, "depot", nothing), "weight", nothing)
    pq.write_table(empty, tmp_path / "one.parquet")
    score(tmp_path / "one.parquet", tmp_path / "out.parquet", model, backend="sequential")
    missing = change(change(table, "depot", nothing.cast(pa.string())), "weight", nothing.cast(pa.float32()))
    assert_same_probabilities(pq.read_table(tmp_path / "out.parquet"), expected(model, missing))


def test_the_metadata_records_the_input_and_the_model(source: Path, tmp_path: Path, model: Path) -> None:
    score(source, tmp_path / "out", model, "1.2.3", backend="sequential")
    metadata = pq.read_metadata(tmp_path / "out" / "2024-02.parquet").metadata
    assert metadata == {
        b"ontime.input_sha256": sha256(source / "2024-02.parquet").encode(),
        b"ontime.manifest_sha256": sha256(model / "manifest.json").encode(),
        b"ontime.missing": b"refuse",
        b"ontime.model_sha256": sha256(model / "model.onnx").encode(),
        b"ontime.model_version": b"1.2.3",
    }


def test_what_a_macs_archive_left_beside_the_rows_is_no_partition(
    source: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "._2024-01.parquet").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ")
    ontime_score(source, tmp_path / "out", "--model", model, "--backend", "sequential")
    assert capsys.readouterr().out == f"scored 600 rows in 3 of 3 partitions: {tmp_path / 'out'}\n"
    assert not (tmp_path / "out" / "._2024-01.parquet").exists()


def test_what_is_scored_already_is_left_as_it_is(
    source: Path, tmp_path: Path, model: Path, table: pa.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    ontime_score(source, tmp_path / "out", "--model", model, "--backend", "sequential")
    before = {path: path.stat() for path in (tmp_path / "out").iterdir()}
    pq.write_table(table.slice(10, 20), source / "2024-02.parquet")
    ontime_score(source, tmp_path / "out", "--model", model, "--backend", "sequential")
    same = [path.name for path, status in before.items() if path.stat().st_ino == status.st_ino]
    assert sorted(same) == ["2024-01.parquet", "2024-03.parquet"]
    assert pq.read_metadata(tmp_path / "out" / "2024-02.parquet").num_rows == 20
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"scored 600 rows in 3 of 3 partitions: {tmp_path / 'out'}"
    assert second == f"scored 20 rows in 1 of 3 partitions, 2 were scored already: {tmp_path / 'out'}"


def test_another_model_version_or_rule_scores_again(source: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    assert all(part.written for part in score(source, out, model, "1.0.0", backend="sequential"))
    assert all(part.written for part in score(source, out, model, "1.0.1", backend="sequential"))
    assert all(part.written for part in score(source, out, model, "1.0.1", "null", backend="sequential"))
    other = shutil.copytree(model, tmp_path / "other")
    manifest = read_json(other / "manifest.json")
    write_json(other / "manifest.json", manifest | {"threshold": 0.999})
    assert all(part.written for part in score(source, out, other, "1.0.1", "null", backend="sequential"))
    assert not pq.read_table(out / "2024-01.parquet")["decision"].to_numpy().any()
    assert not any(part.written for part in score(source, out, other, "1.0.1", "null", backend="sequential"))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet file"])
def test_an_output_that_is_no_parquet_file_is_made_again(
    source: Path, tmp_path: Path, model: Path, content: bytes
) -> None:
    score(source, tmp_path / "out", model, backend="sequential")
    wanted = hashes(tmp_path / "out")
    (tmp_path / "out" / "2024-01.parquet").write_bytes(content)
    done = score(source, tmp_path / "out", model, backend="sequential")
    assert [part.written for part in done] == [True, False, False]
    assert hashes(tmp_path / "out") == wanted


def test_a_file_that_a_killed_run_left_half_written_is_made_whole(source: Path, tmp_path: Path, model: Path) -> None:
    score(source, tmp_path / "out", model, backend="sequential")
    wanted = hashes(tmp_path / "out")
    one = tmp_path / "out" / "2024-02.parquet"
    one.with_name(f".{one.name}.partial").write_bytes(one.read_bytes()[:1000])
    one.unlink()
    score(source, tmp_path / "out", model, backend="sequential")
    assert hashes(tmp_path / "out") == wanted


def test_other_files_in_the_output_folder_stay(source: Path, tmp_path: Path, model: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "2023-12.parquet").write_bytes(b"of an earlier run")
    score(source, tmp_path / "out", model, backend="sequential")
    assert (tmp_path / "out" / "2023-12.parquet").read_bytes() == b"of an earlier run"


def test_an_interrupted_partition_leaves_no_file(
    source: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(score_module, "predictions", interrupt)
        with pytest.raises(KeyboardInterrupt):
            score(source, tmp_path / "out", model, backend="sequential")
    assert list((tmp_path / "out").iterdir()) == []
    score(source, tmp_path / "out", model, backend="sequential")
    assert sorted(hashes(tmp_path / "out")) == sorted(hashes(source))


def change(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, [values])


def broken_tables(table: pa.Table) -> dict[str, tuple[pa.Table, str]]:
    """Tables that cannot be scored, and what is said of them."""
    rows = table.num_rows
    weight = table["weight"].to_pylist()
    return {
        "no column": (
            table.drop_columns(["weight", "depot"]),
            "no column weight, depot, which the model needs; raw rows are for `ontime predict`",
        ),
        "text": (change(table, "weight", pa.array(["1"] * rows)), "column weight: expected numbers, found string"),
        "number": (change(table, "depot", pa.array([1] * rows)), "column depot: expected text, found int64"),
        "bytes": (change(table, "depot", pa.array([b"x"] * rows)), "column depot: expected text, found binary"),
        "taken": (table.append_column("decision", pa.nulls(rows)), "column decision exists already; rename it"),
        "twice": (table.append_column("depot", table["depot"]), "column depot occurs 2 times"),
        "infinite": (
            change(table, "weight", pa.array([float("inf"), *weight[1:-1], 1e39], pa.float64())),
            "values that are not finite float32 numbers: weight in 2 rows",
        ),
        "missing": (
            change(table, "service", pa.array([None, None, *table["service"].to_pylist()[2:]], pa.string())),
            "missing values where training had none: service in 2 rows; fill them in, or pass --missing null to leave "
            "these rows without an answer",
        ),
    }


@pytest.mark.parametrize("name", ["no column", "text", "number", "bytes", "taken", "twice", "infinite", "missing"])
def test_a_table_that_does_not_fit_is_refused_in_a_line_and_nothing_is_written(
    tmp_path: Path, model: Path, table: pa.Table, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(score_module, "BATCH_ROWS", 100)
    broken, reason = broken_tables(table)[name]
    pq.write_table(broken, tmp_path / "one.parquet")
    with pytest.raises(OntimeError) as refused:
        score(tmp_path / "one.parquet", tmp_path / "out" / "one.parquet", model, backend="sequential")
    assert str(refused.value) == f"{tmp_path / 'one.parquet'}: {reason}"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_partitions_beside_one_that_does_not_fit_are_scored(
    source: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    (source / "2024-00.parquet").write_bytes(b"no parquet file")
    with pytest.raises(OntimeError, match=r"2024-00\.parquet: not a readable parquet file: [^\n]*[^)]$"):
        score(source, tmp_path / "out", model, backend=backend)
    assert sorted(hashes(tmp_path / "out")) == ["2024-01.parquet", "2024-02.parquet", "2024-03.parquet"]
    (source / "2024-02.parquet").write_bytes(b"")
    with pytest.raises(OntimeError, match=r"2024-00\.parquet: .* \(and 1 more of 4 partitions\)$"):
        score(source, tmp_path / "out", model, backend=backend)


@pytest.mark.parametrize("content", [b"", b"id,weight\n1,2\n", b"PAR1 and no more PAR1"])
def test_a_file_that_is_no_parquet_file_is_named(tmp_path: Path, model: Path, content: bytes) -> None:
    (tmp_path / "one.parquet").write_bytes(content)
    with pytest.raises(OntimeError, match=r"one\.parquet: not a readable parquet file: ") as refused:
        score(tmp_path / "one.parquet", tmp_path / "out.parquet", model, backend="sequential")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out.parquet").exists()


def test_a_file_with_a_damaged_feature_is_named(tmp_path: Path, model: Path, table: pa.Table) -> None:
    path = tmp_path / "one.parquet"
    pq.write_table(table, path)
    chunk = pq.read_metadata(path).row_group(0).column(table.column_names.index("weight"))
    content = bytearray(path.read_bytes())
    content[chunk.dictionary_page_offset : chunk.data_page_offset + 50] = bytes(
        chunk.data_page_offset + 50 - chunk.dictionary_page_offset
    )
    path.write_bytes(content)
    with pytest.raises(OntimeError, match=r"one\.parquet: not a readable parquet file: ") as refused:
        score(path, tmp_path / "out.parquet", model, backend="sequential")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out.parquet").exists()


def test_an_output_that_does_not_fit_the_input_is_refused(source: Path, tmp_path: Path, model: Path) -> None:
    empty, one = tmp_path / "empty", source / "2024-01.parquet"
    empty.mkdir()
    for given, target, reason in [
        (tmp_path / "nothing", tmp_path / "out", r"nothing: not found"),
        (empty, tmp_path / "out", r"empty: no parquet file"),
        (source, source, r"in: INPUT and OUTPUT are the same"),
        (one, one, r"2024-01\.parquet: INPUT and OUTPUT are the same"),
        (source, one, r"2024-01\.parquet: is a file; INPUT is a folder, so OUTPUT must be a folder too"),
        (one, empty, r"empty: is a folder; INPUT is a file, so OUTPUT must be a file too"),
    ]:
        with pytest.raises(OntimeError, match=reason):
            score(given, target, model, backend="sequential")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "in"]


def test_a_model_that_is_not_there_or_not_what_its_manifest_says_is_refused(
    source: Path, tmp_path: Path, model: Path
) -> None:
    with pytest.raises(OntimeError, match=r"nothing/manifest\.json: not found"):
        score(source, tmp_path / "out", tmp_path / "nothing", backend="sequential")
    other = shutil.copytree(model, tmp_path / "other")
    (other / "vocabulary.json").write_text("{}")
    with pytest.raises(OntimeError, match=r"vocabulary\.json: not what manifest\.json says"):
        score(source, tmp_path / "out", other, backend="sequential")
    (other / "vocabulary.json").unlink()
    with pytest.raises(OntimeError, match=r"vocabulary\.json: not what manifest\.json says"):
        score(source, tmp_path / "out", other, backend="sequential")
    assert not (tmp_path / "out").exists()


def test_rows_that_lack_a_required_value_can_be_left_without_a_probability(
    tmp_path: Path, model: Path, table: pa.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    service = [None if row in (0, 7, 599) else value for row, value in enumerate(table["service"].to_pylist())]
    pq.write_table(change(table, "service", pa.array(service, pa.string())), tmp_path / "one.parquet")
    arguments = (tmp_path / "one.parquet", tmp_path / "out.parquet", "--model", model, "--backend", "sequential")
    ontime_score(*arguments, "--missing", "null")
    scored = pq.read_table(tmp_path / "out.parquet")
    for name in ("probability", "decision"):
        assert [row for row, value in enumerate(scored[name].to_pylist()) if value is None] == [0, 7, 599]
    answered = [row for row in range(600) if row not in (0, 7, 599)]
    assert_same_probabilities(scored.take(answered), expected(model, table.take(answered)))
    assert "; 3 rows lack a value and have no answer: " in capsys.readouterr().out


def test_only_a_model_that_the_key_signed_scores(source: Path, tmp_path: Path, signed: Path) -> None:
    arguments = (source, tmp_path / "out", "--model", signed / "model", "--backend", "sequential")
    make_key(tmp_path / "other.key")
    with pytest.raises(OntimeError, match="not signed by"):
        ontime_score(*arguments, "--signature", signed / "model.sig", "--public-key", tmp_path / "other.pub")
    with pytest.raises(click.UsageError, match="belong together"):
        ontime_score(*arguments, "--signature", signed / "model.sig")
    assert not (tmp_path / "out").exists()
    ontime_score(*arguments, "--signature", signed / "model.sig", "--public-key", signed / "model.pub")
    assert sorted(hashes(tmp_path / "out")) == sorted(hashes(source))


def test_the_backend_is_that_of_params_unless_it_is_given(
    source: Path, tmp_path: Path, model: Path, fork: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def note(*_: Any) -> list[PartitionResult]:
        used.append(_[-1])
        return [PartitionResult(1, 0, True)]

    monkeypatch.setattr(score_module, "score", note)
    monkeypatch.chdir(tmp_path)
    ontime_score(source, tmp_path / "out", "--model", model, "--backend", "loky")
    with pytest.raises(OntimeError, match=r"^params\.yaml: not found"):
        ontime_score(source, tmp_path / "out", "--model", model)
    shutil.copyfile(fork / "params.yaml", tmp_path / "params.yaml")
    ontime_score(source, tmp_path / "out", "--model", model)
    assert used == ["loky", "sequential"]


def test_two_runs_do_not_write_to_one_folder(source: Path, tmp_path: Path, model: Path) -> None:
    with (
        exclusive_lock(tmp_path / "out"),
        pytest.raises(OntimeError, match="out: another `ontime score` is writing here"),
    ):
        score(source, tmp_path / "out", model, backend="sequential")
    score(source, tmp_path / "out", model, backend="sequential")
    assert sorted(hashes(tmp_path / "out")) == sorted(hashes(source))


@pytest.mark.integration
@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_a_run_that_is_killed_again_and_again_ends_with_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, model: Path, table: pa.Table, backend: str
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(8):
        pq.write_table(pa.concat_tables([table.slice(number)] * 60), source / f"part-{number}.parquet")
    score(source, tmp_path / "undisturbed", model, backend="sequential")
    wanted = hashes(tmp_path / "undisturbed")
    start = [sys.executable, "-c", PROGRAM, str(source), str(out), "--model", str(model), "--backend", backend]
    environment = {**os.environ, **PINNED, "OMP_NUM_THREADS": "2"}
    for finished in (0, 1, 3, 6):
        process = subprocess.Popen(start, env=environment, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if len(list(out.glob("*.parquet"))) > finished:
                process.kill()
        assert process.wait() == -signal.SIGKILL
        time.sleep(0.1)
        whole = {name: digest for name, digest in hashes(out).items() if name.endswith(".parquet")}
        assert whole.items() <= wanted.items()
    subprocess.run(start, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert hashes(out) == wanted


@pytest.mark.integration
def test_spark_workers_write_the_same_bytes_as_one_process(source: Path, tmp_path: Path, model: Path) -> None:
    pytest.importorskip("pyspark", reason="run `make setup-spark`", exc_type=ImportError)
    if shutil.which("java") is None:
        pytest.skip("no java")
    score(source, tmp_path / "one", model, "1.2.3", backend="sequential")
    loopback = {
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false pyspark-shell",
    }
    child = subprocess.run(
        [sys.executable, "-c", SPARK_PROGRAM, source, tmp_path / "spark", model],
        env={**os.environ, **loopback},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert hashes(tmp_path / "spark") == hashes(tmp_path / "one")
