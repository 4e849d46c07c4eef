"""The tables of address words agree with each other."""

from sv_assets.identity.normalise.streets import ABBREVIATIONS, BUILDINGS, LEVELS, PLACES_IN_A_HOUSE, TYPES, UNITS


def test_an_abbreviation_is_not_abbreviated_again() -> None:
    assert [short for short in ABBREVIATIONS.values() if short in ABBREVIATIONS] == []


def test_what_is_looked_up_is_abbreviated() -> None:
    looked_up = TYPES | UNITS | LEVELS | BUILDINGS | PLACES_IN_A_HOUSE
    assert [word for word in looked_up if word in ABBREVIATIONS] == []


def test_no_abbreviation_is_a_single_letter() -> None:
    assert [short for short in ABBREVIATIONS.values() if len(short) < 2] == []
