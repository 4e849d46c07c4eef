"""Dates of birth."""

import datetime as dt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sv_assets.identity.normalise import BirthDate, birth_date, same_birth_date, swapped

dates = st.dates(dt.date(1901, 1, 1), dt.date(2020, 12, 31))


@given(st.text() | st.text("0123456789-/ JanFeb:T", max_size=20))
@example("²²/11/1985")
@example("99999999")
@example("\ud800")
def test_any_text_has_an_answer(text: str) -> None:
    birth_date(text)


@given(dates, st.sampled_from(["", "T00:00:00Z", " 00:00:00.000", " 12:30"]))
def test_it_does_not_matter_how_a_date_is_written(date: dt.date, time: str) -> None:
    expected = birth_date(date)
    forms = [
        "%Y-%m-%d",
        "%Y%m%d",
        "%d/%m/%Y",
        "%d.%m.%Y",
        "%d-%m-%Y",
        "%d %b %Y",
        "%d %B %Y",
        "%d-%b-%Y",
        "%B %d, %Y",
        "%Y/%m/%d",
    ]
    for form in forms:
        written = date.strftime(form) + time
        assert {birth_date(written), birth_date(f" {written.upper()} "), birth_date(written.lower())} == {expected}
    assert birth_date(dt.datetime.combine(date, dt.time(23, 59))) == expected
    assert (expected is None) == (date == dt.date(1970, 1, 1))


@given(dates.filter(lambda d: d.day > 12))
def test_american_order_is_read_where_nothing_else_is_a_date(date: dt.date) -> None:
    assert birth_date(date.strftime("%m/%d/%Y")) == BirthDate(date, False)


@pytest.mark.parametrize(
    "value",
    [
        *("1900-01-01", "1970-01-01", "1899-12-30", "0001-01-01", "1753-01-01", "9999-12-31", "2999-05-05"),
        *("1985-02-31", "31/02/1985", "soon", "", "28/02/85", "1985-W01-1", "28 Foo 1985", "1985", "1985-02"),
        None,
        dt.date(1970, 1, 1),
        dt.datetime(1900, 1, 1),
    ],
)
def test_the_birth_date_of_nobody_is_none(value: dt.date | str | None) -> None:
    assert birth_date(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1985-02-28", dt.date(1985, 2, 28)),
        ("1985-02-28T00:00:00Z", dt.date(1985, 2, 28)),
        ("7/3/1985", dt.date(1985, 3, 7)),
        ("28th of February 1985", dt.date(1985, 2, 28)),
        ("1 Sept 1985", dt.date(1985, 9, 1)),
        (dt.datetime(1985, 2, 28, 0, 0, tzinfo=dt.timezone.utc), dt.date(1985, 2, 28)),
        (dt.date(1985, 2, 28), dt.date(1985, 2, 28)),
    ],
)
def test_birth_dates_as_people_write_them(value: dt.date | str, expected: dt.date) -> None:
    assert birth_date(value) == BirthDate(expected, weak=False)


def test_the_first_of_january_is_a_weak_date() -> None:
    assert birth_date("1980-01-01") == BirthDate(dt.date(1980, 1, 1), weak=True)


@given(dates)
def test_swapping_twice_changes_nothing(date: dt.date) -> None:
    other = swapped(date)
    assert (other is None) == (date.day > 12)
    assert other is None or (swapped(other) == date and same_birth_date(date, other))


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
