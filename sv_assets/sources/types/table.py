"""The table of types: how each SQL Server type is read, compared, and landed in MongoDB.

The list is Microsoft's "Data types (Transact-SQL)"; `cursor` and `table` are no types of columns. A computed column lands
as its type says. `docs/types.md` is rendered from here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sv_assets.sources.types import moments, plain, variant
from sv_assets.sources.types.column import Column
from sv_assets.sources.types.plain import Converter


@dataclass(frozen=True)
class SqlType:
    """One row: types that land alike.

    `read_as`: the T-SQL that reads `{column}` exactly, where the driver would not (None: as it is). `compared_as`: the
    type that a value is converted to before the column is compared with it, so that SQL Server converts the value and
    can enter an index, never the column (None: as it is). `style`: of that conversion, where it is from text.
    """

    names: tuple[str, ...]
    lands_as: str
    convert: Callable[[Column, ZoneInfo], Converter]
    also: tuple[str, ...] = ()
    """Other spellings, in SQLite files and as T-SQL's synonyms."""
    beside: str = ""
    """What stands under `_sv` beside the value."""
    read_as: str | None = None
    compared_as: str | None = None
    style: int | None = None
    orders: bool = True
    """Can be part of a key, and be ordered by."""
    is_text: bool = False
    passes: type | None = None
    """Values of this Python type land as they are; the converter need not be asked."""


_LOCAL = "digits below the millisecond, and times that the clocks skipped in spring: the local text in `_sv.exact`"
_TEXT_121 = "CONVERT(varchar(27), {column}, 121)"
_WKT = "N'SRID=' + CAST({column}.STSrid AS nvarchar(11)) + N';' + {column}.ToString()"


def _always(converter: Converter) -> Callable[[Column, ZoneInfo], Converter]:
    return lambda column, zone: converter


def _local(column: Column, zone: ZoneInfo) -> Converter:
    return moments.local_date_time(zone)


def _decimal(column: Column, zone: ZoneInfo) -> Converter:
    """T-SQL's scale is 0 unless declared. SQLite's bare `NUMERIC` declares nothing, so a number keeps its own."""
    if column.precision is None and column.scale is None:
        return plain.any_decimal
    return plain.decimal(column.scale or 0)


def _rowversion(column: Column, zone: ZoneInfo) -> Converter:
    """Eight bytes. In SQLite files TIMESTAMP often means a date-time: text is taken as one."""
    local = moments.local_date_time(zone)
    return lambda value: local(value) if isinstance(value, str) else plain.binary(value)


def _variant(column: Column, zone: ZoneInfo) -> Converter:
    return variant.variant(zone, converter)


TYPES: tuple[SqlType, ...] = (
    SqlType(("bit",), "bool", _always(plain.bit), also=("boolean", "bool"), compared_as="bit", passes=bool),
    SqlType(("tinyint",), "Int64", _always(plain.integer(0, 255))),
    SqlType(("smallint",), "Int64", _always(plain.integer(-(2**15), 2**15 - 1))),
    SqlType(("int",), "Int64", _always(plain.integer(-(2**31), 2**31 - 1))),
    SqlType(("bigint",), "Int64", _always(plain.integer(-(2**63), 2**63 - 1)), also=("integer",)),
    SqlType(
        ("decimal", "numeric"), "Decimal128, with the column's scale", _decimal, also=("dec",),
        beside="more than 34 digits: the value is the string of its digits, and `_sv.exact` has it too",
        compared_as="{declaration}",
    ),
    SqlType(("money", "smallmoney"), "Decimal128, four digits after the point", _always(plain.decimal(4)), compared_as="{name}"),
    SqlType(
        ("float",), "double; NaN and Infinity: quarantine", _always(plain.floating), also=("double", "double precision")
    ),
    SqlType(("real",), "double of the same value; NaN and Infinity: quarantine", _always(plain.floating), compared_as="real"),
    SqlType(("date",), "date, 00:00 UTC", _always(moments.date), compared_as="date", style=121),
    SqlType(
        ("time",), "string `hh:mm:ss.nnnnnnn`", _always(moments.time_of_day),
        read_as=_TEXT_121, compared_as="{declaration}", style=121,
    ),
    SqlType(
        ("smalldatetime", "datetime", "datetime2"), "date, UTC, cut to the millisecond", _local,
        beside=_LOCAL, read_as=_TEXT_121, compared_as="{declaration}", style=121,
    ),
    SqlType(
        ("datetimeoffset",), "date, UTC, cut to the millisecond", _always(moments.offset_date_time),
        beside="its offset in `_sv.offset_minutes`; digits below the millisecond: the text in `_sv.exact`",
        read_as="CONVERT(varchar(34), {column}, 121)", compared_as="{declaration}", style=121,
    ),
    SqlType(
        ("char", "varchar"), "string, trailing spaces kept", _always(plain.text), also=("character", "character varying"),
        compared_as="varchar({length})", is_text=True, passes=str,
    ),
    SqlType(
        ("nchar", "nvarchar", "sysname"), "string, trailing spaces kept", _always(plain.text),
        also=("national character", "national character varying"), compared_as="nvarchar({length})", is_text=True, passes=str,
    ),
    SqlType(("text", "ntext"), "string", _always(plain.text), also=("clob",), orders=False, is_text=True, passes=str),
    SqlType(("binary", "varbinary"), "binary", _always(plain.binary), passes=bytes),
    SqlType(("image",), "binary", _always(plain.binary), orders=False, passes=bytes),
    SqlType(
        ("rowversion", "timestamp"), "binary, 8 bytes, compared unsigned", _rowversion,
        compared_as="binary(8)", passes=bytes,
    ),
    SqlType(("uniqueidentifier",), "UUID, subtype 4", _always(plain.identifier), compared_as="uniqueidentifier"),
    SqlType(("xml",), "string", _always(plain.text), orders=False, passes=str),
    SqlType(("json",), "string", _always(plain.text), read_as="CAST({column} AS nvarchar(max))", orders=False, passes=str),
    SqlType(
        ("vector",), "string, a JSON array", _always(plain.text),
        read_as="CAST({column} AS nvarchar(max))", orders=False, passes=str,
    ),
    SqlType(
        ("hierarchyid",), "string, the path `/1/2.5/`", _always(plain.text),
        read_as="{column}.ToString()", compared_as="hierarchyid", passes=str,
    ),
    SqlType(
        ("geography", "geometry"), "string, `SRID=4326;POINT (…)`", _always(plain.as_it_is),
        read_as=_WKT, orders=False, passes=str,
    ),
    SqlType(
        ("sql_variant",), "as its base type", _variant, beside="the base type in `_sv.base_type`",
        read_as=variant.READ_AS, compared_as="sql_variant",
    ),
)  # fmt: skip

OTHER = SqlType(
    ("other CLR types",), "string, by their `ToString()`", _always(plain.as_it_is),
    also=("types that SQLite alone has (as they are)",), read_as="{column}.ToString()", orders=False,
)  # fmt: skip

_BY_NAME = {name: row for row in TYPES for name in (*row.names, *row.also)}


def sql_type(column: Column) -> SqlType:
    """The row of a column's type."""
    return _BY_NAME.get(column.type_name, OTHER)


def converter(column: Column, zone: ZoneInfo) -> Converter:
    """The function for one column. It raises DataError (never naming the value) for what the type does not allow.

    It returns the BSON value, or a `Marked` one where that is not all.
    """
    return sql_type(column).convert(column, zone)


def types_as_markdown() -> str:
    """The table as people read it, for docs/types.md."""
    head = ("SQL Server type", "Lands as", "Beside it, under `_sv`", "Read as", "Compared with a value of", "In a key")
    lines = [_line(head), _line(["---"] * len(head))]
    for row in (*TYPES, OTHER):
        names = ", ".join(row.names) + (f" (also {', '.join(row.also)})" if row.also else "")
        compared = (
            row.compared_as.format(declaration="its own type", name="its own type", length="n")
            if row.compared_as
            else ""
        )
        read = "a CASE over its base type" if row.read_as == variant.READ_AS else (row.read_as or "").format(column="c")
        lines.append(
            _line([names, row.lands_as, row.beside, read and f"`{read}`", compared, "yes" if row.orders else "no"])
        )
    return "\n".join(lines) + "\n"


def _line(cells: Any) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
