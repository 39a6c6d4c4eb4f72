"""The project's S3 server on loopback, for as long as a block runs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from ontime.repository import s3

State = dict[str, Any]
START = """
import json, sys
from pathlib import Path
from ontime.repository import s3

print(json.dumps(s3.start(Path(sys.argv[1]), *sys.argv[2:])))
"""


@contextmanager
def served(folder: Path, *keys: str, **variables: str) -> Iterator[State]:
    """A real S3 server's state; with its data in a folder, so that another can have it later.

    Args:
        variables: what the server's environment has beside this one's.
    """
    # in a process of its own, which ends while the server runs on
    command, environment = [sys.executable, "-c", START, str(folder), *keys], {**os.environ, **variables}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    state: State = json.loads(done.stdout)
    try:
        yield state
    finally:
        s3.end_server(state["pid"])


def forget_file_systems() -> None:
    """Have fsspec make new file systems: one that it has kept still asks the server that it was made for."""
    for implementation in fsspec.registry.values():
        implementation.clear_instance_cache()
