"""What the checks found, as Markdown for people and JSON for programs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ontime.common.files import write_json, write_text

Verdict = Literal["passed", "failed", "not run"]


@dataclass(frozen=True)
class Result:
    """One check: its name, verdict, and what was found or why it was not run."""

    name: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class Report:
    """All checks of one service."""

    url: str
    model: str
    version: str
    results: list[Result]
    figures: dict[str, float | int | str]

    @property
    def failed(self) -> list[str]:
        """Names of the checks that failed."""
        return [one.name for one in self.results if one.verdict == "failed"]

    def as_json(self) -> dict[str, Any]:
        """The content of `acceptance.json`."""
        return {"accepted": not self.failed, **asdict(self)}

    def as_markdown(self) -> str:
        """The content of `acceptance.md`."""
        verdict = f"failed: {', '.join(self.failed)}" if self.failed else "accepted"
        rows = [f"| {one.name} | {one.verdict} | {_cell(one.detail)} |" for one in self.results]
        return "\n".join(
            [
                f"# Acceptance of {self.model} {self.version}: {verdict}",
                "",
                f"Service: {self.url}",
                "",
                "| check | verdict | found |",
                "|---|---|---|",
                *rows,
                "",
            ]
        )

    def write(self, folder: Path) -> Path:
        """Write both files, and return the path of the one for people."""
        write_json(folder / "acceptance.json", self.as_json())
        write_text(folder / "acceptance.md", self.as_markdown())
        return folder / "acceptance.md"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
