"""What T-SQL reads and compares each type by: complete, and sentences that SQL Server's grammar takes."""

import datetime as dt
import re
import struct
import uuid
from decimal import Decimal
from typing import Any, cast

import pytest
import sqlalchemy as sa
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.mssql.base import MSDialect

from sv_assets.errors import DataError
from sv_assets.landing.documents import Origin, landing_document
from sv_assets.sources import tsql
from sv_assets.sources.convert import RowConverter
from sv_assets.sources.records import Record
from sv_assets.sources.table import TableShape
from sv_assets.sources.types import OTHER, TYPES, Column, Marked, sql_type, types_as_markdown
from sv_assets.sources.types.variant import BASE_TYPES
from sv_assets_tests.sources.shop import Shop
from sv_assets_tests.sources.test_types import LONDON, UTC, convert

DIALECT: Any = cast(Any, MSDialect)(deprecate_large_types=True)
# Microsoft, "Data types (Transact-SQL)", all but cursor and table, which no column can have; sysname, and the new ones.
SQL_SERVER_TYPES = """
    tinyint smallint int bigint bit decimal numeric money smallmoney float real
    date time datetime2 datetimeoffset datetime smalldatetime
    char varchar text nchar nvarchar ntext binary varbinary image
    geography geometry hierarchyid json vector rowversion timestamp sql_variant uniqueidentifier xml sysname
""".split()  # noqa: SIM905
COLUMNS = [
    Column("At Home", "decimal", 19, 4), Column("At Home", "varchar", 9, collation="Latin1_General_CI_AS"),
    Column("At Home", "nvarchar", -1), Column("At Home", "datetimeoffset", 3),
    *(Column("At Home", name) for name in SQL_SERVER_TYPES if name not in ("decimal", "varchar", "nvarchar", "datetimeoffset")),
    Column("At Home", "SomeClrType"),
]  # fmt: skip


def compiled(clause: Any) -> tuple[str, list[Any]]:
    statement = clause.compile(dialect=DIALECT)
    return re.sub(r"\s+", " ", str(statement)), list(statement.params.values())


def bound(column: Column, value: Any) -> tuple[str, list[Any]]:
    """(what the column is compared with, the parameter)."""
    text, values = compiled(sa.column("c") > tsql.bound(column, value))
    return re.sub(r":\w+", "?", text.removeprefix("c > ")), values


def test_every_type_of_sql_server_has_a_row_and_stands_once_in_the_table() -> None:
    names = [name for row in TYPES for name in (*row.names, *row.also)]
    assert {name for row in TYPES for name in row.names} == set(SQL_SERVER_TYPES)
    assert len(names) == len(set(names))
    assert all(row.lands_as for row in TYPES)
    assert sql_type(Column("c", "SomeClrType")) is OTHER


def test_the_table_is_rendered_for_people() -> None:
    lines = types_as_markdown().splitlines()
    assert len(lines) == len(TYPES) + 3
    assert {line.count("|") for line in lines} == {7}
    assert (
        "| datetimeoffset | date, UTC, cut to the millisecond | its offset in `_sv.offset_minutes`"
        in types_as_markdown()
    )


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.type_name)
def test_t_sql_understands_how_a_column_is_read(column: Column) -> None:
    clause = sa.select(tsql.selected(column)).select_from(sa.table("t")).order_by(sa.column(column.name))
    text, _ = compiled(clause)
    assert " AS [CONVERT" not in text, "no label, which ORDER BY would mean"
    assert "[At Home]" in text
    sqlglot.parse_one(text, read="tsql")


@pytest.mark.parametrize(
    ("column", "form"),
    [
        (Column("At", "datetime2", 7), "CONVERT(varchar(27), [At], 121)"), (Column("At", "time", 3), "CONVERT(varchar(27), [At], 121)"),
        (Column("At", "datetimeoffset", 7), "CONVERT(varchar(34), [At], 121)"), (Column("At", "hierarchyid"), "[At].ToString()"),
        (Column("At", "geography"), "N'SRID=' + CAST([At].STSrid AS nvarchar(11)) + N';' + [At].ToString()"),
        (Column("At", "json"), "CAST([At] AS nvarchar(max))"), (Column("At", "Point"), "[At].ToString()"),
        (Column("At", "int"), "[At]"), (Column("A]t", "date"), "[A]]t]"), (Column("A]t", "datetime"), "CONVERT(varchar(27), [A]]t], 121)"),
    ],
)  # fmt: skip
def test_a_column_is_read_in_its_exact_form(column: Column, form: str) -> None:
    assert compiled(tsql.selected(column))[0] == form


def test_a_sql_variant_is_read_by_its_base_type() -> None:
    text, _ = compiled(tsql.selected(Column("V", "sql_variant")))
    assert "CAST(SQL_VARIANT_PROPERTY([V], 'BaseType') AS nvarchar(128))" in text
    assert "WHEN 'float' THEN CONVERT(nvarchar(40), CAST([V] AS float), 3)" in text
    assert "WHEN 'varbinary' THEN CONVERT(nvarchar(max), CAST([V] AS varbinary(8000)), 1)" in text


@pytest.mark.parametrize(
    ("column", "value", "form", "parameter"),
    [
        (Column("c", "varchar", 9), "a", "CAST(? AS VARCHAR(9))", "a"),
        (Column("c", "varchar", -1), "a", "CAST(? AS VARCHAR(max))", "a"),
        (Column("c", "char", 9, collation="Latin1_General_CI_AS"), "a", "CAST(? COLLATE Latin1_General_CI_AS AS VARCHAR(9))", "a"),
        (Column("c", "nvarchar", 9, collation="Latin1_General_CI_AS"), "ě", "CAST(? AS NVARCHAR(9))", "ě"),
        (Column("c", "bit"), True, "CAST(? AS BIT)", True), (Column("c", "int"), 5, "?", 5), (Column("c", "float"), 0.5, "?", 0.5), (Column("c", "real"), 0.5, "CAST(? AS REAL)", 0.5),
        (Column("c", "varbinary", 8), b"a", "?", b"a"), (Column("c", "timestamp"), b"12345678", "CAST(? AS BINARY(8))", b"12345678"),
        (Column("c", "decimal", 19, 4), Decimal("1.5000"), "CAST(? AS DECIMAL(19,4))", Decimal("1.5000")),
        (Column("c", "decimal"), Decimal("1.5"), "?", Decimal("1.5")),
        (Column("c", "smallmoney"), Decimal("1.5000"), "CAST(? AS SMALLMONEY)", Decimal("1.5000")),
        (Column("c", "uniqueidentifier"), uuid.UUID(int=5), "CAST(? AS UNIQUEIDENTIFIER)", str(uuid.UUID(int=5))),
        (Column("c", "hierarchyid"), "/1/", "CAST(? AS HIERARCHYID)", "/1/"),
        (Column("c", "date"), dt.date(2024, 7, 1), "CONVERT(date, ?, 121)", "2024-07-01"),
        (Column("c", "date"), dt.datetime(2024, 7, 1, 23), "CONVERT(date, ?, 121)", "2024-07-01"),
        (Column("c", "time", 7), "23:59:59.9999999", "CONVERT(time(7), ?, 121)", "23:59:59.9999999"),
        (Column("c", "time", 0), "23:59:59.9999999", "CONVERT(time(0), ?, 121)", "23:59:59"),
        (Column("c", "smalldatetime", 0), dt.datetime(2024, 7, 1, 10, 59, 59), "CONVERT(smalldatetime, ?, 121)", "2024-07-01 10:59:00"),
        (Column("c", "datetime", 3), "2024-07-01 10:00:00.1299999", "CONVERT(datetime, ?, 121)", "2024-07-01 10:00:00.129"),
        (Column("c", "datetime2", 7), "2024-07-01 10:00:00.1234567", "CONVERT(datetime2(7), ?, 121)", "2024-07-01 10:00:00.1234567"),
        (Column("c", "datetime2", 2), dt.datetime(2024, 7, 1, 10, 0, 0, 999999), "CONVERT(datetime2(2), ?, 121)", "2024-07-01 10:00:00.99"),
        (Column("c", "datetime2", 0), dt.date(2024, 7, 1), "CONVERT(datetime2(0), ?, 121)", "2024-07-01 00:00:00"),
        (Column("c", "datetimeoffset", 7), "2024-07-01 10:00:00.1234567 +01:00", "CONVERT(datetimeoffset(7), ?, 121)", "2024-07-01 10:00:00.1234567 +01:00"),
        (Column("c", "datetimeoffset", 0), dt.datetime(2024, 7, 1, 10, 0, 0, 9, tzinfo=UTC), "CONVERT(datetimeoffset(0), ?, 121)", "2024-07-01 10:00:00 +00:00"),
        (Column("c", "sql_variant"), "int,10,0:5", "CAST(CAST(? AS INT) AS SQL_VARIANT)", "5"),
        (Column("c", "sql_variant"), "decimal,9,2:1.50", "CAST(CAST(? AS DECIMAL(9,2)) AS SQL_VARIANT)", "1.50"),
        (Column("c", "sql_variant"), "float,53,0:1.0e-1", "CAST(CAST(? AS FLOAT) AS SQL_VARIANT)", "1.0e-1"),
        (Column("c", "sql_variant"), "nvarchar,0,0:a:b", "CAST(CAST(? AS NVARCHAR(4000)) AS SQL_VARIANT)", "a:b"),
        (Column("c", "sql_variant"), "varbinary,0,0:0x00", "CAST(CONVERT(varbinary(8000), ?, 1) AS SQL_VARIANT)", "0x00"),
        (Column("c", "sql_variant"), "datetime2,27,3:2024-07-01 10:00:00.123", "CAST(CONVERT(datetime2(3), ?, 121) AS SQL_VARIANT)", "2024-07-01 10:00:00.123"),
    ],
)  # fmt: skip
def test_a_value_is_compared_in_the_type_of_the_column(column: Column, value: Any, form: str, parameter: Any) -> None:
    text, values = bound(column, value)
    assert (text, values) == (form, [parameter])
    sqlglot.parse_one(f"SELECT 1 FROM t WHERE c > {text}".replace("?", "@p"), read="tsql")


def test_a_value_that_does_not_fit_the_column_is_refused() -> None:
    naive, aware = dt.datetime(2024, 7, 1), dt.datetime(2024, 7, 1, tzinfo=UTC)
    for name, value in (
        ("datetimeoffset", naive),
        ("datetime2", aware),
        ("datetime2", "soon"),
        ("sql_variant", "as it is"),
    ):
        with pytest.raises(DataError):
            tsql.bound(Column("c", name), value)


@given(st.datetimes(), st.integers(0, 7))
def test_a_bound_is_never_above_the_moment(moment: dt.datetime, digits: int) -> None:
    _, (text,) = bound(Column("c", "datetime2", digits), moment)
    cut = dt.datetime.fromisoformat(text)
    assert dt.timedelta() <= moment - cut < dt.timedelta(microseconds=max(10 ** (6 - min(digits, 6)), 1))


VARIANTS: list[tuple[str, str, Any]] = [
    ("bit,1,0:1", "bit", True), ("tinyint,3,0:255", "tinyint", 255), ("bigint,19,0:-9223372036854775808", "bigint", -(2**63)),
    ("numeric,9,2:12.50", "numeric", Decimal("12.50")), ("money,19,4:-12.3456", "money", Decimal("-12.3456")),
    ("float,53,0:1.0000000000000001e-001", "float", 0.1), ("real,24,0:1.0000000e-001", "real", struct.unpack("f", struct.pack("f", 0.1))[0]),
    ("nvarchar,0,0:a:b,c ", "nvarchar", "a:b,c "), ("varbinary,0,0:0x00FF", "varbinary", b"\0\xff"), ("binary,0,0:0x", "binary", b""),
    ("datetime2,27,7:2024-07-01 10:00:00.1230000", "datetime2", dt.datetime(2024, 7, 1, 9, 0, 0, 123000, tzinfo=UTC)),
    ("date,10,0:2024-07-01", "date", dt.datetime(2024, 7, 1, tzinfo=UTC)), ("time,16,7:10:00:00.1234567", "time", "10:00:00.1234567"),
    ("smalldatetime,16,0:2024-07-01 10:00:00", "smalldatetime", dt.datetime(2024, 7, 1, 9, tzinfo=UTC)),
    ("uniqueidentifier,0,0:6F9619FF-8B86-D011-B42D-00C04FC964FF", "uniqueidentifier", uuid.UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "base", "value"), VARIANTS, ids=lambda item: str(item)[:12])
def test_a_sql_variant_lands_as_its_base_type_which_is_kept(text: str, base: str, value: Any) -> None:
    landed = convert("SQL_VARIANT", text)
    assert landed == Marked(getattr(landed.value, "to_decimal", lambda: value)() and landed.value, base_type=base)
    assert (landed.value.to_decimal() if isinstance(value, Decimal) else landed.value) == value


def test_a_sql_variant_keeps_the_marks_of_its_base_type() -> None:
    landed = convert("SQL_VARIANT", "datetimeoffset,34,7:2024-07-01 10:00:00.1234567 +01:00")
    assert landed[1:] == ("2024-07-01T10:00:00.1234567+01:00", 60, "datetimeoffset")
    digits = "9" * 38
    assert convert("SQL_VARIANT", f"decimal,38,0:{digits}") == Marked(digits, digits, None, "decimal")


def test_a_sql_variant_of_a_sqlite_file_is_as_it_is() -> None:
    cases: list[tuple[Any, str]] = [(5, "bigint"), (1.5, "float"), ("int:5", "nvarchar"), (b"a", "varbinary")]
    for value, base in cases:
        assert convert("SQL_VARIANT", value) == Marked(value, base_type=base)


def test_a_sql_variant_that_is_not_what_it_says_is_refused() -> None:
    for text in ("int,10,0:five", "varbinary,0,0:ab", "float,53,0:nan", "int,10,0:2147483648"):
        with pytest.raises(DataError):
            convert("SQL_VARIANT", text)


def test_every_base_type_of_a_sql_variant_is_a_type_of_the_table() -> None:
    assert all(sql_type(Column("c", name)) is not OTHER for name in BASE_TYPES)


@given(st.datetimes(), st.integers(0, 9), st.integers(-840, 840))
def test_the_drivers_datetimeoffset_is_read_to_its_last_digit(moment: dt.datetime, last: int, ahead: int) -> None:
    hours, minutes = divmod(abs(ahead), 60)
    sign = -1 if ahead < 0 else 1
    fraction = moment.microsecond * 1000 + last * 100
    fields = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    raw = struct.pack("<6hI2h", *fields, fraction, sign * hours, sign * minutes)
    offset = f"{'-' if sign < 0 else '+'}{hours:02d}:{minutes:02d}"
    assert tsql.timestampoffset_text(raw) == f"{moment.isoformat(' ', 'microseconds')}{last} {offset}"


@given(st.times(), st.integers(0, 9))
def test_the_drivers_time_is_read_to_its_last_digit(time: dt.time, last: int) -> None:
    raw = struct.pack("<3H2xI", time.hour, time.minute, time.second, time.microsecond * 1000 + last * 100)
    assert tsql.time2_text(raw) == f"{time.isoformat('microseconds')}{last}"


def test_the_drivers_null_stays_null() -> None:
    assert tsql.timestampoffset_text(None) is tsql.time2_text(None) is tsql.wide_text(None) is None


@given(st.text())
def test_the_drivers_wide_text_is_read_as_it_is(text: str) -> None:
    assert tsql.wide_text(text.encode("utf-16-le", "surrogatepass")) == text


def test_half_of_a_surrogate_pair_stops_its_own_row_only(shop: Shop) -> None:
    text = tsql.wide_text(b"a\0\x00\xd8")
    source = shop.declare(key="Id")
    shape = TableShape(source, (Column("Id", "int"), Column("Name", "nvarchar", 9)))
    record = RowConverter(shape, LONDON, lambda _: 1).convert((1, text))
    assert isinstance(record, Record)
    with pytest.raises(DataError, match="UnicodeEncodeError"):
        landing_document(Origin(source, "run", dt.datetime.now(UTC)), record)
