"""One comment for each pull request, changed in place, and only its own."""

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ontime.common.errors import OntimeError
from tests.commands import run_command
from tests.servers import JsonHandler

MARKER = "<!-- ontime report -->"
BOT = {"login": "github-actions[bot]", "type": "Bot"}


class GitHub(ThreadingHTTPServer):
    """What the REST API does with comments, two to a page, and what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments: list[dict[str, Any]] = []
        self.files: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(JsonHandler):
    """Requests on comments, two a page."""

    server: GitHub

    def respond(self, content: Any) -> tuple[int, Any]:
        comments = self.server.comments
        if "/files?" in self.path:
            return self.server.status, self.server.files
        self.server.asked.append((self.command, self.path))
        if self.command == "POST":
            comments.append({"id": len(comments) + 1, "body": content["body"], "html_url": "made", "user": BOT})
            return self.server.status, comments[-1]
        if self.command == "PATCH":
            found = comments[int(self.path.rpartition("/")[2]) - 1]
            found |= {"body": content["body"], "html_url": "changed"}
            return self.server.status, found
        assert self.headers["Authorization"] == "Bearer secret"
        place = self.page()
        return self.server.status, comments[2 * place - 2 : 2 * place]

    def page(self) -> int:
        return int(self.path.rpartition("&page=")[2]) if "&page=" in self.path else 1

    def more_headers(self) -> dict[str, str]:
        place, base = self.page(), self.path.partition("&page=")[0]
        if self.command != "GET" or "/files?" in self.path or 2 * place >= len(self.server.comments):
            return {}
        return {"Link": f'<{self.server.url}{base}&page={place + 1}>; rel="next"'}


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    server = GitHub()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("GITHUB_API_URL", server.url)
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/model")
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.md"
    path.write_text(f"{MARKER}\n\n## Gate passed\n")
    return path


def comment(report: Path) -> None:
    run_command("comment", "--pull-request", "7", "--file", str(report))


def test_the_first_report_makes_a_comment_and_the_next_one_changes_it(github: GitHub, report: Path) -> None:
    others = [{"id": place + 1, "body": f"words {place} {MARKER}", "html_url": "", "user": BOT} for place in range(4)]
    github.comments += others
    comment(report)
    assert [kind for kind, _ in github.asked] == ["GET", "GET", "POST"]
    assert github.comments[-1]["body"] == report.read_text()
    report.write_text(f"{MARKER}\n\n## Gate failed\n")
    comment(report)
    assert github.asked[-1] == ("PATCH", "/repos/team/model/issues/comments/5")
    assert len(github.comments) == 5
    assert github.comments[-1]["body"] == report.read_text()


def test_a_long_report_is_cut(github: GitHub, report: Path) -> None:
    report.write_text(f"{MARKER}\n" + "x" * 70_000)
    comment(report)
    assert len(github.comments[-1]["body"]) < 65_000
    assert github.comments[-1]["body"].endswith("(cut)\n")


def test_a_refusal_is_one_line_without_the_token(github: GitHub, report: Path) -> None:
    github.status = 403
    with pytest.raises(OntimeError) as error:
        comment(report)
    assert "403 Forbidden" in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_absent_or_foreign_is_told(github: GitHub, report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OntimeError, match="not found; run `ontime report` first"):
        comment(report.with_name("none.md"))
    report.write_text("## Not a report\n")
    with pytest.raises(OntimeError, match="does not begin with its marker"):
        comment(report)
    monkeypatch.delenv("GITHUB_TOKEN")
    with pytest.raises(OntimeError, match="GITHUB_TOKEN: not set"):
        comment(report)
    assert not github.comments


@pytest.mark.attack("forged-comment")
@pytest.mark.parametrize(
    "user",
    [
        {"login": "maintainer", "type": "User"},
        {"login": "github-actions", "type": "User"},
        {"login": "github-actions[bot]", "type": "User"},
        {"login": "other[bot]", "type": "Bot"},
        None,
    ],
)
def test_a_comment_by_another_account_is_never_changed_whatever_it_begins_with(
    github: GitHub, report: Path, user: dict[str, str] | None
) -> None:
    body = f"{MARKER}\n\nDo not merge.\n"
    github.comments.append({"id": 1, "body": body, "html_url": "", "user": user})
    comment(report)
    assert github.comments[0]["body"] == body
    assert [kind for kind, _ in github.asked][-1] == "POST"
    assert github.comments[1]["body"] == report.read_text()


@pytest.mark.attack("forged-comment")
@pytest.mark.parametrize(
    "first", ["<!-- review of a maintainer -->", "<!-- ", "<!-- ontime report", f"{MARKER} <!-- more -->", f" {MARKER}"]
)
def test_a_report_with_another_marker_is_refused_and_changes_no_comment(
    github: GitHub, report: Path, first: str
) -> None:
    body = f"{first}\nDo not merge.\n"
    github.comments.append({"id": 1, "body": body, "html_url": "", "user": BOT})
    report.write_text(f"{first}\n\nApproved\n")
    with pytest.raises(OntimeError, match="does not begin with its marker"):
        comment(report)
    assert github.comments == [{"id": 1, "body": body, "html_url": "", "user": BOT}]
    assert not github.asked


@pytest.mark.attack("forged-comment")
def test_a_comment_of_the_bot_with_a_longer_marker_is_another_tools(github: GitHub, report: Path) -> None:
    body = f"{MARKER} of something else\n\ntext"
    github.comments.append({"id": 1, "body": body, "html_url": "", "user": BOT})
    comment(report)
    assert github.comments[0]["body"] == body


@pytest.mark.attack("own-gate")
@pytest.mark.parametrize(
    "file",
    [
        {"filename": "Makefile"},
        {"filename": ".github/workflows/pull-request.yml"},
        {"filename": "src/ontime/pull_request/gate.py"},
        {"filename": "docs/gate.py", "previous_filename": "src/ontime/pull_request/gate.py"},
    ],
)
def test_a_change_of_what_judges_is_told_from_the_list_of_files_and_not_by_the_report(
    github: GitHub, report: Path, file: dict[str, str]
) -> None:
    github.files = [{"filename": "README.md"}, file]
    comment(report)
    first, _, warning, *_ = github.comments[0]["body"].splitlines()
    assert (first, warning) == (MARKER, "> [!WARNING]")
    name = file.get("previous_filename", file["filename"])
    assert f"`{name}`." in github.comments[0]["body"]
    assert "README" not in github.comments[0]["body"]


def test_a_name_of_a_file_cannot_write_markdown(github: GitHub, report: Path) -> None:
    github.files = [{"filename": "src/ontime/common/`\n\n# Approved\u202e"}]
    comment(report)
    assert "\n# Approved" not in github.comments[0]["body"]
    assert github.comments[0]["body"].count("`") == 2
