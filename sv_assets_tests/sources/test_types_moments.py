"""Dates and times land in UTC to the millisecond, and what that loses stands beside them; also when the clocks change."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sv_assets.errors import DataError
from sv_assets.sources.types import Marked, local_text, offset_text
from sv_assets_tests.sources.test_types import LONDON, UTC, convert, through_bson

ZONES = st.sampled_from(
    [LONDON, *map(ZoneInfo, ["UTC", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"])]
)
MOMENTS = st.one_of(
    st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)),
    st.datetimes(dt.datetime(2024, 3, 31), dt.datetime(2024, 3, 31, 3)),
    st.datetimes(dt.datetime(2024, 10, 27), dt.datetime(2024, 10, 27, 3)),
)


def parts(landed: Any) -> tuple[dt.datetime, str | None]:
    """(the date as it comes back from MongoDB, the exact text)."""
    if isinstance(landed, Marked):
        return through_bson(landed.value), landed.exact
    return through_bson(landed), None


@given(MOMENTS, st.integers(0, 9), ZONES, st.sampled_from("T "))
@example(dt.datetime(1, 1, 2), 0, LONDON, " ")
@example(dt.datetime(2011, 12, 30, 12), 0, ZoneInfo("Pacific/Apia"), " ")
def test_a_datetime2_comes_back_to_its_last_digit(moment: dt.datetime, last: int, zone: ZoneInfo, between: str) -> None:
    text = f"{moment.isoformat(between, 'microseconds')}{last}"
    value, exact = parts(convert("DATETIME2(7)", text, zone))
    expected = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=zone, fold=0).astimezone(UTC)
    assert value == expected, "floored to the millisecond; an hour that comes twice is its first time (fold=0)"
    local = value.astimezone(zone).replace(tzinfo=None, fold=0)
    assert (exact or f"{local.isoformat('T', 'microseconds')}0") == text.replace(" ", "T")


@given(MOMENTS, ZONES)
def test_text_and_python_values_of_one_moment_land_alike(moment: dt.datetime, zone: ZoneInfo) -> None:
    texts = [moment.isoformat(" ", "microseconds"), moment.isoformat("T", "microseconds") + "0"]
    if moment.microsecond % 1000 == 0:
        texts.append(moment.isoformat(" ", "milliseconds"))
    assert {parts(convert("DATETIME2", form, zone)) for form in [moment, *texts]} == {
        parts(convert("DATETIME2", moment, zone))
    }


@pytest.mark.parametrize("name", ["DATETIME", "DATETIME2(3)", "SMALLDATETIME"])
def test_the_hour_that_the_clocks_skip_keeps_its_own_text(name: str) -> None:
    skipped, real = convert(name, "2024-03-31 01:30:00.000"), convert(name, "2024-03-31 02:30:00.000")
    assert skipped == Marked(real, "2024-03-31T01:30:00.0000000"), "both are 01:30 UTC: the text tells them apart"
    assert convert(name, "2024-03-31 00:59:59.999") == dt.datetime(2024, 3, 31, 0, 59, 59, 999000, tzinfo=UTC)
    assert convert(name, "2024-03-31 02:00:00.000") == dt.datetime(2024, 3, 31, 1, tzinfo=UTC)


def test_the_hour_that_comes_twice_is_read_as_its_first_time() -> None:
    for text in ("2024-10-27 01:30:00", "2024-10-27 01:30:00.000", "2024-10-27 01:30:00.0000000"):
        assert convert("DATETIME2", text) == dt.datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert convert("DATETIME2", "2024-10-27 02:00:00.000") == dt.datetime(2024, 10, 27, 2, tzinfo=UTC)


def test_a_whole_day_that_a_zone_skipped_keeps_its_text() -> None:
    landed = convert("DATETIME2", "2011-12-30 12:00:00.0000000", ZoneInfo("Pacific/Apia"))
    assert landed.exact == "2011-12-30T12:00:00.0000000"


def test_a_local_time_without_an_equivalent_in_utc_is_refused() -> None:
    for text, zone in (("0001-01-01 00:00:00.000", "Asia/Tokyo"), ("9999-12-31 23:59:59.999", "America/New_York")):
        with pytest.raises(DataError, match="no UTC equivalent"):
            convert("DATETIME2", text, ZoneInfo(zone))
    assert parts(convert("DATETIME2", "0001-01-01 00:00:00.0000000"))[0].year == 1
    assert parts(convert("DATETIME2", "9999-12-31 23:59:59.9999999"))[1] == "9999-12-31T23:59:59.9999999"


@given(st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)), st.integers(0, 9), st.integers(-840, 840))
def test_a_datetimeoffset_comes_back_with_its_offset_and_its_last_digit(
    moment: dt.datetime, last: int, ahead: int
) -> None:
    zone = dt.timezone(dt.timedelta(minutes=ahead))
    offset = moment.replace(tzinfo=zone).isoformat()[-6:]
    text = f"{moment.isoformat(' ', 'microseconds')}{last} {offset}"
    landed = convert("DATETIMEOFFSET(7)", text)
    assert landed.offset_minutes == ahead
    back = through_bson(landed.value).astimezone(zone).replace(tzinfo=None)
    assert (landed.exact or f"{back.isoformat('T', 'microseconds')}0{offset}") == text.replace(" ", "T", 1).replace(
        " ", ""
    )
    assert offset_text(text) == text
    assert convert("DATETIMEOFFSET", moment.replace(tzinfo=zone)).value == landed.value


def test_a_datetimeoffset_is_read_in_every_form() -> None:
    expected = Marked(dt.datetime(2024, 7, 1, 9, tzinfo=UTC), None, 60)
    for text in ("2024-07-01 10:00:00 +01:00", "2024-07-01T10:00+01:00", "2024-07-01 10:00:00.000 +01:00"):
        assert convert("DATETIMEOFFSET", text) == expected
    assert convert("DATETIMEOFFSET", "2024-07-01T09:00:00Z") == expected._replace(offset_minutes=0)
    assert (
        convert("DATETIMEOFFSET(7)", "2024-07-01 10:00:00.1234567 +01:00").exact == "2024-07-01T10:00:00.1234567+01:00"
    )


@given(st.dates())
def test_a_date_is_midnight_utc_whatever_the_zone(day: dt.date) -> None:
    expected = dt.datetime(day.year, day.month, day.day, tzinfo=UTC)
    for form in (day, day.isoformat(), f"{day.isoformat()} 00:00:00"):
        assert through_bson(convert("DATE", form, ZoneInfo("Asia/Tokyo"))) == expected


@given(st.times(), st.integers(0, 9))
def test_a_time_keeps_seven_digits(time: dt.time, last: int) -> None:
    text = f"{time.isoformat('microseconds')}{last}"
    assert through_bson(convert("TIME(7)", text)) == text
    assert convert("TIME(7)", time) == f"{time.isoformat('microseconds')}0"


@given(
    st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)),
    st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2099, 12, 31)),
)
def test_local_text_sorts_as_the_moments_do(one: dt.datetime, other: dt.datetime) -> None:
    assert (local_text(one) < local_text(other)) == (one < other)
    assert local_text(one) == local_text(one.isoformat(" ")) == local_text(one.isoformat("T"))
    assert len(local_text(one)) == 27


def test_local_text_of_a_datetimeoffset_sorts_by_its_moment() -> None:
    later, earlier = "2024-07-01 09:30:00.0000000 +00:00", "2024-07-01 10:00:00.1234567 +01:00"
    assert local_text(earlier) == "2024-07-01 09:00:00.1234567" < local_text(later)
    assert local_text(dt.datetime(2024, 7, 1, 10, tzinfo=LONDON)) == "2024-07-01 09:00:00.0000000"


def test_local_text_refuses_what_is_no_date_time() -> None:
    for value in ("2024-02-30 00:00:00.000", "2024-01-01 24:00:00.0", "yesterday", None, 5):
        with pytest.raises(DataError):
            local_text(value)
