"""Versions that are moments sort by time, however they are written."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.sources.messages.moments import sortable

MOMENTS = st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 12, 31))
OFFSETS = st.integers(-14 * 60, 14 * 60)


def written(moment: dt.datetime, minutes: int, precision: str, separator: str) -> str:
    """A moment of UTC as a producer writes it who is so many minutes ahead of it."""
    zone = dt.timezone(dt.timedelta(minutes=minutes))
    text = moment.replace(tzinfo=dt.timezone.utc).astimezone(zone).isoformat(separator, precision)
    return text.replace("+00:00", "Z") if minutes == 0 else text


@given(one=MOMENTS, other=MOMENTS, here=OFFSETS, there=OFFSETS, separator=st.sampled_from("T "))
def test_moments_sort_by_time_whatever_their_offset(
    one: dt.datetime, other: dt.datetime, here: int, there: int, separator: str
) -> None:
    first = sortable(written(one, here, "microseconds", separator))
    second = sortable(written(other, there, "auto", "T"))
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)
    assert sortable(first) == first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00.000000000Z"),
        ("2024-01-01T10:00:00.5Z", "2024-01-01T10:00:00.500000000Z"),
        ("2024-01-01 10:00", "2024-01-01T10:00:00.000000000Z"),
        ("2024-06-01T10:00:00.123456789+01:00", "2024-06-01T09:00:00.123456789Z"),
        ("2024-01-01T00:30:00-0130", "2024-01-01T02:00:00.000000000Z"),
        ("2024-01-01T00:30:00+01", "2023-12-31T23:30:00.000000000Z"),
    ],
)
def test_a_moment_is_written_in_utc_with_nine_decimals(text: str, expected: str) -> None:
    assert sortable(text) == expected


@pytest.mark.parametrize(
    "text", ["", "7", "v2", "2024-02-30T10:00:00Z", "2016-12-31T23:59:60Z", "2024-01-01", "x2024-01-01T10:00"]
)
def test_text_that_is_no_moment_stays_as_it_is(text: str) -> None:
    assert sortable(text) == text


@given(st.text(max_size=40))
def test_any_text_has_a_version(text: str) -> None:
    assert isinstance(sortable(text), str)
