"""Verify the signature of a folder that another server will serve, as the service verifies its own model's.

In: a folder, a signature beside it, and the service's settings of who must have signed. Out: exit status 1 with one
line unless the folder holds exactly the signed bytes.
"""

from pathlib import Path

import click

from ontime.model_deployment.inference.signing import verify
from ontime.model_deployment.service.settings import load_settings, signer_of


@click.command(name="check-signature")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--signature", type=click.Path(path_type=Path), help="If not given, beside the folder, ending in .sig.")
def command(folder: Path, signature: Path | None) -> None:
    """Verify the signature of FOLDER by the signer that ONTIME_SERVICE_… names."""
    signer = signer_of(load_settings())
    verify(folder, signature or folder.with_name(f"{folder.name}.sig"), signer)
    click.echo(f"{folder}: signed by {signer}")
