"""Tests of one group run on one worker, so that they share what is slow to start."""

import pytest

GROUP = "one"


@pytest.mark.xdist_group(GROUP)
def test_a_group_reaches_what_hands_out_the_tests(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("loadgroup", False) is False:
        pytest.skip("one process runs the tests (no --dist loadgroup)")
    assert request.node.nodeid.endswith(f"@{GROUP}")
