"""How each SQL Server type lands in MongoDB.

| SQL Server type                          | lands as        | what BSON cannot hold exactly                                  |
|------------------------------------------|-----------------|----------------------------------------------------------------|
| bit                                      | bool            |                                                                |
| tinyint, smallint, int, bigint           | Int64           |                                                                |
| decimal, numeric, money, smallmoney      | Decimal128      | more than 34 digits: null, its digits in `_sv.exact`           |
| float, real                              | double          | NaN, Infinity: quarantine                                      |
| date                                     | date, 00:00 UTC |                                                                |
| datetime, smalldatetime, datetime2       | date, UTC       | digits below the millisecond, and times that the clocks skipped |
|                                          |                 | in spring: the local text in `_sv.exact`                       |
| time                                     | string          | `hh:mm:ss.nnnnnnn`                                             |
| char, varchar, text, nchar … , xml       | string          | trailing spaces are kept                                       |
| binary, varbinary, image, rowversion     | binary          |                                                                |
| uniqueidentifier                         | UUID            |                                                                |

Naive date-times are local to the system's declared time zone. The same functions serve pyodbc, which hands over Python
values, and SQLite, which hands over text and numbers under the declared type name.
"""

import datetime as dt
import decimal
import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from bson import Decimal128, Int64

from sv_assets.errors import DataError

_DECLARED = re.compile(r"^\s*([A-Za-z_]+[A-Za-z0-9_]*)\s*(?:\(\s*(\d+|max)\s*(?:,\s*(\d+)\s*)?\))?", re.IGNORECASE)
_DECIMAL = decimal.Context(prec=60)
_DATE_TIME = re.compile(r"^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,7}))?)?$", re.ASCII)
_TIME = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,7}))?)?$", re.ASCII)
_INT_RANGES = {"bigint": 63, "int": 31, "integer": 31, "smallint": 15}


@dataclass(frozen=True)
class Column:
    """A column of a legacy table, typed as SQL Server names it."""

    name: str
    type_name: str
    precision: int | None = None
    scale: int | None = None
    nullable: bool = True

    @staticmethod
    def declared(name: str, declaration: str, nullable: bool = True) -> "Column":
        """From a declaration such as `DECIMAL(19,4)` or `NVARCHAR(MAX)`."""
        match = _DECLARED.match(declaration)
        if match is None:
            return Column(name, "sql_variant", nullable=nullable)
        size = int(match.group(2)) if match.group(2) and match.group(2).isdigit() else None
        return Column(name, match.group(1).lower(), size, int(match.group(3)) if match.group(3) else None, nullable)


@dataclass(frozen=True, slots=True)
class Inexact:
    """What a converter returns where BSON holds less than the value: the nearest BSON value, and the exact text."""

    value: Any
    text: str


Converter = Callable[[Any], Any]


def converter(column: Column, zone: ZoneInfo) -> Converter:
    """The function for one column. It raises DataError (never naming the value) for what the type does not allow."""
    name = column.type_name
    if name == "bit":
        return _bit
    if name in ("tinyint", *_INT_RANGES):
        low, high = (0, 255) if name == "tinyint" else (-(2 ** _INT_RANGES[name]), 2 ** _INT_RANGES[name] - 1)
        return lambda value: _integer(value, low, high)
    if name in ("decimal", "numeric", "money", "smallmoney"):
        scale = 4 if "money" in name else (column.scale or 0)
        return lambda value: _decimal(value, scale)
    if name in ("float", "real"):
        return _float
    if name == "date":
        return _date
    if name in ("datetime", "datetime2", "smalldatetime"):
        return lambda value: _date_time(value, zone)
    if name == "time":
        return _time
    if name == "uniqueidentifier":
        return _uuid
    if name in ("binary", "varbinary", "image", "rowversion", "timestamp"):
        return _binary
    if name in ("char", "varchar", "nchar", "nvarchar", "text", "ntext", "xml", "sysname"):
        return _text
    return _as_it_is


def local_text(value: Any) -> str:
    """A naive local date-time as sortable text with seven digits, whatever the driver handed over: the exact version.

    Raises DataError for what is no date-time.
    """
    if isinstance(value, dt.datetime):
        return value.isoformat(" ", "microseconds") + "0"
    moment, ticks = _parse_date_time(value)
    return f"{moment.isoformat(' ', 'seconds')}.{ticks}"


def _bit(value: Any) -> Any:
    if value in (0, 1) and not isinstance(value, str):
        return bool(value)
    raise DataError("is not a bit (0 or 1)")


def _integer(value: Any, low: int, high: int) -> Any:
    if isinstance(value, int) and low <= value <= high:
        return Int64(value)
    raise DataError(f"is not a whole number from {low} to {high}")


def _decimal(value: Any, scale: int) -> Any:
    """Floats come from SQLite alone: its numbers carry 15 digits, and what the scale would round is refused."""
    try:
        number = _DECIMAL.create_decimal(repr(value) if isinstance(value, float) else value)
        exact = number.quantize(decimal.Decimal(1).scaleb(-scale), context=_DECIMAL)
    except (decimal.InvalidOperation, TypeError, ValueError):
        raise DataError("is not a decimal number") from None
    if not exact.is_finite() or exact != number:
        raise DataError(f"is not a decimal number with {scale} digits after the point")
    if len(exact.as_tuple().digits) > 34:
        return Inexact(None, str(exact))
    return Decimal128(exact)


def _float(value: Any) -> Any:
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    raise DataError("is not a finite number")


def _date(value: Any) -> Any:
    if isinstance(value, str):
        moment, ticks = _parse_date_time(value)
        if moment.time() != dt.time() or ticks.strip("0"):
            raise DataError("is not a date (it has a time of day)")
        value = moment.date()
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise DataError("is not a date")
    return dt.datetime(value.year, value.month, value.day, tzinfo=dt.timezone.utc)


def _date_time(value: Any, zone: ZoneInfo) -> Any:
    if isinstance(value, dt.datetime):
        moment, ticks = value.replace(microsecond=0), f"{value.microsecond:06d}0"
    else:
        moment, ticks = _parse_date_time(value)
    try:
        utc = moment.replace(tzinfo=zone).astimezone(dt.timezone.utc)
    except (OverflowError, ValueError):
        raise DataError("is a date-time that has no UTC equivalent") from None
    skipped = utc.astimezone(zone).replace(tzinfo=None) != moment
    exact = f"{moment.isoformat(' ', 'seconds')}.{ticks}" if skipped or ticks[3:].strip("0") else None
    value = utc.replace(microsecond=int(ticks[:3]) * 1000)
    return Inexact(value, exact) if exact else value


def _parse_date_time(value: Any) -> tuple[dt.datetime, str]:
    """(the moment to the second, the seven digits after it)."""
    match = _DATE_TIME.match(value) if isinstance(value, str) else None
    if match is None:
        raise DataError("is not a date-time")
    try:
        moment = dt.datetime.fromisoformat(f"{match.group(1)} {match.group(2) or '00:00:00'}")
    except ValueError:
        raise DataError("is not a date-time that exists in the calendar") from None
    return moment, (match.group(3) or "").ljust(7, "0")


def _time(value: Any) -> Any:
    if isinstance(value, dt.time):
        return value.isoformat("microseconds") + "0"
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None:
        raise DataError("is not a time of day")
    hour, minute, second, ticks = match.groups()
    return f"{hour}:{minute}:{second or '00'}.{(ticks or '').ljust(7, '0')}"


def _uuid(value: Any) -> Any:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise DataError("is not a uniqueidentifier") from None


def _binary(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise DataError("is not binary")


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    raise DataError("is not text")


def _as_it_is(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, bytes)):
        raise DataError(f"has a type that has no rule yet ({type(value).__name__})")
    if isinstance(value, int):
        return _integer(value, -(2**63), 2**63 - 1)
    return _float(value) if isinstance(value, float) else value
