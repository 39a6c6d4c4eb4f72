"""From running pods to the raw data: the pods' part and the data's; the links between are `release`'s own."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from ontime.common.errors import OntimeError
from ontime.release.release_file import Release
from ontime.verification import graph, running
from ontime.verification.release import Checks
from tests.releases import Repository, digest_of, md5

RELEASE = Release("v1.0.0", "c" * 40, "5" * 64, "registry.example/team/ontime", digest_of("v1.0.0"))


def pod(name: str = "ontime-1", digest: str = RELEASE.digest, **metadata: Any) -> dict[str, Any]:
    """A pod as kubectl tells of it."""
    release = {
        "labels": {"app.kubernetes.io/version": RELEASE.version},
        "annotations": {"ontime.io/git-commit": RELEASE.commit, "ontime.io/model-sha256": RELEASE.model_sha256},
    }
    status = {"name": "ontime", "imageID": f"{RELEASE.image}@{digest}", "state": {"running": {}}}
    return {"metadata": {"name": name, **release, **metadata}, "status": {"containerStatuses": [status]}}


def test_a_pod_that_runs_the_release_is_let_pass() -> None:
    running.check_pod(pod(), RELEASE)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (pod(digest=digest_of("other")), f"ontime-1: runs {digest_of('other')}, not {RELEASE.digest} of the release"),
        (pod(labels={}), "ontime-1: app.kubernetes.io/version is None, not v1.0.0"),
        (pod(annotations={}), f"ontime-1: ontime.io/git-commit is None, not {'c' * 40}"),
        ({**pod(), "status": {}}, "ontime-1: container ontime is not running"),
    ],
)
def test_a_pod_that_runs_anything_else_is_named(wrong: dict[str, Any], line: str) -> None:
    with pytest.raises(OntimeError) as error:
        running.check_pod(wrong, RELEASE)
    assert str(error.value).startswith(line)


def test_pods_are_asked_for_in_the_namespace_and_one_that_stops_is_left_out(kubectl: Path) -> None:
    items = [pod(), pod("ontime-2", deletionTimestamp="2026-01-01T00:00:00Z")]
    (kubectl / "answer").write_text(json.dumps({"items": items}))
    assert [one["metadata"]["name"] for one in running.running_pods("there", "mine")] == ["ontime-1"]
    asked = (kubectl / "asked").read_text()
    assert asked.startswith("--context mine --request-timeout=30s get pods --namespace there --selector ")


@pytest.mark.parametrize(("answer", "line"), [('{"items": []}', "none in there with"), (None, "kubectl: ")])
def test_no_pod_and_no_answer_are_one_line(kubectl: Path, answer: str | None, line: str) -> None:
    if answer is not None:
        (kubectl / "answer").write_text(answer)
    with pytest.raises(OntimeError) as error:
        running.running_pods("there", None)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_a_broken_pod_is_the_first_link(
    repository: Repository, kubectl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (kubectl / "answer").write_text(json.dumps({"items": [pod(digest=digest_of("other"))]}))
    with pytest.raises(OntimeError, match=r"^pods: ontime-1: runs sha256:[^\n]*$"):
        running.command_of("staging").main([], standalone_mode=False)
    assert capsys.readouterr().out == ""
    assert "--namespace ontime-staging " in (kubectl / "asked").read_text()
    del repository


def test_a_stage_that_released_nothing_is_named(repository: Repository) -> None:
    del repository
    with pytest.raises(OntimeError, match=r"^release file: .*production.*: nothing was released yet$"):
        list(running.verify_running("production", "there", None, "main", Checks()))


def test_raw_data_is_read_and_a_changed_or_missing_byte_is_named(repository: Repository) -> None:
    commit = repository.git("rev-parse", "HEAD")
    files = next(iter(repository.files.values()))
    # the only stage of this graph is its first one
    ((path, _, count),) = running.check_raw_data(commit)
    assert (path, count) == ("models/champion", len(files))
    name = md5(files["model.onnx"])
    places = [top / "files" / "md5" / name[:2] / name[2:] for top in (repository.checkout / ".dvc/cache",)]
    places.append(repository.checkout.parent / "store" / "files" / "md5" / name[:2] / name[2:])
    for place in places:
        place.write_bytes(b"flipped")
    named = rf"^output models/champion/model\.onnx: object {name}: "
    with pytest.raises(OntimeError, match=f"{named}the remote has other bytes"):
        list(running.check_raw_data(commit))
    for place in places:
        place.unlink(missing_ok=True)
    with pytest.raises(OntimeError, match=f"{named}neither in DVC's cache nor in its remote"):
        list(running.check_raw_data(commit))


def test_each_stage_is_a_command_of_verify(repository: Repository) -> None:
    del repository
    context = click.Context(graph.command)
    assert isinstance(graph.command, click.Group)
    assert graph.command.list_commands(context) == ["release", "release-file", "staging", "production"]
    assert graph.command.get_command(context, "canary") is None
