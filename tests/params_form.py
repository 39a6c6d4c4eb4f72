"""How DVC changes `params.yaml` for an experiment."""

import difflib
from pathlib import Path

from dvc.utils.hydra import apply_overrides


def set_by_dvc(text: str, key: str, value: str, folder: Path) -> list[str]:
    """Lines that `dvc exp run --set-param` takes away from and puts into a file of parameters of this text."""
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    apply_overrides(path, [f"{key}={value}"])
    lines = difflib.unified_diff(text.splitlines(), path.read_text(encoding="utf-8").splitlines(), n=0, lineterm="")
    return list(lines)[3:]
