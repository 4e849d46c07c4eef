"""Addresses: unit, number, street."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sv_assets.identity.normalise import Address, address, addresses
from sv_assets.identity.normalise.streets import ABBREVIATIONS, STRONG_TYPES, TYPES, UNITS

words = st.sampled_from(
    [
        *sorted(TYPES | UNITS),
        *ABBREVIATIONS,
        "high",
        "a",
        "12",
        "12a",
        "12-14",
        "3/12",
        "the",
        "po",
        "box",
        "north",
        "rose",
        ",",
        "st.",
    ]
)
typed = st.lists(words, max_size=6).map(" ".join) | st.text("abc 123,-/'", max_size=20)


@given(st.text(), st.none() | st.text())
@example("\ud800", None)
@example("12 -", "14")
@example("box", "po")
def test_any_text_has_an_answer(line_1: str, line_2: str | None) -> None:
    found = address(line_1, line_2)
    assert found is None or (found.key is None) == (found.number is None or found.street is None)


@given(typed, st.none() | typed)
@example("flat 3", "a house")
@example("p o", "box 12")
@example("bldg farm lot", "flat 3, 12-14 ")
def test_the_text_of_a_text_is_itself(line_1: str, line_2: str | None) -> None:
    found = address(line_1, line_2)
    again = found and address(found.text)
    assert found is None or (again and again.text == found.text)


@given(typed, st.none() | typed)
def test_case_and_blanks_do_not_matter(line_1: str, line_2: str | None) -> None:
    blank_too = "  " if line_2 is None else line_2.upper()
    assert address(f" {line_1.upper().replace(' ', '  ')} ", blank_too) == address(line_1, line_2)


@given(typed, st.none() | typed)
@example("12 hyde park gardens", None)
@example("flat 3", "12 high st st johns")
def test_a_plain_address_gets_the_answer_of_the_general_rules(line_1: str, line_2: str | None) -> None:
    assert address(line_1, line_2) == addresses._by_rules(line_1, line_2)


@given(
    st.sampled_from(["", "Flat 3", "apartment 3", "Unit 3b"]),
    st.sampled_from(["12", "12A", "12-14", "No. 12"]),
    st.sampled_from(["High", "Hyde Park", "St John's"]),
    st.sampled_from(
        [t for abbreviation, long in STRONG_TYPES.items() for t in (abbreviation, *long.split()) if t != "rue"]
    ),
)
def test_lines_may_be_either_way_round_or_one(unit: str, number: str, name: str, kind: str) -> None:
    door = f"{number} {name} {kind}"
    found = address(door, unit)
    assert found == address(unit, door) == address(f"{unit}, {door}") == address(f"{door}, {unit}")
    assert found and found.key and found.unit == (unit.split()[-1].lower() if unit else None)


@pytest.mark.parametrize(
    ("lines", "unit", "number", "street"),
    [
        (("12 High Street",), None, "12", "high st"),
        (("12a, High St.",), None, "12a", "high st"),
        (("12 A High Street",), None, "12a", "high st"),
        (("12 - 14 High Street",), None, "12-14", "high st"),
        (("Flat 3", "12 High Street"), "3", "12", "high st"),
        (("Flat 3 12 High Street",), "3", "12", "high st"),
        (("12 High Street Flat 3",), "3", "12", "high st"),
        (("Flat B, 12 High Street",), "b", "12", "high st"),
        (("Ground Floor Flat", "12 High Street"), "ground", "12", "high st"),
        (("Flat 2/1, 30 Park Rd",), "2/1", "30", "pk rd"),
        (("3/12 Smith Crescent",), "3", "12", "smith cres"),
        (("Unit 3/12 Smith Cct",), "3", "12", "smith cct"),
        (("Shop 3, Level 2, 12 Smith Parade",), "3", "12", "smith pde"),
        (("12 High Street Clifton",), None, "12", "high st"),
        (("12 High Street, Clifton Park",), None, "12", "high st"),
        (("12 Hyde Park Gardens",), None, "12", "hyde pk gdns"),
        (("12 Park Road West",), None, "12", "pk rd west"),
        (("12 Mount St Mary's Road",), None, "12", "mount st marys rd"),
        (("12 Saint James Place",), None, "12", "st james pl"),
        (("12 The Broadway",), None, "12", "broadway"),
        (("12 Cheapside",), None, "12", "cheapside"),
        (("Rose Cottage", "High Street"), None, "rose cott", "high st"),
        (("High Street", "Rose Cottage"), None, "rose cott", "high st"),
        (("Rose Cottage High Street",), None, "rose cott", "high st"),
        (("Rose Cottage", "12 High Street"), None, "12", "high st"),
        (("The Old Mill, The Green",), None, "old mill", "grn"),
        (("High Street",), None, None, "high st"),
        (("Rose Cottage",), None, None, None),
        (("P.O. Box 123",), None, "123", "po box"),
        (("PO BOX 123", "Leeds"), None, "123", "po box"),
        (("Hauptstraße 27",), None, "27", "hauptstrasse"),
        (("14 Rue des Lilas",), None, "14", "rue des lilas"),
        (("8 Sráid na Trá",), None, "8", "sraid na tra"),
    ],
)
def test_where_the_front_door_is(
    lines: tuple[str, ...], unit: str | None, number: str | None, street: str | None
) -> None:
    found = address(*lines)
    assert found and (found.unit, found.number, found.street) == (unit, number, street)
    assert found.key == (f"{number} {street}" if number and street else None)


def test_the_whole_of_it() -> None:
    assert address("12 High Street", "Apartment 3") == Address(
        "3", "12", "high st", ("high st",), "flat 3 12 high st", "12 high st"
    )


def test_every_part_says_something_behind_its_number():
    assert address("Rose Cottage, 12 High Street", "Little Barton").streets == ("rose cott", "high st", "little barton")
    assert address("8 Low Road", "Flat 3").streets == ("low rd",)


@pytest.mark.parametrize("line", [None, "", "  ", "-", ",,"])
def test_nothing_is_none(line: str | None) -> None:
    assert address(line) is None
    assert address(line, line) is None
