"""Sign the image NAME@DIGEST with the job's token and the Sigstore of ONTIME_TRUST_CONFIG, as cosign would."""

import json
import os
import sys
import types
import urllib.request
from pathlib import Path

# an installed package may be called `tests` too
package = types.ModuleType("tests")
package.__path__ = [str(Path(__file__).parents[3])]
sys.modules["tests"] = package
from tests.cosign import sign_image  # noqa: E402

request = urllib.request.Request(  # noqa: S310
    os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"],
    headers={"Authorization": f"bearer {os.environ['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"},
)
with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
    token = json.load(answer)["value"]
image, _, digest = sys.argv[1].partition("@")
sign_image(image, digest, Path(os.environ["ONTIME_TRUST_CONFIG"]).read_text(encoding="utf-8"), token)
