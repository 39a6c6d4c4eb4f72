"""The project's S3 server on loopback, for as long as a block runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ontime.repository import s3

State = dict[str, Any]
START = """
import json, sys
from pathlib import Path
from ontime.repository import s3

print(json.dumps(s3.start(Path(sys.argv[1]), *sys.argv[2:])))
"""


@contextmanager
def served(folder: Path, *keys: str) -> Iterator[State]:
    """A real S3 server's state; with its data in a folder, so that another can have it later."""
    done = subprocess.run([sys.executable, "-c", START, str(folder), *keys], stdout=subprocess.PIPE, check=True)
    state: State = json.loads(done.stdout)
    try:
        yield state
    finally:
        s3.end_server(state["pid"])
