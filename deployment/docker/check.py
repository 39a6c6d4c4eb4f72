"""Load the model as the service will, so that no image is built that would not start.

In: the model's folder, its signature and public key beside it, and the SHA-256 that the image's label will tell.
"""

import sys
from pathlib import Path

from ontime.errors import OntimeError
from ontime.model_deployment.service.model import load_model
from ontime.model_deployment.service.settings import Settings

folder, wanted = Path(sys.argv[1]), sys.argv[2]
settings = Settings(model=folder, signature=folder.with_suffix(".sig"), public_key=folder.with_suffix(".pub"))
try:
    found = load_model(settings).digest
except OntimeError as error:
    sys.exit(f"error: {error}")
if wanted not in ("unknown", found):
    sys.exit(f"error: {folder}: the model's SHA-256 is {found}, not {wanted} as MODEL_SHA256 says")
