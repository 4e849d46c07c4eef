"""Dates of birth: reading them, and telling slips of the pen from other people."""

import datetime as dt
import re
from typing import NamedTuple

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAMES = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december", "sept",
)  # fmt: skip
_TIME = r"(?:[t ,]+[0-9]{1,2}:[0-9].*)?"
_YEAR_FIRST = re.compile(
    rf"([0-9]{{4}})(?:([-/.])([0-9]{{1,2}})\2([0-9]{{1,2}})|([0-9]{{2}})([0-9]{{2}})){_TIME}", re.DOTALL
)
_DAY_FIRST = re.compile(rf"([0-9]{{1,2}})([-/. ])([0-9]{{1,2}})\2([0-9]{{4}}){_TIME}", re.DOTALL)
_DAY_MONTH_NAME = re.compile(
    rf"([0-9]{{1,2}})(?:st|nd|rd|th)?[-/. ]*(?:of )?([a-z]{{3,9}})[-/., ]*([0-9]{{4}}){_TIME}", re.DOTALL
)
_MONTH_NAME_DAY = re.compile(
    rf"([a-z]{{3,9}})[-/. ]*([0-9]{{1,2}})(?:st|nd|rd|th)?[-/., ]+([0-9]{{4}}){_TIME}", re.DOTALL
)
_LAST_IMPOSSIBLE_YEAR = 1900
_EPOCH = dt.date(1970, 1, 1)


class BirthDate(NamedTuple):
    """`weak`: 1 January, which is as often "some time that year" as a birthday."""

    date: dt.date
    weak: bool


def birth_date(value: dt.date | dt.datetime | str | None) -> BirthDate | None:
    """A date of birth, in British order where the text leaves it open; None for what is no date or means "unknown".

    Unknown are: up to the year 1900 (the zero of spreadsheets and of SQL Server), 1 January 1970 (the zero of Unix), and
    the future. Two-digit years are no date: they do not say which century.
    """
    date = _read(value) if isinstance(value, str) else value
    if isinstance(date, dt.datetime):
        date = date.date()
    if date is None or date.year <= _LAST_IMPOSSIBLE_YEAR or date == _EPOCH:
        return None
    if date > dt.datetime.now(dt.timezone.utc).date():
        return None
    return BirthDate(date, weak=(date.month, date.day) == (1, 1))


def swapped(date: dt.date) -> dt.date | None:
    """Day and month the other way round, where that is a date."""
    return dt.date(date.year, date.day, date.month) if date.day <= 12 else None


def same_birth_date(a: dt.date, b: dt.date) -> bool:
    """True if two dates of birth can be one person's: equal, day and month swapped, or one of the three parts off."""
    parts = [a.year == b.year, a.month == b.month, a.day == b.day]
    if a.year == b.year and (a.day, a.month) == (b.month, b.day):
        return True
    years_apart = abs(a.year - b.year)
    return all(parts) or (sum(parts) == 2 and (years_apart <= 1 or years_apart == 10))


def _read(raw: str) -> dt.date | None:
    text = " ".join(raw.lower().split())
    if found := _YEAR_FIRST.fullmatch(text):
        year, _, month, day, month_, day_ = found.groups()
        return _date(int(year), int(month or month_), int(day or day_))
    if found := _DAY_FIRST.fullmatch(text):
        day, _, month, year = found.groups()
        british = _date(int(year), int(month), int(day))
        return british or _date(int(year), int(day), int(month))
    if found := _DAY_MONTH_NAME.fullmatch(text):
        return _date(int(found[3]), _month(found[2]), int(found[1]))
    if found := _MONTH_NAME_DAY.fullmatch(text):
        return _date(int(found[3]), _month(found[1]), int(found[2]))
    return None


def _month(name: str) -> int:
    """1 to 12, or 0 for what is no month's name."""
    return _MONTHS.index(name[:3]) + 1 if name in _MONTHS or name in _MONTH_NAMES else 0


def _date(year: int, month: int, day: int) -> dt.date | None:
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None
