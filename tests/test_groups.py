"""How tests are handed out: those of one group to one worker, so that they share what is slow to start."""

import pytest

GROUP = "one"


@pytest.mark.xdist_group(GROUP)
def test_a_group_reaches_what_hands_out_the_tests(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("loadgroup", False) is False:
        pytest.skip("one process runs the tests (no --dist loadgroup)")
    assert request.node.nodeid.endswith(f"@{GROUP}")


@pytest.mark.parametrize("content", [b"\x1f\x8b" * 1_000_000, "line\n" * 100_000, "short"])
def test_a_name_has_no_long_value_in_it(request: pytest.FixtureRequest, content: bytes | str) -> None:
    assert request.node.nodeid.isprintable()
    assert len(request.node.nodeid) < 300
    assert ("short" in request.node.nodeid) == (content == "short")
