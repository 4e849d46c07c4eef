"""How a column of SQL Server is read, and how a value is made comparable with it: exactly, and without converting the column.

What each type needs stands in `types.table`. Sources: Microsoft, "CAST and CONVERT" (style 121), "Data type precedence"
(a bound value of a higher type makes SQL Server convert the column, which then cannot enter its index).
"""

import datetime as dt
import re
import struct
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mssql
from sqlalchemy.types import UserDefinedType

from sv_assets.errors import DataError
from sv_assets.sources.types import Column, local_text, offset_text, sql_type
from sv_assets.sources.types.moments import time_of_day
from sv_assets.sources.types.variant import split_text

SQL_CHAR, SQL_WCHAR, SQL_WVARCHAR, SQL_WLONGVARCHAR = 1, -8, -9, -10
SQL_SS_TIME2, SQL_SS_TIMESTAMPOFFSET = -154, -155
"""ODBC's numbers of types that pyodbc cannot hand over exactly (Microsoft, "Data type support for ODBC date and time")."""

_QUOTE = mssql.dialect().identifier_preparer.quote  # type: ignore[no-untyped-call]
_COLLATION = re.compile(r"\w+", re.ASCII)
_LARGEST = {
    "char": "varchar(8000)", "varchar": "varchar(8000)", "nchar": "nvarchar(4000)", "nvarchar": "nvarchar(4000)",
    "binary": "varbinary(8000)", "varbinary": "varbinary(8000)",
}  # fmt: skip


class _Named(UserDefinedType[Any]):
    """A type of T-SQL by its name, for CAST."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        name, bracket, size = self.name.partition("(")
        return name.upper() + bracket + size


def selected(column: Column) -> sa.ColumnElement[Any]:
    """The column as it is read. It has no label, because ORDER BY would then mean the text and not the column."""
    row = sql_type(column)
    if row.read_as is None:
        plain: sa.ColumnClause[Any] = sa.column(column.name)
        return plain
    return sa.literal_column(row.read_as.format(column=_QUOTE(column.name)))


def bound(column: Column, value: Any) -> Any:
    """A value that was read from the column, or a moment, to compare the column with.

    Date-times are cut off at the digits that the column keeps: T-SQL would round them, and refuses a `datetime` of more
    than three. A datetimeoffset is compared with a moment that has an offset. Raises DataError for what is no value of
    the column's type.
    """
    row = sql_type(column)
    if row.compared_as is None or value is None:
        return value
    if column.type_name == "sql_variant":
        return _variant(value)
    if column.type_name in ("decimal", "numeric") and column.precision is None:
        return value
    length = max(column.precision or 0, 0) or "max"
    kind = row.compared_as.format(declaration=column.declaration, name=column.type_name, length=length)
    if row.style is not None:
        return _converted(kind, _cut(column, value), row.style)
    if row.is_text:
        return _cast_text(column, value, kind)
    if isinstance(value, uuid.UUID):
        value = str(value)
    return sa.cast(sa.literal(value), _Named(kind))


def register_output_converters(connection: Any) -> None:
    """Make a pyodbc connection hand over as text what it cannot hold, and decode char and varchar whatever the locale.

    nvarchar may hold half of a surrogate pair. It is let through here, so that it stops its own row when that lands, and
    not the page that it is read with. A sql_variant cannot be helped here: the driver does not tell its base type, so it
    is read by `selected` only.
    """
    connection.add_output_converter(SQL_SS_TIMESTAMPOFFSET, timestampoffset_text)
    connection.add_output_converter(SQL_SS_TIME2, time2_text)
    for wide in (SQL_WCHAR, SQL_WVARCHAR, SQL_WLONGVARCHAR):
        connection.add_output_converter(wide, wide_text)
    connection.setdecoding(SQL_CHAR, encoding="utf-16le", ctype=SQL_WCHAR)


def timestampoffset_text(raw: bytes | None) -> str | None:
    """ODBC's SQL_SS_TIMESTAMPOFFSET_STRUCT as `2024-07-01 10:00:00.1234567 +01:00`."""
    if raw is None:
        return None
    year, month, day, hour, minute, second, nanoseconds, hours, minutes = struct.unpack("<6hI2h", raw)
    sign = "-" if hours < 0 or minutes < 0 else "+"
    clock = f"{hour:02d}:{minute:02d}:{second:02d}.{nanoseconds // 100:07d}"
    return f"{year:04d}-{month:02d}-{day:02d} {clock} {sign}{abs(hours):02d}:{abs(minutes):02d}"


def wide_text(raw: bytes | None) -> str | None:
    """UTF-16 as text, also where it is not Unicode."""
    return None if raw is None else raw.decode("utf-16-le", "surrogatepass")


def time2_text(raw: bytes | None) -> str | None:
    """ODBC's SQL_SS_TIME2_STRUCT as `10:00:00.1234567`."""
    if raw is None:
        return None
    hour, minute, second, nanoseconds = struct.unpack("<3H2xI", raw)
    return f"{hour:02d}:{minute:02d}:{second:02d}.{nanoseconds // 100:07d}"


def _converted(kind: str, text: str, style: int) -> sa.ColumnElement[Any]:
    return sa.func.CONVERT(sa.literal_column(kind), sa.literal(text, sa.String()), sa.literal_column(str(style)))


def _cast_text(column: Column, value: Any, kind: str) -> sa.ColumnElement[Any]:
    """Text is bound as nvarchar. On its way to a varchar it needs the column's code page, not that of the database."""
    parameter: sa.ColumnElement[Any] = sa.literal(value, sa.Unicode())
    if kind.startswith("varchar") and column.collation and _COLLATION.fullmatch(column.collation):
        parameter = parameter.op("COLLATE")(sa.literal_column(column.collation))
    return sa.cast(parameter, _Named(kind))


def _cut(column: Column, value: Any) -> str:
    """A moment as text that T-SQL converts to the column's type without rounding: cut off, never rounded up."""
    name = column.type_name
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    if name == "time":
        return _digits(time_of_day(value), column.precision)
    if name == "datetimeoffset":
        moment, offset = offset_text(value).rsplit(" ", 1)
        return f"{_digits(moment, column.precision)} {offset}"
    if isinstance(value, dt.datetime) and value.tzinfo:
        raise DataError(f"is compared with a moment that has an offset, which a {name} has not")
    text = local_text(value)
    if name == "date":
        return text[:10]
    if name == "smalldatetime":
        return f"{text[:16]}:00"
    return _digits(text, 3 if name == "datetime" else column.precision)


def _digits(text: str, precision: int | None) -> str:
    """`… hh:mm:ss.nnnnnnn` with as many digits after the point as the column keeps."""
    return text[: len(text) - 7 + (7 if precision is None else precision)].removesuffix(".")


def _variant(value: Any) -> sa.ColumnElement[Any]:
    """The text of a sql_variant, given its base type again: sql_variants compare by that first."""
    split = split_text(value)
    if split is None:
        raise DataError("is compared with what is no sql_variant that was read")
    base, text = split
    inner: sa.ColumnElement[Any]
    if sql_type(base).style:
        inner = _converted(base.declaration, _cut(base, text), 121)
    elif base.type_name in ("binary", "varbinary"):
        inner = _converted(_sized(base), text, 1)
    else:
        inner = sa.cast(sa.literal(text, sa.Unicode()), _Named(_sized(base)))
    return sa.cast(inner, _Named("sql_variant"))


def _sized(base: Column) -> str:
    """The base type with the sizes that a sql_variant tells: for text and binary as large as it can hold."""
    sizes = {
        "char": "varchar(8000)",
        "varchar": "varchar(8000)",
        "nchar": "nvarchar(4000)",
        "nvarchar": "nvarchar(4000)",
    }
    return sizes.get(base.type_name, "varbinary(8000)" if "binary" in base.type_name else base.declaration)
