"""The grammar of the registry's tags, by tables, and that GTO reads what is made here."""

import pytest
from gto.constants import Action
from gto.tag import parse_name

from ontime.common.errors import OntimeError
from ontime.release.tags import (
    assigning,
    check_tag_name,
    check_version,
    is_newer,
    read_event,
    registering,
)

NAME = "flight-delay"


@pytest.mark.parametrize("version", ["v0.0.1", "v1.2.0", "v10.20.30", "v1.0.0-rc.1", "v1.0.0-alpha", "v1.0.0-0.3.7"])
def test_versions_are_semantic_ones_after_a_v(version: str) -> None:
    check_version(version)
    assert parse_name(registering(NAME, version)) == {"name": NAME, "version": version, "action": Action.REGISTER}


@pytest.mark.parametrize(
    "version",
    [
        *("", "v", "1.2.0", "V1.2.0", "v1", "v1.2", "v1.2.0.0", "v01.2.0", "v1.02.0", "v1.2.00", "v-1.2.0", "v1.2.x"),
        *("v1.2.0-", "v1.2.0-01", "v1.2.0+build", "v1.2.0!", "v1.2.0#1", " v1.2.0", "v1.2.0\n", "v1.2.0 ", "latest"),
        *("v1.2.0/..", "v1.2.0\0", "vv1.2.0", "v1.2.0-é", "--push"),
    ],
)
def test_other_versions_are_refused_in_a_line(version: str) -> None:
    with pytest.raises(OntimeError, match=r": not a version; expected vMAJOR\.MINOR\.PATCH, as in v1\.2\.0$"):
        check_version(version)


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("v1.0.0", "v1.0.1"),
        ("v1.9.0", "v1.10.0"),
        ("v9.0.0", "v10.0.0"),
        ("v1.0.0-rc.1", "v1.0.0"),
        ("v1.0.0-rc.2", "v1.0.0-rc.10"),
        ("v1.0.0-alpha", "v1.0.0-alpha.1"),
    ],
)
def test_versions_are_ordered_by_their_numbers(lower: str, higher: str) -> None:
    assert is_newer(higher, than=lower)
    assert not is_newer(lower, than=higher)
    assert not is_newer(lower, than=lower)


@pytest.mark.parametrize(
    ("tag", "action", "version", "stage", "number"),
    [
        ("flight-delay@v1.2.0", Action.REGISTER, "v1.2.0", "", 0),
        ("flight-delay@v1.2.0#4", Action.REGISTER, "v1.2.0", "", 4),
        ("flight-delay@v1.2.0!", Action.DEREGISTER, "v1.2.0", "", 0),
        ("flight-delay@v1.2.0!#5", Action.DEREGISTER, "v1.2.0", "", 5),
        ("flight-delay#production#3", Action.ASSIGN, "", "production", 3),
        ("flight-delay#production", Action.ASSIGN, "", "production", 0),
        ("flight-delay#production!#4", Action.UNASSIGN, "", "production", 4),
        ("flight-delay@deprecated", Action.DEPRECATE, "", "", 0),
    ],
)
def test_what_gto_makes_is_read(tag: str, action: Action, version: str, stage: str, number: int) -> None:
    event = read_event(tag, NAME, "c", 7)
    assert event is not None
    assert (event.action, event.version, event.stage, event.number) == (action, version, stage, number)
    assert (event.tag, event.commit, event.time) == (tag, "c", 7)


@pytest.mark.parametrize(
    "tag",
    ["v1.2.0", "other@v1.2.0", "flight-delay", "flight-delay@1.2.0", "flight-delay-2#production#1", "@v1.0.0", ""],
)
def test_what_is_not_the_artifacts_is_left_alone(tag: str) -> None:
    assert read_event(tag, NAME, "c", 7) is None


@pytest.mark.parametrize(
    "tag", [registering(NAME, "v1.2.0"), registering(NAME, "v1.2.0-rc.1"), assigning(NAME, "production", 12)]
)
def test_the_two_forms_that_are_made_here_pass(tag: str) -> None:
    check_tag_name(tag, NAME)


@pytest.mark.parametrize("tag", ["other@v1.2.0", "other#production#3", "flight-delay-2@v1.0.0"])
def test_a_tag_of_another_artifact_is_named_so(tag: str) -> None:
    with pytest.raises(OntimeError, match=r": of another artifact; this repository releases flight-delay$"):
        check_tag_name(tag, NAME)


@pytest.mark.parametrize(
    "tag",
    [
        *("v1.2.0", "flight-delay", "flight-delay@1.2.0", "flight-delay@v1.2", "flight-delay@v1.2.0!"),
        *("flight-delay@v1.2.0#4", "flight-delay#production", "flight-delay#production!#4", "flight-delay@deprecated"),
        *(
            "flight-delay#production#03",
            "flight-delay#production#-1",
            "flight-delay##3",
            "flight-delay#production#x",
            "",
        ),
        *("flight-delay@v1.2.0\n", "flight-delay@latest"),
    ],
)
def test_other_forms_are_refused(tag: str) -> None:
    with pytest.raises(
        OntimeError, match=r": neither flight-delay@vMAJOR\.MINOR\.PATCH nor flight-delay#STAGE#NUMBER$"
    ):
        check_tag_name(tag, NAME)


def test_build_metadata_which_gto_takes_is_refused() -> None:
    with pytest.raises(OntimeError, match=r"^v1\.2\.0\+build: not a version"):
        check_tag_name("flight-delay@v1.2.0+build", NAME)
