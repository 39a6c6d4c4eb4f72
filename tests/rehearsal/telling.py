"""What stories have in common: their cluster and checkout from beginning to end, and a canary under load."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.cluster.rig import Rig, rig
from tests.rehearsal.story import TUMOURS, Fork, Story, clean
from tests.releases import isolated

FULL = os.environ.get("ONTIME_REHEARSAL_FULL", "") == "1"
POLLING_SECONDS = 15
CANARY_SECONDS = 900 if FULL else 300
RATE = 700 if FULL else 200
"""Requests a second."""
FEWEST_REQUESTS = 100_000 if FULL else 10_000
"""Over one canary and the rolling update that ends it."""


@contextlib.contextmanager
def begun(
    folder: Path, temporary: pytest.TempPathFactory, figures: dict[str, Any], fork: Fork = TUMOURS
) -> Iterator[Story]:
    """The cluster, and a checkout whose graph has not run yet, while the block runs; its folder is emptied before."""
    with clean(folder), pytest.MonkeyPatch.context() as patch:
        for name, value in {**isolated(folder / "home"), "GNUPGHOME": str(folder / "gnupg")}.items():
            patch.setenv(name, value)
        started = time.monotonic()
        with contextlib.ExitStack() as machine:

            def new_cluster() -> Rig:
                machine.close()
                return machine.enter_context(rig(temporary.mktemp("rig"), POLLING_SECONDS))

            told = Story(new_cluster(), folder, FULL, new_cluster, fork)
            figures["cluster_seconds"] = round(told.rig.seconds_to_up, 1)
            told.begin()
            yield told
            figures["peak_mib"] = told.rig.peak_mib["total"]
        figures["wall_seconds"] = round(time.monotonic() - started, 1)


def canary(
    story: Story,
    figures: dict[str, Any],
    stage: str,
    version: str,
    publish: Callable[[], float],
    told: bool,
    records: Sequence[Mapping[str, Any]] | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> float:
    """Promote a version under load and check that no request failed; note how long it took, told or found.

    The load asks about `records`, or about the golden ones. `meanwhile` is done once both versions answer.

    Returns:
        When the version answered first, seconds since 1970.
    """
    older = set(story.pods(stage).values())
    with story.load(stage, RATE, records) as load:
        time.sleep(2)
        pushed = publish()
        head = story.hook() if told else story.git("rev-parse", "HEAD")
        images = f"{story.image}@{story.digests[version]}"

        def applied() -> bool:
            return bool(story.rollout(stage)["spec"]["template"]["spec"]["containers"][0]["image"] == images)

        story.wait(f"{stage} is to run {version}", applied, 60 + POLLING_SECONDS)
        seconds = {"applied": time.time() - pushed}
        story.wait(f"{version} answers", lambda: len(load.now()["versions"]) > 1, CANARY_SECONDS)
        meanwhile()
        seconds["synced"] = story.wait_synced(stage, head, CANARY_SECONDS) - pushed
        while load.now()["requests"] < FEWEST_REQUESTS:
            time.sleep(1)
        seen = load.stop()
    digest = story.digests[version]
    assert older != {digest}
    assert set(story.pods(stage).values()) == {digest}
    number = version.removeprefix("v")
    seconds["first_prediction"] = seen["first"][number] - pushed
    name = f"{version}_in_{stage}_by_{'webhook' if told else 'polling'}"
    figures.setdefault("push_to_synced_seconds", {})[name] = {key: round(one, 1) for key, one in seconds.items()}
    note(figures, f"{version} in {stage}", seen)
    assert seen["failures"] == 0, seen
    # both answered beside each other, and in the end the new one alone
    assert len(seen["versions"]) == 2
    assert all(seen["last"][one] < seen["last"][number] for one in seen["versions"] if one != number)
    return float(seen["first"][number])


def note(figures: dict[str, Any], what: str, seen: dict[str, Any]) -> None:
    """Keep what clients saw."""
    load = figures.setdefault("load", {})
    load[what] = {name: seen[name] for name in ("requests", "failures", "reasons", "versions", "p50_ms", "p99_ms")}
    for name in ("requests", "failures"):
        figures[name] = figures.get(name, 0) + seen[name]
