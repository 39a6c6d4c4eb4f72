"""Push what the release workflow would build, by the variables that the action sets; print `digest=…`."""

import os
import sys
import types
from pathlib import Path

LABELS = {
    "GIT_COMMIT": "org.opencontainers.image.revision",
    "MODEL_VERSION": "org.opencontainers.image.version",
    "MODEL_SHA256": "io.ontime.model.sha256",
}

# an installed package may be called `tests` too
package = types.ModuleType("tests")
package.__path__ = [str(Path(__file__).parents[3])]
sys.modules["tests"] = package
from tests.releases import push_image  # noqa: E402

arguments = dict(line.strip().split("=", 1) for line in os.environ["ARGUMENTS"].splitlines() if line.strip())
host, _, place = os.environ["TAGS"].partition("/")
paths = [*Path("models/champion").iterdir(), *Path("models").glob("champion.s*")]
digest = push_image(
    host,
    place.rpartition(":")[0],
    {str(path): path.read_bytes() for path in paths},
    {LABELS[name]: value for name, value in arguments.items()},
)
print(f"digest={digest}")
