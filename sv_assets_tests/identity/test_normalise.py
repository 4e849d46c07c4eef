"""Contact data in its compared form: what counts as the same, what counts as nothing, and never an exception."""

import datetime as dt
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sv_assets.identity import normalise
from sv_assets.identity.normalise import PersonName, person_name, same_birth_date, same_first_name

mobiles = st.integers(7_100_000_000, 7_999_999_999).filter(lambda n: len(set(str(n))) > 2)
locals_ = st.from_regex(r"[a-z][a-z0-9]{3,10}(\.[a-z0-9]{1,6})?", fullmatch=True)
first_names = st.sampled_from(
    [
        "bob",
        "robert",
        "rob",
        "bert",
        "jo",
        "j",
        "joanna",
        "chris",
        "christine",
        "kit",
        "r",
        "sandy",
        "alex",
        "alexandra",
    ]
)
names = first_names | st.text(max_size=8)
dates = st.dates(dt.date(1901, 1, 1), dt.date(2020, 12, 31))


@given(st.text())
@example("\ud800@x.com")
@example("a@b.c" + "d" * 300)
@example("\0")
def test_no_text_is_an_error(text: str) -> None:
    normalise.email(text)
    normalise.phone(text)
    normalise.postcode(text)
    normalise.birth_date(text)
    person_name(full=text)
    person_name(title=text, first=text, last=text)


@pytest.mark.parametrize("blank", ["", " ", "\t\n", ",", " , ", ".", "Mr", "Mrs "])
def test_a_name_without_letters_is_no_name(blank: str) -> None:
    name = person_name(full=blank)
    assert (name.first, name.last) == (None, None)


@given(st.text())
@example("ŉ")
@example("ΐ\u0345")
@example("\u1e9e")
def test_the_compared_form_of_a_compared_form_is_itself(text: str) -> None:
    for rule in (normalise.email, normalise.phone, normalise.postcode, normalise.word):
        compared = rule(text)
        assert compared is None or rule(compared) == compared


@given(locals_, st.sampled_from(["example.com", "mail.example.co.uk"]), st.data())
def test_email_does_not_depend_on_case_and_outer_space(local: str, domain: str, data: st.DataObject) -> None:
    address = f"{local}@{domain}"
    typed = "".join(ch.upper() if data.draw(st.booleans()) else ch for ch in address)
    padding = data.draw(st.sampled_from(["", " ", "\t", " \n"]))
    assert normalise.email(padding + typed + padding) == normalise.email(address)


@given(mobiles, st.data())
def test_phone_does_not_depend_on_how_it_is_written(number: int, data: st.DataObject) -> None:
    prefix = data.draw(st.sampled_from(["0", "+44", "+44 ", "0044", "+44 (0)"]))
    gaps = data.draw(st.lists(st.sampled_from(["", " ", "-", "  "]), min_size=10, max_size=10))
    typed = prefix + "".join(digit + gap for digit, gap in zip(str(number), gaps, strict=True))
    assert normalise.phone(typed) == f"+44{number}"


@given(st.from_regex(r"[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}", fullmatch=True))
def test_postcode_does_not_depend_on_case_and_space(postcode: str) -> None:
    typed = f" {postcode.lower().replace(' ', '')} "
    assert normalise.postcode(typed) == normalise.postcode(postcode)
    assert re.fullmatch(r"[A-Z0-9]+", normalise.postcode(postcode) or "")


@pytest.mark.parametrize(
    "placeholder",
    [
        "none@none.com",
        "NoEmail@example.com",
        "no-email@shop.co.uk",
        "test@test.com",
        "x@",
        "@x.com",
        "a b@c.com",
        "n/a",
    ],
)
def test_a_placeholder_email_is_no_evidence(placeholder: str) -> None:
    assert normalise.email(placeholder) is None


@pytest.mark.parametrize(
    "placeholder", ["0", "00000000000", "07777777777", "11111111111", "01234567890", "0123456789", "unknown", "12"]
)
def test_a_placeholder_phone_is_no_evidence(placeholder: str) -> None:
    assert normalise.phone(placeholder) is None


@given(names, names)
def test_same_first_name_is_symmetric_and_reflexive(a: str, b: str) -> None:
    assert same_first_name(a, a)
    assert same_first_name(a, b) == same_first_name(b, a)


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
    ],
)
def test_first_names_that_one_person_goes_by(a: str, b: str, same: bool) -> None:
    assert same_first_name(a, b) is same


@given(dates, dates)
def test_same_birth_date_is_symmetric_and_reflexive(a: dt.date, b: dt.date) -> None:
    assert same_birth_date(a, a)
    assert same_birth_date(a, b) == same_birth_date(b, a)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("1980-03-07", "1980-07-03", True),
        ("1980-03-07", "1980-03-17", True),
        ("1980-03-07", "1981-03-07", True),
        ("1980-03-07", "1990-03-07", True),
        ("1980-03-07", "2008-03-07", False),
        ("1980-03-07", "1980-04-08", False),
        ("1980-03-07", "1955-06-30", False),
    ],
)
def test_birth_dates_that_differ_by_a_slip_of_the_pen(a: str, b: str, same: bool) -> None:
    assert same_birth_date(dt.date.fromisoformat(a), dt.date.fromisoformat(b)) is same


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1900-01-01", None),
        ("1970-01-01", None),
        ("1899-12-30", None),
        ("0001-01-01", None),
        ("1985-02-31", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("1985-02-28", dt.date(1985, 2, 28)),
        ("1985-02-28T00:00:00Z", dt.date(1985, 2, 28)),
        (dt.datetime(1985, 2, 28, 0, 0, tzinfo=dt.timezone.utc), dt.date(1985, 2, 28)),
        (dt.date(1985, 2, 28), dt.date(1985, 2, 28)),
    ],
)
def test_birth_date_of_nobody_is_none(value: dt.date | str | None, expected: dt.date | None) -> None:
    assert normalise.birth_date(value) == expected


@pytest.mark.parametrize(
    ("full", "expected"),
    [
        ("Mrs J Smith", PersonName("j", "smith", "f")),
        ("Mrs Smith", PersonName(None, "smith", "f")),
        ("Smith, Jane", PersonName("jane", "smith")),
        ("Dr. Bob  van Dyke", PersonName("bob", "dyke")),
        ("jane", PersonName(None, "jane")),
        ("MR JOHN SMITH", PersonName("john", "smith", "m")),
    ],
)
def test_a_name_in_one_piece(full: str, expected: PersonName) -> None:
    assert person_name(full=full) == expected


def test_a_name_in_parts() -> None:
    assert person_name(first="Zoë", last="O'Brien-Núñez") == PersonName("zoe", "obriennunez")
    assert person_name(first="zoe", last="O’BRIEN NUNEZ") == PersonName("zoe", "obriennunez")
    assert person_name(title="Mr.", first="J. R.", last="Smith") == PersonName("j", "smith", "m")
    assert person_name(first="Mrs Jane", last="Smith") == PersonName("jane", "smith", "f")
    assert person_name(first="Søren", last="Łoś-Weiß") == PersonName("soren", "losweiss")
