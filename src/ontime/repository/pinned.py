"""The table that `params.yaml` names as the data, pinned with its present content."""

from pathlib import Path

from ontime.common.params import PARAMS_FILE
from ontime.repository.dvc import show
from ontime.repository.yaml_files import editing


def pin_table(source: str, sha256: str) -> None:
    """Write a table's SHA-256 into `params.yaml`, and its MD5 into the `.dvc` file beside it, each if there is one.

    Raises:
        OntimeError: DVC cannot add the file.
    """
    with editing(PARAMS_FILE) as params:
        if params["data"]["options"].get("sha256"):
            params["data"]["options"]["sha256"] = sha256
    if Path(f"{source}.dvc").is_file():
        show("add", "--quiet", source)
