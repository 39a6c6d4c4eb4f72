"""Somebody leaves a fork's table on real servers, S3 and a registry, and a planted copy is found."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from ontime.common.files import read_json
from ontime.repository import s3
from ontime.repository.remote import REMOTE
from tests.checkouts import commit, copy_checkout, git, reproduce, run
from tests.commands import make_small
from tests.live import PARAMS
from tests.releases import push_image, registry_server
from tests.remote import Bucket
from tests.s3_server import served

# not as one word here, because the fork's history has this file
PERSON = "-".join(["ada", "9022"])
OTHERS = [f"person-{number:03d}" for number in range(60)]
SOURCE = "data/external/visits.csv"
LOG = f"s3://{s3.BUCKET}/log"

pytestmark = [pytest.mark.integration, pytest.mark.skipif(not shutil.which("docker-registry"), reason="no registry")]


@dataclass(frozen=True)
class Fork:
    """A checkout with persons, its bucket and its registry."""

    checkout: Path
    bucket: Bucket
    image: str
    variables: dict[str, str]

    def ontime(self, *arguments: str, check: bool = True) -> Any:
        """Run a command there."""
        return run("ontime", *arguments, cwd=self.checkout, check=check, **self.variables)

    def dvc(self, *arguments: str) -> None:
        """Run DVC there."""
        run("dvc", *arguments, cwd=self.checkout, check=True, **self.variables)

    def set(self, section: str, **values: Any) -> None:
        """Set parameters."""
        yaml, path = YAML(), self.checkout / "params.yaml"
        content = yaml.load(path)
        content[section] |= values
        yaml.dump(content, path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """An S3 server."""
    with served(tmp_path_factory.mktemp("s3")) as state:
        yield state


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry."""
    with registry_server(tmp_path_factory.mktemp("registry")) as host:
        yield host


def visits() -> pd.DataFrame:
    """Visits of persons; one person has five."""
    random = np.random.default_rng(5)
    person = random.choice(OTHERS, 400)
    person[[3, 90, 170, 260, 399]] = PERSON
    frame = pd.DataFrame({"visit": np.arange(1000, 1400), "person": person})
    frame["born"] = [f"19{50 + hash_of(name) % 40}-01-01" for name in frame["person"]]
    frame["waited"], frame["ward"] = random.gamma(2, 10, 400).round(1), random.choice(["a", "b"], 400)
    odds = 5 * (frame["waited"] / 20 - 0.9) + 0.5 * (frame["ward"] == "a")
    return frame.assign(again=np.where(random.random(400) < 1 / (1 + np.exp(-odds)), "yes", "no"))


def hash_of(name: str) -> int:
    """A number that follows from a name."""
    return sum(name.encode())


def log_lines(frame: pd.DataFrame) -> str:
    """What the service logs of each visit."""
    lines = [
        {
            "time": f"2024-01-01T10:00:00.{number:03d}+00:00",
            "event": "prediction",
            "request_id": f"{number:032x}",
            "row": 0,
            "model": "visits",
            "model_version": "1.0.0",
            "probability": 0.5,
            "decision": True,
            "features": {"waited": waited},
            "key": str(visit),
        }
        for number, (visit, waited) in enumerate(zip(frame["visit"], frame["waited"], strict=True))
    ]
    return "".join(f"{json.dumps(line)}\n" for line in lines)


@pytest.fixture(scope="module")
def fork(server: dict[str, Any], registry: str, tmp_path_factory: pytest.TempPathFactory) -> Fork:
    """The fork with a model of all persons, everything pushed, logged and published."""
    checkout = copy_checkout(tmp_path_factory.mktemp("fork"))
    bucket, image = Bucket(server), f"{registry}/team/visits"
    endpoint = f"http://127.0.0.1:{server['port']}"
    keys = {name: str(server[name]) for name in ("access_key_id", "secret_access_key")}
    variables = {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    variables |= {f"AWS_{name.upper()}": value for name, value in keys.items()}
    made = Fork(checkout, bucket, image, {**variables, "OMP_NUM_THREADS": "1"})
    for option, value in {
        "url": f"s3://{s3.BUCKET}/dvc",
        "endpointurl": endpoint,
        "region": "us-east-1",
        **keys,
    }.items():
        run("dvc", "remote", "modify", "--local", REMOTE, option, value, cwd=checkout)
    frame = visits()
    (checkout / SOURCE).parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(checkout / SOURCE, index=False)
    run("dvc", "add", "--quiet", SOURCE, cwd=checkout)
    (checkout / "dvc.lock").unlink()
    roles = ["--target", "again", "--positive", "yes", "--key", "visit", "--personal", "person", "--personal", "born"]
    made.ontime("init", "--source", SOURCE, *roles, "--no-run")
    make_small(checkout / "params.yaml")
    made.set(
        "privacy",
        subject="person",
        log=LOG,
        monitoring="monitoring",
        labels="labels.csv",
        images=[image],
        # the log's day is of the past
        keep_log_days=36500,
    )
    reproduce(checkout, **made.variables)
    ignored = checkout / ".gitignore"
    ignored.write_text(f"{ignored.read_text()}/labels.csv\n/lines\n")
    commit(checkout, "persons")
    made.dvc("push", "--quiet")
    made.ontime("sign", "--new-key")
    (checkout / "lines").write_text(log_lines(frame))
    made.ontime("log", "compact", "lines", LOG)
    (checkout / "lines").unlink()
    labels = pd.DataFrame({"key": frame["visit"], "target": (frame["again"] == "yes").astype(int)})
    labels.to_csv(checkout / "labels.csv", index=False)
    kept_labels(checkout / "monitoring/labels/days/2024-01-01.parquet", labels)
    push_image(registry, "team/visits", {"models/champion/notes.csv": frame.to_csv(index=False).encode()}, {})
    return made


def kept_labels(path: Path, labels: pd.DataFrame) -> None:
    """What monitoring keeps of a day's labels."""
    from ontime.monitoring.label_join import typed, write_used

    path.parent.mkdir(parents=True)
    used = labels.assign(key=labels["key"].astype(str), known_at=None, contradicted=False, late=False)
    write_used(path, typed(used, pd.Int8Dtype()))


def test_personal_columns_are_in_no_feature_golden_record_or_report(fork: Fork) -> None:
    processed, champion = fork.checkout / "data/processed", fork.checkout / "models/champion"
    for path in [*processed.glob("*.parquet"), *fork.checkout.glob("models/training_runs/*/predictions/*.parquet")]:
        assert not {"person", "born"} & set(pd.read_parquet(path).columns)
    report = read_json(processed / "validation.json")["table"]["columns"]
    assert report["born"] == report["person"] == {"missing": 0}
    for path in [*processed.rglob("*.json"), *champion.rglob("*")]:
        assert path.is_dir() or not any(name.encode() in path.read_bytes() for name in (PERSON, *OTHERS))
    assert "## Privacy (GDPR, CCPA)" in (champion / "MODEL_CARD.md").read_text()


def test_somebody_is_shown_forgotten_removed_and_proved_to_be_gone(fork: Fork) -> None:
    checkout = fork.checkout
    # before
    shown = json.loads(fork.ontime("subject", PERSON).stdout)
    counts = {place: sum(map(len, files.values())) for place, files in shown.items()}
    assert counts == {"data source": 5, "prediction log": 5, "labels": 5, "monitoring": 5}
    before = fork.ontime("forget", "--check", PERSON, check=False)
    assert before.returncode == 1
    for place in ("checkout", "DVC cache", "DVC remote", "prediction log", "registry"):
        assert f"found: {place}: " in before.stdout
    assert "found: git history" not in before.stdout
    models = {path: path.read_bytes() for path in checkout.glob("models/champion/model.onnx")}
    source = (checkout / SOURCE).read_bytes()
    # nothing is held of somebody else, and nothing changes
    assert json.loads(fork.ontime("subject", "ada-90").stdout) == {}
    assert "nothing about them was found" in fork.ontime("forget", "ada-90", "--no-run").stdout
    assert (checkout / SOURCE).read_bytes() == source
    # forgotten
    told = fork.ontime("forget", PERSON).stdout
    for place in counts:
        assert f"{place}: 5 rows removed\n" in told
    expected = b"".join(line for line in source.splitlines(True) if PERSON.encode() not in line)
    assert (checkout / SOURCE).read_bytes() == expected
    assert json.loads(fork.ontime("subject", PERSON).stdout) == {}
    assert models != {path: path.read_bytes() for path in models}
    (record,) = checkout.glob("data/forgotten/*/record.json")
    assert PERSON not in record.read_text()
    assert not any(f'"{visit}"' in record.read_text() for visit in visits()["visit"])
    # older versions stay until they are due
    assert "0 records were due" in fork.ontime("forget", "--due").stdout
    between = fork.ontime("forget", "--check", PERSON, check=False)
    assert "found: checkout" not in between.stdout
    for place in ("DVC cache", "DVC remote", "prediction log", "registry"):
        assert f"found: {place}: " in between.stdout
    commit(checkout, "forgotten")
    fork.dvc("push", "--quiet")
    # the policy is now to keep nothing; asked again, what is left is listed anew
    fork.set("privacy", keep_versions_days=0)
    fork.ontime("forget", PERSON, "--no-run")
    due = fork.ontime("forget", "--due").stdout
    assert "1 of registry" in due
    # after
    after = fork.ontime("forget", "--check", PERSON)
    assert after.stdout.endswith("nothing about them is left\n")
    # what the kept version needs is all there
    shutil.rmtree(checkout / ".dvc/cache")
    fork.ontime("pull")
    assert git(checkout, "status", "--porcelain", "dvc.lock", SOURCE + ".dvc") == ""
    # planted
    frame = visits()
    row = frame[frame["person"] == PERSON].head(1).rename(columns={"person": "x"})
    name = fork.bucket.add(row.to_csv(index=False).encode())
    planted = fork.ontime("forget", "--check", PERSON, check=False)
    assert planted.returncode == 1
    assert f"found: DVC remote: {name}\n" in planted.stdout
    assert PERSON not in planted.stdout + planted.stderr
    # by the key of a removed row alone
    by_key = fork.bucket.add(row[["visit", "waited"]].to_csv(index=False).encode())
    again = fork.ontime("forget", "--check", PERSON, check=False)
    assert f"found: DVC remote: {by_key}\n" in again.stdout
    # removed by asking again
    fork.ontime("forget", PERSON, "--no-run")
    fork.ontime("forget", "--due")
    assert fork.ontime("forget", "--check", PERSON).stdout.endswith("nothing about them is left\n")


def test_without_persons_each_command_says_so_and_does_nothing(tmp_path: Path) -> None:
    shutil.copyfile(PARAMS, tmp_path / "params.yaml")
    for arguments in (["subject", "x"], ["forget", "x"], ["forget", "--check", "x"], ["forget", "--due"]):
        done = run("ontime", *arguments, cwd=tmp_path)
        assert done.stdout.startswith("privacy.subject is empty in params.yaml: ")
        assert done.stdout.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
