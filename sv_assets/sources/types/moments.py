"""Converters for dates and times, from what pyodbc hands over, the text that T-SQL gives, and the text in SQLite files.

Local date-times (without an offset) are in the system's declared time zone. BSON keeps milliseconds in UTC, so digits
below them are cut off, and the exact local text stands beside the value; so it does for the hour that the clocks skip
in spring, which is taken by the offset that was valid before it, as PEP 495 has it. The hour that comes twice in autumn
is taken as its first time: nothing in the data says which one it was.
"""

import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sv_assets.errors import DataError
from sv_assets.sources.types.plain import Marked

_UTC = dt.timezone.utc
_MIDNIGHT = dt.time(tzinfo=_UTC)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LOCAL = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,7}))?)?", re.ASCII)
_OFFSET = re.compile(
    r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,7}))? ?(?:Z|([+-])(0\d|1[0-4]):([0-5]\d))", re.ASCII
)
_MINUTES = re.compile(r"([+-])(\d\d):([0-5]\d)", re.ASCII)
_SORTABLE = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{1,7}", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,7}))?)?", re.ASCII)
_NO_DIGITS = frozenset(("", "0", "00", "000", "0000"))
_MOST_MINUTES = 14 * 60


def date(value: Any) -> dt.datetime:
    """A date as midnight UTC, in every time zone."""
    if type(value) is str and len(value) == 10 and value[4] == value[7] == "-":
        try:
            return dt.datetime.fromisoformat(f"{value}T00:00+00:00")
        except ValueError:
            pass  # the long way says what is wrong
    if isinstance(value, str):
        moment, ticks = _parsed(value)
        if moment.time() != dt.time() or ticks.strip("0"):
            raise DataError("is not a date (it has a time of day)")
        value = moment.date()
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise DataError("is not a date")
    return dt.datetime.combine(value, _MIDNIGHT)


def local_date_time(zone: ZoneInfo) -> Callable[[Any], Any]:
    """Local date-times as UTC. Text in T-SQL's own form (style 121) goes by the day's offset, which is looked up once."""

    def convert(value: Any) -> Any:
        text = f"{value}.000" if type(value) is str and len(value) == 19 else value
        if type(text) is str and 23 <= len(text) <= 27 and text[19] == "." and text[11:13] < "24":
            try:
                offset = _offset_on(text[:10], zone)
                if offset is not None:
                    # "+00:00" says that it is UTC; subtracting the offset makes it so.
                    utc = dt.datetime.fromisoformat(text[:23] + "+00:00") - offset
                    lost = text[23:]
                    if lost in _NO_DIGITS:
                        return utc
                    if lost.isdecimal() and lost.isascii():
                        return Marked(utc, f"{text[:10]}T{text[11:]:0<16}")
            except (ValueError, OverflowError):
                pass  # the long way says what is wrong
        return _converted(value, zone)

    return convert


def offset_date_time(value: Any) -> Marked:
    """A datetimeoffset: the UTC date and its offset in minutes, and the exact text where digits are lost."""
    if type(value) is str and len(value) == 34 and value[19] == "." and value[27] == " " and value[11:13] < "24":
        try:
            minutes = _minutes(value[28:])
            utc = dt.datetime.fromisoformat(value[:23] + "+00:00") - dt.timedelta(minutes=minutes)
            lost = value[23:27]
            if lost == "0000":
                return Marked(utc, None, minutes)
            if lost.isdecimal() and lost.isascii():
                return Marked(utc, f"{value[:10]}T{value[11:27]}{value[28:]}", minutes)
        except (ValueError, OverflowError):
            pass  # the long way says what is wrong
    moment, ticks, minutes = _parsed_offset(value)
    utc = _less(moment, minutes).replace(microsecond=int(ticks[:3]) * 1000, tzinfo=_UTC)
    exact = f"{moment.isoformat('T', 'seconds')}.{ticks}{_offset_text(minutes)}" if ticks[3:].strip("0") else None
    return Marked(utc, exact, offset_minutes=minutes)


def time_of_day(value: Any) -> str:
    """`hh:mm:ss.nnnnnnn`: BSON has no time of day."""
    if isinstance(value, dt.time) and value.tzinfo is None:
        return value.isoformat("microseconds") + "0"
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise DataError("is not a time of day")
    hour, minute, second, ticks = match.groups()
    return f"{hour}:{minute}:{second or '00'}.{(ticks or '').ljust(7, '0')}"


def local_text(value: Any) -> str:
    """A date-time as sortable text with seven digits, whatever the driver handed over: versions and bookmarks hold it.

    A local date-time stays local; one with an offset is given in UTC, so that the texts of a column sort as its moments
    do. Raises DataError for what is no date-time.
    """
    if type(value) is str and _SORTABLE.fullmatch(value):
        _second(value[:19])
        return value.ljust(27, "0")
    if (isinstance(value, dt.datetime) and value.tzinfo) or (isinstance(value, str) and _OFFSET.fullmatch(value)):
        moment, ticks, minutes = _parsed_offset(value)
        moment = _less(moment, minutes)
    else:
        moment, ticks = _parsed(value)
    return f"{moment.isoformat(' ', 'seconds')}.{ticks}"


def offset_text(value: Any) -> str:
    """A date-time with an offset as T-SQL writes it: `2024-07-01 10:00:00.1234567 +01:00`."""
    moment, ticks, minutes = _parsed_offset(value)
    return f"{moment.isoformat(' ', 'seconds')}.{ticks} {_offset_text(minutes)}"


@lru_cache(maxsize=16_384)
def _offset_on(day: str, zone: ZoneInfo) -> dt.timedelta | None:
    """How far the zone is ahead of UTC throughout this day; None where that changes, or where the zone skipped the day."""
    if not _DAY.fullmatch(day):
        return None
    begin = dt.datetime.fromisoformat(day)
    offsets = {zone.utcoffset(begin.replace(hour=hour)) for hour in range(24)}
    offsets.add(zone.utcoffset(begin.replace(hour=23, minute=59, second=59)))
    offset = offsets.pop()
    if (
        offsets
        or offset is None
        or (begin - offset).replace(tzinfo=_UTC).astimezone(zone).replace(tzinfo=None) != begin
    ):
        return None
    return offset


def _converted(value: Any, zone: ZoneInfo) -> Any:
    moment, ticks = _parsed(value)
    try:
        utc = moment.replace(tzinfo=zone).astimezone(_UTC)
        skipped = utc.astimezone(zone).replace(tzinfo=None) != moment
    except (OverflowError, ValueError):
        raise DataError("is a date-time that has no UTC equivalent") from None
    landed = utc.replace(microsecond=int(ticks[:3]) * 1000)
    if skipped or ticks[3:].strip("0"):
        return Marked(landed, f"{moment.isoformat('T', 'seconds')}.{ticks}")
    return landed


def _parsed(value: Any) -> tuple[dt.datetime, str]:
    """(the moment to the second, the seven digits after it)."""
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return value.replace(microsecond=0, fold=0), f"{value.microsecond:06d}0"
    match = _LOCAL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise DataError("is not a date-time")
    return _second(f"{match[1]} {match[2] or '00:00:00'}"), (match[3] or "").ljust(7, "0")


def _parsed_offset(value: Any) -> tuple[dt.datetime, str, int]:
    """(the local moment to the second, the seven digits after it, minutes ahead of UTC)."""
    if isinstance(value, dt.datetime) and (ahead := value.utcoffset()) is not None:
        minutes, rest = divmod(ahead, dt.timedelta(minutes=1))
        if not rest and abs(minutes) <= _MOST_MINUTES:
            return value.replace(microsecond=0, tzinfo=None), f"{value.microsecond:06d}0", minutes
    match = _OFFSET.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise DataError("is not a date-time with an offset")
    day, clock, ticks, sign, hours, minutes_past = match.groups()
    minutes = int(hours or 0) * 60 + int(minutes_past or 0)
    if minutes > _MOST_MINUTES:
        raise DataError("has an offset of more than 14 hours")
    return _second(f"{day} {clock}"), (ticks or "").ljust(7, "0"), -minutes if sign == "-" else minutes


def _second(text: str) -> dt.datetime:
    if text[11:13] < "24":
        try:
            return dt.datetime.fromisoformat(text)
        except ValueError:
            pass
    raise DataError("is not a date-time that exists in the calendar")


@lru_cache(maxsize=128)
def _minutes(offset: str) -> int:
    """`+01:00` in minutes ahead of UTC. Raises ValueError for what is no offset of up to 14 hours."""
    match = _MINUTES.fullmatch(offset)
    minutes = int(match[2]) * 60 + int(match[3]) if match else _MOST_MINUTES + 1
    if match is None or minutes > _MOST_MINUTES:
        raise ValueError
    return -minutes if match[1] == "-" else minutes


def _less(moment: dt.datetime, minutes: int) -> dt.datetime:
    try:
        return moment - dt.timedelta(minutes=minutes)
    except OverflowError:
        raise DataError("is a date-time that has no UTC equivalent") from None


def _offset_text(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"
