"""Phone numbers as E.164."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sv_assets.identity.normalise import phone, phones

mobiles = st.integers(7_100_000_000, 7_999_999_999)
DRAMA = [
    *("7700900", "2079460", "1134960", "1144960", "1154960", "1164960", "1174960", "1184960", "1214960", "1314960"),
    *("1414960", "1514960", "1614960", "1914980", "2896496", "2920180", "1632960", "8081570", "9098790", "3069990"),
]
"""Ofcom, "Telephone numbers for use in TV and radio drama programmes": the first seven digits."""


@given(st.text() | st.text("0123456789+() -x.ab", max_size=25))
@example("\ud800")
@example("0" * 10_000)
@example("+" * 300)
@example("tel:+441234567890;phone-context=+44")
@example("+44 (0)0 311 765673")
def test_any_text_has_a_settled_answer(text: str) -> None:
    for region in ("GB", "US", "IT", "no region"):
        found = phone(text, region)
        assert found is None or (phone(found) == found and found[1:].isdecimal())


@given(mobiles, st.data())
def test_it_does_not_matter_how_a_number_is_written(number: int, data: st.DataObject) -> None:
    prefix = data.draw(st.sampled_from(["0", "+44", "+44 ", "0044", "+44 (0)", "44", "", "0044 (0)", "(+44) ", "+440"]))
    gaps = data.draw(st.lists(st.sampled_from(["", " ", "-", "  ", "."]), min_size=9, max_size=9))
    typed = prefix + "".join(digit + gap for digit, gap in zip(str(number), [*gaps, ""], strict=True))
    behind = data.draw(st.sampled_from(["", " ", " ext 12", " x3", " (mum)", " mobile"]))
    assert phone(f" {typed}{behind}") == f"+44{number}"


@given(st.from_regex(phones._PLAIN_GB, fullmatch=True))
@example("01800201234")
@example("1800201234")
@example("0)7)7)0)0)9)0)0)1)2)3")
@example("441234567890")
@example("+44 (0) 1234567890")
def test_a_plain_british_number_gets_the_answer_of_the_library(raw: str) -> None:
    assert phone(raw) == phones._by_library(raw, "GB")


@pytest.mark.parametrize("start", DRAMA)
def test_numbers_for_drama_can_be_used(start: str) -> None:
    assert phone(f"0{start}123") == phone(f"+44 (0){start} 123") == f"+44{start}123"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "0",
        "n/a",
        "unknown",
        "12",
        "123456",
        "496 0123",
        "1" * 11,
        "077009001234567",
        "0" * 11,
        "07700 900",
        "call me",
    ],
)
def test_what_cannot_be_a_number_is_none(raw: str) -> None:
    assert phone(raw) is None


@pytest.mark.parametrize(
    ("raw", "region", "expected"),
    [
        ("+33 1 23 45 67 89", "GB", "+33123456789"),
        ("0033 1 23 45 67 89", "GB", "+33123456789"),
        ("01 23 45 67 89", "FR", "+33123456789"),
        ("07700 900123", "FR", None),
        ("+44 7700 900123", "FR", "+447700900123"),
        ("0800 1111", "GB", "+448001111"),
        ("(0161) 496 0123", "GB", "+441614960123"),
    ],
)
def test_the_region_is_for_numbers_without_a_country(raw: str, region: str, expected: str | None) -> None:
    assert phone(raw, region) == expected
