"""The forge's API is asked again when that cannot do harm, and says in one line why it gave no answer."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from ontime.common.errors import OntimeError
from ontime.repository.forge import Forge
from tests.servers import JsonHandler, free_port, http_server


class Failing:
    """An API that leaves its first requests without an answer, or answers them with an error."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failures = 0
        self.status = 0
        """What failed requests are answered with; 0: the connection is closed."""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    api = Failing()

    class Handler(JsonHandler):
        def parse_request(self) -> bool:
            parsed = super().parse_request()
            api.asked.append(self.command)
            return parsed and (len(api.asked) > api.failures or api.status > 0)

        def respond(self, _: Any) -> tuple[int, Any]:
            return (200, [{"number": 1}]) if len(api.asked) > api.failures else (api.status, {})

    with http_server(Handler) as host:
        for name, value in {"API_URL": f"http://{host}", "REPOSITORY": "team/model", "TOKEN": "secret"}.items():
            monkeypatch.setenv(f"GITHUB_{name}", value)
        yield api


@pytest.mark.parametrize("status", [0, 502, 503])
def test_a_list_is_asked_for_again_where_no_answer_came(api: Failing, status: int) -> None:
    api.failures, api.status = 2, status
    assert list(Forge().pages("issues")) == [{"number": 1}]
    assert api.asked == ["GET"] * 3


@pytest.mark.parametrize(
    ("status", "reason"), [(0, "Remote end closed connection without response"), (502, "502 Bad Gateway: '{}'")]
)
def test_what_changes_something_is_sent_once(api: Failing, status: int, reason: str) -> None:
    api.failures, api.status = 1, status
    with pytest.raises(OntimeError, match=rf"^POST http://\S+/repos/team/model/issues: {re.escape(reason)}$"):
        Forge().call("POST", "issues", {})
    assert api.asked == ["POST"]


@pytest.mark.usefixtures("api")
def test_a_forge_that_is_away_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(OntimeError, match=rf"^GET http://127\.0\.0\.1:{port}/\S+/issues: Connection refused$"):
        list(Forge().pages("issues"))
