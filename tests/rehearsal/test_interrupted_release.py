"""A release killed at random moments: no half a file anywhere, and the same commands again complete it."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ontime.release.release_file import parse, path_of
from tests.checkouts import TOP, environment, git
from tests.releases import IMAGE, NAME, Repository, digest_of, isolated, make_repository
from tests.servers import free_port

KILLS = int(os.environ.get("ONTIME_KILLS", "50"))
LONGEST_SECONDS = float(os.environ.get("ONTIME_LONGEST_SECONDS", "12"))
RELEASE = """
ontime release register "$VERSION" --push || ontime release check "$NAME@$VERSION" >/dev/null
set -e
ontime release write staging "$VERSION" --digest "$DIGEST" --image "$IMAGE"
ontime release publish staging
"""
"""What a person would type again: registering twice is refused, so the tag is checked then."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A repository whose origin is a server of its own, which nobody kills."""
    for name, value in isolated(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    repository = make_repository(tmp_path)
    port = free_port()
    daemon = Path(git(tmp_path, "--exec-path").strip()) / "git-daemon"
    if not daemon.is_file():
        pytest.skip("git has no git-daemon here")
    options = ["--export-all", "--enable=receive-pack", "--listen=127.0.0.1", f"--port={port}"]
    with (tmp_path / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [daemon, f"--base-path={tmp_path}", *options, str(tmp_path)], stdout=log, stderr=log, start_new_session=True
        )
    repository.git("remote", "set-url", "origin", f"git://127.0.0.1:{port}/origin.git")
    yield repository
    process.terminate()
    process.wait()


def half_files(repository: Repository) -> list[str]:
    """Release files, in the checkout and in every commit of the origin, that are not whole."""
    found = []
    for stage in ("staging", "production"):
        path = path_of(stage)
        texts = {"checkout": (repository.checkout / path).read_bytes().decode()}
        for commit in git(repository.origin, "log", "--format=%h", "main", "--", str(path)).split():
            texts[commit] = git(repository.origin, "show", f"{commit}:{path}")
        for place, text in texts.items():
            try:
                parse(text, place)
            except Exception as error:  # told with the place at the end of the test
                found.append(f"{place}: {error}")
    return found


def remove_locks(repository: Repository) -> int:
    """Remove what a git that was killed itself leaves and asks to have removed; how many there were."""
    locks = list((repository.checkout / ".git").rglob("*.lock"))
    for path in locks:
        path.unlink()
    return len(locks)


@pytest.mark.rehearsal
def test_a_killed_release_is_completed_by_the_same_commands(repository: Repository) -> None:
    moments = random.Random(20130101)
    printed = repository.checkout.parent / "printed.txt"
    kills = completed = locks = 0
    while kills < KILLS:
        version = f"v1.{completed}.0"
        commit = repository.make_model(version)
        facts = {"VERSION": version, "NAME": NAME, "DIGEST": digest_of(version), "IMAGE": IMAGE}
        while True:
            with printed.open("wb") as output:
                process = subprocess.Popen(
                    ["bash", "-c", RELEASE],
                    cwd=repository.checkout,
                    env=environment(PYTHONPATH=str(TOP / "src"), **facts),
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            try:
                # after the last kill, to the end
                process.wait(timeout=moments.uniform(0.1, LONGEST_SECONDS) if kills < KILLS else None)
            except subprocess.TimeoutExpired:
                kills += 1
                stop(process, whole=kills % 2 == 0)
                assert half_files(repository) == []
                continue
            text = printed.read_text()
            if re.search(r"\.lock': File exists", text):
                locks += remove_locks(repository)
                continue
            assert process.returncode == 0, f"after {kills} kills: {text}"
            break
        assert half_files(repository) == []
        assert git(repository.origin, "rev-parse", f"{NAME}@{version}^{{}}").strip() == commit
        released = parse(git(repository.origin, "show", f"main:{path_of('staging')}"), "main")
        assert released is not None
        assert (released.version, released.commit, released.digest) == (version, commit, digest_of(version))
        completed += 1
        locks += remove_locks(repository)
        repository.git("fetch", "--quiet", "origin")
        repository.git("reset", "--quiet", "--hard", "origin/main")
    assert git(repository.origin, "log", "--merges", "--format=%h", "main") == ""
    releases = git(repository.origin, "log", "--format=%s", "--grep=^Release ", "main").splitlines()
    assert len(releases) == completed
    assert not list(repository.checkout.rglob(".*.partial"))
    print(f"{kills} kills, {completed} releases completed, {locks} locks of a killed git removed, no file half written")


def stop(process: "subprocess.Popen[bytes]", whole: bool) -> None:
    """Kill a release: the command alone, while its git goes on, or with everything that it started."""
    if whole:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        process.kill()
    process.wait()
    # what goes on has ended, or the next attempt would meet it
    end = time.monotonic() + 10
    while alive(process.pid) and time.monotonic() < end:
        time.sleep(0.05)


def alive(session: int) -> bool:
    """Whether a process of a session is still there."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[3] == str(session) and fields[0] != "Z":
            return True
    return False
