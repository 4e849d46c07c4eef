"""Postcodes: British ones taken apart, others as they are."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sv_assets.identity.normalise import Postcode, postcode

british = st.from_regex(
    r"(?:(?:SO|OX|IP|M|B|SW|EC|IM)(?:[1-9]|[1-9][0-9])|[WEN]1[A-HW]|SW1[AEHPVWXY]|EC[1-4][AMNPRVY]) [0-9][A-Z]{2}",
    fullmatch=True,
)


@given(st.text(), st.none() | st.sampled_from(["GB", "FR", "United Kingdom", ""]) | st.text())
@example("ŉ", None)
@example("ΐ\u0345", None)
@example("\ud800", None)
@example("SW1 1", None)
def test_any_text_has_a_settled_answer(text: str, country: str | None) -> None:
    found = postcode(text, country)
    assert found is None or postcode(found.unit, country) == found
    assert found is None or found.outward is None or found.unit.startswith(found.outward)


@given(british, st.data())
def test_case_space_and_slips_of_o_and_i_do_not_matter(clean: str, data: st.DataObject) -> None:
    typed = "".join(
        data.draw(st.sampled_from([c, c.lower(), f"{c} ", *_SLIPS.get(c, ())])) for c in clean.replace(" ", "")
    )
    outward, _, inward = clean.partition(" ")
    assert postcode(f" {typed}", "GB") == Postcode(clean, outward, inward, f"{outward} {inward[0]}")


_SLIPS = {"O": ("0",), "0": ("O", "o"), "I": ("1",), "1": ("I", "i")}


@pytest.mark.parametrize(
    ("raw", "unit", "outward", "inward", "sector"),
    [
        ("sw1a1aa", "SW1A 1AA", "SW1A", "1AA", "SW1A 1"),
        ("SW1A", "SW1A", "SW1A", None, None),
        ("SW1A 1", "SW1A 1", "SW1A", None, "SW1A 1"),
        ("sw1", "SW1", "SW1", None, None),
        ("gir0aa", "GIR 0AA", "GIR", "0AA", "GIR 0"),
        ("G1R OAA", "GIR 0AA", "GIR", "0AA", "GIR 0"),
        ("B.F.P.O. 801", "BFPO 801", "BFPO", "801", None),
        ("bfp08O1", "BFPO 801", "BFPO", "801", None),
        ("bf1 2at", "BF1 2AT", "BF1", "2AT", "BF1 2"),
        ("ascn1zz", "ASCN 1ZZ", "ASCN", "1ZZ", "ASCN 1"),
        ("F1QQ IZZ", "FIQQ 1ZZ", "FIQQ", "1ZZ", "FIQQ 1"),
        ("GX11 1AA", "GX11 1AA", "GX11", "1AA", "GX11 1"),
        ("je2 3ab", "JE2 3AB", "JE2", "3AB", "JE2 3"),
        ("S014 OAA", "SO14 0AA", "SO14", "0AA", "SO14 0"),
        ("ZZ99 9ZZ", "ZZ99 9ZZ", "ZZ99", "9ZZ", "ZZ99 9"),
    ],
)
def test_british_forms(raw: str, unit: str, outward: str | None, inward: str | None, sector: str | None) -> None:
    for country in (None, "gb", "GBR", "UK", "United Kingdom", "England"):
        assert postcode(raw, country) == Postcode(unit, outward, inward, sector)


@pytest.mark.parametrize(
    ("raw", "country", "unit"),
    [
        ("h91  e2k3", "IE", "H91 E2K3"),
        ("H91 E2K3", None, "H91 E2K3"),
        ("d02 x285", None, "D02 X285"),
        ("69003", None, "69003"),
        ("K1A 0B1", None, "K1A 0B1"),
        ("L1A 1B0", None, "L1A 1B0"),
        ("1012 ab", None, "1012 AB"),
        ("sw1a 1aa", "France", "SW1A 1AA"),
        ("HM 12", None, "HM 12"),
    ],
)
def test_foreign_codes_pass_through(raw: str, country: str | None, unit: str) -> None:
    assert postcode(raw, country) == Postcode(unit, None, None, None)


@pytest.mark.parametrize("raw", ["", "  ", "-", "\0"])
def test_nothing_is_none(raw: str) -> None:
    assert postcode(raw) is None
