"""Push what the release workflow would build, by the variables that the action sets; print `digest=…`.

As the Dockerfile does, it checks the signature by whom the arguments name.
"""

import os
import sys
import types
from pathlib import Path

from ontime.model_deployment.inference.signing import Signer, verify

# an installed package may be called `tests` too
package = types.ModuleType("tests")
package.__path__ = [str(Path(__file__).parents[3])]
sys.modules["tests"] = package
from tests.releases import push_image  # noqa: E402

arguments = dict(line.strip().split("=", 1) for line in os.environ["ARGUMENTS"].splitlines() if line.strip())
host, _, repository = os.environ["TAGS"].partition("/")
CHAMPION = Path("models/champion")
signer = Signer(
    Path(arguments["PUBLIC_KEY"]) if arguments["PUBLIC_KEY"] else None,
    arguments["IDENTITY"],
    arguments["IDENTITY_PROVIDER"],
    CHAMPION.with_suffix(".trust.json"),
)
verify(CHAMPION, CHAMPION.with_suffix(".sig"), signer)
paths = [*CHAMPION.iterdir(), *CHAMPION.parent.glob("champion.*")]
digest = push_image(
    host,
    repository.rpartition(":")[0],
    {str(path): path.read_bytes() for path in paths},
    arguments,
)
print(f"digest={digest}")
