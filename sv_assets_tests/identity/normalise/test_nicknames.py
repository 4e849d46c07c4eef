"""First names that one person goes by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.identity.normalise import nickname_groups, nicknames, same_first_name, word
from sv_assets.local.generator.words import NICKNAMES

names = st.sampled_from(sorted(nicknames._FORMAL_NAMES)) | st.sampled_from(["j", "r", "x"]) | st.text(max_size=8)


@given(names, names)
def test_it_is_symmetric_and_reflexive(a: str, b: str) -> None:
    assert same_first_name(a, a)
    assert same_first_name(a, b) == same_first_name(b, a)
    assert a in nickname_groups(a)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("bob", "robert", True),
        ("robert", "rob", True),
        ("chris", "christopher", True),
        ("chris", "christine", True),
        ("christopher", "christine", False),
        ("j", "jane", True),
        ("jane", "joan", False),
        ("katherine", "katharine", True),
        ("peter", "paul", False),
        ("jo", "ja", False),
        ("", "jane", False),
        ("peggy", "margaret", True),
        ("jack", "john", True),
        ("mo", "mohammed", True),
        ("sean", "shaun", True),
        ("frances", "francis", True),
        ("ella", "emma", False),
        ("ann", "nancy", False),
        ("mary", "marie", False),
    ],
)
def test_first_names_that_one_person_goes_by(a: str, b: str, same: bool) -> None:
    assert same_first_name(a, b) is same


def test_a_nickname_stands_for_several_names() -> None:
    assert nickname_groups("chris") >= {"chris", "christine", "christopher"}
    assert nickname_groups("xyz") == {"xyz"}


def test_the_table_covers_the_seed_data() -> None:
    assert [pair for pair in NICKNAMES.items() if not same_first_name(pair[0].lower(), pair[1].lower())] == []


def test_the_table_is_written_in_folded_words() -> None:
    assert [name for name in nicknames._FORMAL_NAMES if word(name) != name] == []
