"""Load the model as the service will, so that no image is built that would not start.

In: the service's settings in its variables, and the SHA-256 that the image's label will tell.
"""

import sys

from ontime.common.errors import OntimeError
from ontime.model_deployment.service.server import load_signed
from ontime.model_deployment.service.settings import load_settings

wanted = sys.argv[1]
try:
    settings = load_settings()
    found = load_signed(settings).sha256
except OntimeError as error:
    sys.exit(f"error: {error}")
if wanted not in ("unknown", found):
    sys.exit(f"error: {settings.model}: the model's SHA-256 is {found}, not {wanted} as MODEL_SHA256 says")
