"""sql_variant: each value has a type of its own, which neither ODBC driver tells.

T-SQL therefore gives one text that begins with the base type, `decimal,9,2:12.50`, and converts each base type by the
style that loses nothing (Microsoft, "CAST and CONVERT": style 3 of a float has the 17 digits that tell any two apart).
"""

import struct
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from sv_assets.errors import DataError
from sv_assets.sources.types.column import Column
from sv_assets.sources.types.plain import Converter, Marked, as_it_is

BASE_TYPE_TEXTS = {
    "datetimeoffset": "CONVERT(nvarchar(34), CAST({column} AS datetimeoffset(7)), 121)",
    "datetime2": "CONVERT(nvarchar(27), CAST({column} AS datetime2(7)), 121)",
    "datetime": "CONVERT(nvarchar(27), CAST({column} AS datetime), 121)",
    "smalldatetime": "CONVERT(nvarchar(27), CAST({column} AS smalldatetime), 121)",
    "date": "CONVERT(nvarchar(10), CAST({column} AS date), 121)",
    "time": "CONVERT(nvarchar(16), CAST({column} AS time(7)), 121)",
    "float": "CONVERT(nvarchar(40), CAST({column} AS float), 3)",
    "real": "CONVERT(nvarchar(40), CAST({column} AS real), 3)",
    "money": "CAST(CAST(CAST({column} AS money) AS decimal(19,4)) AS nvarchar(40))",
    "smallmoney": "CAST(CAST(CAST({column} AS money) AS decimal(19,4)) AS nvarchar(40))",
    "binary": "CONVERT(nvarchar(max), CAST({column} AS varbinary(8000)), 1)",
    "varbinary": "CONVERT(nvarchar(max), CAST({column} AS varbinary(8000)), 1)",
}
"""How each base type becomes text; those that are not here are cast to nvarchar."""

BASE_TYPES = frozenset(
    (
        *BASE_TYPE_TEXTS,
        *("bit", "tinyint", "smallint", "int", "bigint", "decimal", "numeric", "uniqueidentifier"),
        *("char", "varchar", "nchar", "nvarchar"),
    )
)
"""What a sql_variant can hold (Microsoft, "sql_variant")."""

_WHENS = " ".join(f"WHEN '{name}' THEN {text}" for name, text in BASE_TYPE_TEXTS.items())
_NAME = "CAST(SQL_VARIANT_PROPERTY({column}, 'BaseType') AS nvarchar(128))"
# A varchar of more than 4,000 bytes is cast to varchar first, because a direct cast to nvarchar(4000) would cut it off.
READ_AS = (
    f"{_NAME} + N',' + CAST(SQL_VARIANT_PROPERTY({{column}}, 'Precision') AS nvarchar(11)) + N',' "
    f"+ CAST(SQL_VARIANT_PROPERTY({{column}}, 'Scale') AS nvarchar(11)) + N':' + CASE {_NAME} {_WHENS} "
    "ELSE CASE WHEN DATALENGTH({column}) > 4000 AND " + _NAME + " IN ('char', 'varchar') "
    "THEN CAST(CAST({column} AS varchar(8000)) AS nvarchar(max)) ELSE CAST({column} AS nvarchar(4000)) END END"
)
"""The text of a sql_variant; NULL stays NULL, because NULL + text is NULL."""

_SIZED = ("datetimeoffset", "datetime2", "time")
_EMBEDDED = {int: "bigint", float: "float", str: "nvarchar", bytes: "varbinary"}


def variant(zone: ZoneInfo, converter: Callable[[Column, ZoneInfo], Converter]) -> Converter:
    """Each value is converted as its base type says, and the base type stands beside it.

    In a SQLite file it is a text, number or binary as it is, under the type that SQL Server would give it.
    """
    converters: dict[str, tuple[Column, Converter]] = {}

    def convert(value: Any) -> Any:
        split = split_text(value)
        if split is None:
            return Marked(as_it_is(value), base_type=_EMBEDDED.get(type(value)))
        base, text = split
        known = converters.get(base.declaration)
        if known is None:
            known = converters[base.declaration] = (base, converter(base, zone))
        landed = known[1](_python_value(base, text))
        if isinstance(landed, Marked):
            return landed._replace(base_type=base.type_name)
        return Marked(landed, base_type=base.type_name)

    return convert


def split_text(value: Any) -> tuple[Column, str] | None:
    """(the base type, the text) of a sql_variant that was read from SQL Server; None for a value as it is."""
    head, colon, text = value.partition(":") if isinstance(value, str) else ("", "", "")
    parts = head.split(",")
    if not colon or len(parts) != 3 or parts[0] not in BASE_TYPES or not (parts[1] + parts[2]).isdigit():
        return None
    name, precision, scale = parts[0], int(parts[1]), int(parts[2])
    if name in _SIZED:
        return Column("", name, scale), text
    return Column("", name, precision or None, scale), text


def _python_value(base: Column, text: str) -> Any:
    """The value as the driver would hand over a column of the base type."""
    name = base.type_name
    try:
        if name in ("bit", "tinyint", "smallint", "int", "bigint"):
            return int(text)
        if name == "float":
            return float(text)
        if name == "real":
            return struct.unpack("f", struct.pack("f", float(text)))[0]
        if name in ("binary", "varbinary") and text.startswith("0x"):
            return bytes.fromhex(text[2:])
    except (ValueError, OverflowError):
        raise DataError(f"is not a {name}") from None
    return text
