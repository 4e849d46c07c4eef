"""Moments as versions: ISO 8601 text that sorts by time, whatever precision and offset its producer writes."""

import datetime as dt
import re

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?\s?([Zz]|[+-]\d\d(?::?\d\d)?)?")


def sortable(text: str) -> str:
    """A date-time in UTC with nine decimals (`2026-11-24T09:30:00.000000000Z`); any other text as it is.

    As text `10:00:00.5Z` sorts before `10:00:00Z`, and an offset says nothing at all: so producers that write moments in
    more than one way would have a newer version taken for an older one. A moment without an offset counts as UTC.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        return text
    day, time, fraction, offset = match.groups()
    try:
        moment = dt.datetime.fromisoformat(f"{day}T{time}") - _from_utc(offset)
    except (ValueError, OverflowError):  # the 30th of February, a leap second, the year 0000
        return text
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{(fraction or ''):0<9}Z".rjust(30, "0")


def _from_utc(offset: str | None) -> dt.timedelta:
    if offset is None or offset in "Zz":
        return dt.timedelta(0)
    hours, minutes = int(offset[1:3]), int(offset[-2:]) if len(offset) > 3 else 0
    return dt.timedelta(hours=hours, minutes=minutes) * (-1 if offset[0] == "-" else 1)
