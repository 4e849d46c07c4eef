"""Every type of a live T-SQL server, its extremes read, landed and compared value by value.

Runs where SV_TEST_SQLSERVER_URL says which server, in a database of its own; where the server refuses one (Babelfish in
its single-db mode), in temporary tables of one session. Values are written as T-SQL literals, so what is expected does
not depend on our own reading. Types that the server has not are printed, and skipped.
"""

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from bson import Decimal128, Int64
from sqlalchemy import exc

from sv_assets.sources import tsql
from sv_assets.sources.types import Column, Marked, converter, sql_type
from sv_assets_tests.live import needs_sql_server, server_url
from sv_assets_tests.sources.test_types import LONDON, UTC, through_bson

pytestmark = needs_sql_server


def at(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def number(text: str) -> Any:
    return Decimal128(text) if len(text.strip("-0.").replace(".", "")) <= 34 else Marked(text, text)


BIG = "9" * 38
# (declaration, [(literal, what lands)]). Fractions have six digits where a seventh is not what is tested.
TYPES: list[tuple[str, list[tuple[str, Any]]]] = [
    ("bit", [("0", False), ("1", True)]),
    ("tinyint", [("0", Int64(0)), ("255", Int64(255))]),
    ("smallint", [("-32768", Int64(-32768)), ("32767", Int64(32767))]),
    ("int", [("-2147483648", Int64(-(2**31))), ("2147483647", Int64(2**31 - 1))]),
    ("bigint", [("-9223372036854775808", Int64(-(2**63))), ("9223372036854775807", Int64(2**63 - 1))]),
    ("decimal(19,4)", [("-999999999999999.9999", number("-999999999999999.9999")), ("0.0001", number("0.0001")), ("12.5", number("12.5000"))]),
    ("decimal(34,0)", [("9" * 34, number("9" * 34))]),
    ("decimal(38,0)", [(BIG, number(BIG)), (f"-{BIG}", number(f"-{BIG}")), ("0", number("0"))]),
    ("numeric(38,10)", [(f"{BIG[:28]}.{BIG[:10]}", number(f"{BIG[:28]}.{BIG[:10]}")), ("-0.0000000001", number("-0.0000000001"))]),
    ("numeric(38,38)", [(f"0.{BIG}", number(f"0.{BIG}")), ("0." + "0" * 37 + "1", number("0." + "0" * 37 + "1"))]),
    ("money", [("-922337203685477.5808", number("-922337203685477.5808")), ("922337203685477.5807", number("922337203685477.5807"))]),
    ("smallmoney", [("-214748.3648", number("-214748.3648")), ("214748.3647", number("214748.3647"))]),
    ("float", [("1.7976931348623157E308", 1.7976931348623157e308), ("-2.2250738585072014E-308", -2.2250738585072014e-308), ("0.1", 0.1)]),
    ("real", [("0.1", 0.10000000149011612), ("-3.4028234663852886E38", -3.4028234663852886e38), ("1.1754943508222875E-38", 1.1754943508222875e-38)]),
    ("date", [("'0001-01-01'", at(1, 1, 1)), ("'9999-12-31'", at(9999, 12, 31)), ("'2024-02-29'", at(2024, 2, 29))]),
    ("time(7)", [("'00:00:00.0000000'", "00:00:00.0000000"), ("'23:59:59.999999'", "23:59:59.9999990"), ("'10:00:00.1234567'", "10:00:00.1234567")]),
    ("time(0)", [("'10:00:01'", "10:00:01.0000000")]),
    ("smalldatetime", [("'1900-01-01 00:00:00'", at(1900, 1, 1)), ("'2079-06-06 23:59:00'", at(2079, 6, 6, 22, 59)), ("'2024-07-01 10:30:00'", at(2024, 7, 1, 9, 30))]),
    ("datetime", [("'1753-01-01 00:00:00.000'", at(1753, 1, 1, 0, 1, 15)), ("'9999-12-31 23:59:59.997'", at(9999, 12, 31, 23, 59, 59, 997000)), ("'2024-07-01 10:00:00.003'", at(2024, 7, 1, 9, 0, 0, 3000))]),
    ("datetime2(7)", [
        ("'0001-01-01 00:00:00.000000'", at(1, 1, 1, 0, 1, 15)), ("'2024-07-01 10:00:00.123'", at(2024, 7, 1, 9, 0, 0, 123000)),
        ("'9999-12-31 23:59:59.999999'", Marked(at(9999, 12, 31, 23, 59, 59, 999000), "9999-12-31T23:59:59.9999990")),
        ("'2024-07-01 10:00:00.1234567'", Marked(at(2024, 7, 1, 9, 0, 0, 123000), "2024-07-01T10:00:00.1234567")),
        ("'2024-03-31 01:30:00'", Marked(at(2024, 3, 31, 1, 30), "2024-03-31T01:30:00.0000000")), ("'2024-10-27 01:30:00'", at(2024, 10, 27, 0, 30)),
    ]),
    ("datetime2(0)", [("'2024-01-01 10:00:01'", at(2024, 1, 1, 10, 0, 1))]),
    ("datetimeoffset(7)", [
        ("'2024-07-01 10:00:00.123 +01:00'", Marked(at(2024, 7, 1, 9, 0, 0, 123000), None, 60)),
        ("'2024-07-01 10:00:00.1234567 -09:30'", Marked(at(2024, 7, 1, 19, 30, 0, 123000), "2024-07-01T10:00:00.1234567-09:30", -570)),
        ("'9999-12-31 23:59:59.999999 +14:00'", Marked(at(9999, 12, 31, 9, 59, 59, 999000), "9999-12-31T23:59:59.9999990+14:00", 840)),
        ("'2024-01-01 00:00:00 +00:00'", Marked(at(2024, 1, 1), None, 0)),
    ]),
    ("char(6)", [("'Zoë'", "Zoë   "), ("'ABCDEF'", "ABCDEF")]),
    ("varchar(20)", [("'a  '", "a  "), ("'b'", "b"), ("'C'", "C"), ("'10€'", "10€"), ("''", "")]),
    ("varchar(max)", [("REPLICATE(CAST('ab ' AS varchar(max)), 5000)", "ab " * 5000)]),
    ("nchar(4)", [("N'日本'", "日本  ")]),
    ("nvarchar(20)", [("N'Škoda  '", "Škoda  "), ("N'😀'", "😀"), ("N'škodb'", "škodb")]),
    ("nvarchar(max)", [("REPLICATE(CAST(N'é ' AS nvarchar(max)), 5000)", "é " * 5000)]),
    ("sysname", [("N'dbo'", "dbo")]),
    ("text", [("'some text '", "some text ")]), ("ntext", [("N'sömé ž'", "sömé ž")]),
    ("binary(4)", [("0x0102", b"\1\2\0\0"), ("0xFF000000", b"\xff\0\0\0")]), ("varbinary(20)", [("0x00FF", b"\0\xff"), ("0x", b""), ("0x01", b"\1")]),
    ("varbinary(max)", [("CAST(REPLICATE(CAST('a' AS varchar(max)), 9000) AS varbinary(max))", b"a" * 9000)]), ("image", [("0x0102", b"\1\2")]),
    ("uniqueidentifier", [("'6F9619FF-8B86-D011-B42D-00C04FC964FF'", uuid.UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")), ("'00000000-0000-0000-0000-000000000001'", uuid.UUID(int=1))]),
    ("xml", [("N'<a>é</a>'", "<a>é</a>")]), ("json", [("CAST(N'{\"a\":1}' AS json)", '{"a":1}')]),
    ("vector(2)", [("'[1,2]'", "[1.0000000e+000,2.0000000e+000]")]),
    ("hierarchyid", [("'/1/2.5/'", "/1/2.5/"), ("'/'", "/")]),
    ("geography", [("geography::STGeomFromText('POINT (-0.1 51.5)', 4326)", "SRID=4326;POINT (-0.1 51.5)")]),
    ("geometry", [("geometry::STGeomFromText('POINT (1 2)', 0)", "SRID=0;POINT (1 2)")]),
    ("sql_variant", [
        ("CAST(5 AS int)", Marked(Int64(5), base_type="int")), ("CAST(-5 AS bigint)", Marked(Int64(-5), base_type="bigint")),
        ("CAST(12.3456 AS money)", Marked(Decimal128("12.3456"), base_type="money")), ("CAST(0.1 AS float)", Marked(0.1, base_type="float")),
        ("CAST(0.1 AS real)", Marked(0.10000000149011612, base_type="real")), ("CAST('a ' AS varchar(5))", Marked("a ", base_type="varchar")),
        ("CAST(N'ž' AS nvarchar(5))", Marked("ž", base_type="nvarchar")), ("CAST('2024-07-01' AS date)", Marked(at(2024, 7, 1), base_type="date")),
        ("CAST('2024-07-01 10:00:00.123' AS datetime2(3))", Marked(at(2024, 7, 1, 9, 0, 0, 123000), base_type="datetime2")),
        ("CAST('2024-07-01 10:00:00 +02:00' AS datetimeoffset(0))", Marked(at(2024, 7, 1, 8), None, 120, "datetimeoffset")),
        ("CAST(12.50 AS numeric(9,2))", Marked(Decimal128("12.50"), base_type="numeric")), ("CAST(1 AS bit)", Marked(True, base_type="bit")),
        ("CAST('6F9619FF-8B86-D011-B42D-00C04FC964FF' AS uniqueidentifier)", Marked(uuid.UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff"), base_type="uniqueidentifier")),
        ("CAST('10:00:00' AS time(0))", Marked("10:00:00.0000000", base_type="time")),
        ("CAST(0x00FF AS varbinary(5))", Marked(b"\0\xff", base_type="varbinary")),
    ]),
]  # fmt: skip
NAMES = [declaration for declaration, _ in TYPES]
# Babelfish keeps six digits of a second, and converts binary to text as it is, not by style 1.
BABELFISH_ROUNDS = {
    "'10:00:00.1234567'": "10:00:00.1234570",
    "2024-07-01T10:00:00.1234567": "2024-07-01T10:00:00.1234570",
}
BABELFISH_LACKS = {"CAST(0x00FF AS varbinary(5))"}


@dataclass
class Server:
    """A session with one table: a column for each type that the server has, a row for each value."""

    engine: sa.Engine
    prefix: str = ""
    """`#` where the tables are temporary."""
    is_babelfish: bool = False
    unsupported: dict[str, str] = field(default_factory=dict)

    @property
    def table(self) -> str:
        return f"{self.prefix}EveryType"

    def column(self, declaration: str) -> Column:
        return Column.declared(f"C {NAMES.index(declaration)}", declaration)

    def execute(self, statement: sa.Executable) -> list[Any]:
        with self.engine.connect() as connection:
            result = connection.execute(statement)
            return list(result) if result.returns_rows else []

    def run(self, text: str) -> list[Any]:
        return self.execute(sa.text(text.replace(":", "\\:")))

    def read(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        return sa.select(*columns).select_from(sa.table(self.table))

    def ids(self, *where: sa.ColumnElement[bool], order: list[sa.ColumnElement[Any]] | None = None) -> list[int]:
        statement = self.read(sa.column("Id")).where(*where).order_by(*(order or []))
        return [row[0] for row in self.execute(statement)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    name = f"sv_types_{uuid.uuid4().hex[:8]}"
    admin = sa.create_engine(server_url(), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        try:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
            has_database = True
        except exc.DBAPIError:
            has_database = False
    engine = sa.create_engine(server_url(), isolation_level="AUTOCOMMIT", poolclass=sa.StaticPool)

    @sa.event.listens_for(engine, "connect")
    def _use(raw: Any, _record: Any) -> None:
        tsql.register_output_converters(raw)
        raw.cursor().execute(f"USE {name if has_database else 'tempdb'}")

    server = Server(engine, "" if has_database else "#")
    try:
        server.is_babelfish = bool(server.run("SELECT CAST(SERVERPROPERTY('Babelfish') AS nvarchar(9))")[0][0])
        if server.is_babelfish:  # for this session alone
            server.run("EXEC sp_babelfish_configure 'escape_hatch_rowversion', 'ignore'")
        _fill(server)
        yield server
    finally:
        engine.dispose()
        if has_database:
            with admin.connect() as connection:
                connection.execute(sa.text(f"DROP DATABASE {name}"))
        admin.dispose()


def _fill(server: Server) -> None:
    for place, (declaration, _) in enumerate(TYPES):
        try:
            server.run(f"CREATE TABLE {server.prefix}Probe{place} (C {declaration} NULL)")
        except exc.DBAPIError as error:
            server.unsupported[declaration] = str(error.orig).splitlines()[0][-150:]
    supported = [declaration for declaration in NAMES if declaration not in server.unsupported]
    columns = ", ".join(f"[{server.column(d).name}] {d} NULL" for d in supported)
    server.run(f"CREATE TABLE {server.table} (Id int NOT NULL PRIMARY KEY, {columns}, V rowversion, Twice AS Id * 2)")
    for row in range(max(len(values) for _, values in TYPES)):
        given = [(server.column(d).name, values[row][0]) for d, values in TYPES if d in supported and row < len(values)]
        names, literals = ", ".join(f"[{name}]" for name, _ in given), ", ".join(literal for _, literal in given)
        server.run(f"INSERT INTO {server.table} (Id, {names}) VALUES ({row}, {literals})")


def landed(column: Column, value: Any) -> Any:
    return None if value is None else converter(column, LONDON)(value)


def expected_of(server: Server, literal: str, value: Any) -> Any:
    if not server.is_babelfish:
        return value
    if isinstance(value, Marked) and value.exact:
        rounded = value.exact.replace("10:00:00.1234567", "10:00:00.1234570")
        return value._replace(exact=rounded)
    return BABELFISH_ROUNDS.get(literal, value)


def test_the_server_says_which_types_it_has(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(
            f"\n{'Babelfish' if server.is_babelfish else 'SQL Server'}: {len(NAMES) - len(server.unsupported)} types."
        )
        for declaration, reason in server.unsupported.items():
            print(f"  not on this server: {declaration} ({reason})")
    if not server.is_babelfish:
        assert set(server.unsupported) <= {"json", "vector(2)"}, "types of SQL Server 2025"


@pytest.mark.parametrize("declaration", NAMES)
def test_extremes_land_as_the_table_says(server: Server, declaration: str) -> None:
    if declaration in server.unsupported:
        pytest.skip(f"this server has no {declaration}")
    column, values = server.column(declaration), dict(enumerate(dict(TYPES)[declaration]))
    for row, (literal, value) in values.items():
        if server.is_babelfish and literal in BABELFISH_LACKS:
            continue
        statement = server.read(tsql.selected(column)).where(sa.column("Id") == row)
        ((read,),) = server.execute(statement)
        found, expected = landed(column, read), expected_of(server, literal, value)
        assert (found, type(found)) == (expected, type(expected)), literal
        bson_value = found.value if isinstance(found, Marked) else found
        assert through_bson(bson_value) == bson_value


@pytest.mark.parametrize("declaration", [name for name in NAMES if sql_type(Column.declared("c", name)).orders])
def test_a_keyset_finds_exactly_the_rows_beyond(server: Server, declaration: str) -> None:
    if declaration in server.unsupported:
        pytest.skip(f"this server has no {declaration}")
    column = server.column(declaration)
    clause: sa.ColumnClause[Any] = sa.column(column.name)
    usable = [row for row, (literal, _) in enumerate(dict(TYPES)[declaration]) if literal not in BABELFISH_LACKS]
    present = [sa.column("Id").in_(usable)]
    ordered = server.ids(*present, order=[clause, sa.column("Id")])
    read = dict(server.execute(server.read(sa.column("Id"), tsql.selected(column)).where(*present)))
    for place, row in enumerate(ordered):
        bound = tsql.bound(column, read[row])
        below, same, beyond = (
            server.ids(*present, condition) for condition in (clause < bound, clause == bound, clause > bound)
        )
        assert row in same
        assert sorted(below + same + beyond) == sorted(ordered)
        assert set(below) <= set(ordered[:place])
        assert set(beyond) <= set(ordered[place + 1 :])


def test_a_moment_is_a_bound_of_every_date_time(server: Server) -> None:
    moment = dt.datetime(2023, 12, 31, 23, 59, 59, 999999)
    for declaration in ("date", "smalldatetime", "datetime", "datetime2(7)", "datetime2(0)", "datetimeoffset(7)"):
        column = server.column(declaration)
        value = moment.replace(tzinfo=LONDON) if declaration.startswith("datetimeoffset") else moment
        above = server.ids(sa.column(column.name) >= tsql.bound(column, value))
        assert above, declaration


def test_a_rowversion_is_compared_as_binary_and_a_computed_column_lands(server: Server) -> None:
    version, twice = Column("V", "timestamp"), Column("Twice", "int", computed=True)
    rows = server.execute(
        server.read(sa.column("Id"), tsql.selected(version), tsql.selected(twice)).order_by(sa.column("V"))
    )
    assert [landed(twice, row[2]) for row in rows] == [row[0] * 2 for row in rows]
    for place, row in enumerate(rows):
        assert len(landed(version, row[1])) == 8
        assert server.ids(sa.column("V") > tsql.bound(version, row[1]), order=[sa.column("V")]) == [
            r[0] for r in rows[place + 1 :]
        ]


def test_what_the_driver_hands_over_unselected_is_exact_too(server: Server) -> None:
    literal = (
        "SELECT CAST('2024-07-01 10:00:00.123456 -09:30' AS datetimeoffset(6)), CAST('10:00:00.123456' AS time(6))"
    )
    offset, time = server.run(literal)[0]
    assert landed(Column("c", "datetimeoffset", 6), offset).exact == "2024-07-01T10:00:00.1234560-09:30"
    assert landed(Column("c", "time", 6), time) == "10:00:00.1234560"


def test_decimals_survive_to_their_last_digit(server: Server) -> None:
    column = server.column("decimal(38,0)")
    ((read,),) = server.execute(server.read(tsql.selected(column)).where(sa.column("Id") == 0))
    assert isinstance(read, Decimal)
    assert str(read) == BIG
