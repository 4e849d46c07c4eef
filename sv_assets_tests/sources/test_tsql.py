"""The statements that SQL Server would get: keyset pages in short reads that hold nobody up.

No SQL Server runs here, so the engine is a stand-in that compiles each statement with SQLAlchemy's own mssql dialect and
answers with prepared rows.
"""

import datetime as dt
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
import sqlglot
from sqlalchemy.dialects.mssql.base import MSDialect

from sv_assets.sources.capture import CaptureReader, cdc, cdc_tables, open_reader
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.records import Window
from sv_assets.sources.table import TableShape
from sv_assets.sources.types import Column
from sv_assets_tests.sources.shop import Shop

NOW = dt.datetime(2026, 11, 23, 12, 0, 0)
COLUMNS = (
    Column("Id", "int"), Column("Code", "varchar"), Column("At", "datetime"), Column("ModifiedAt", "datetime2", 7),
    Column("RowVer", "timestamp"),
)  # fmt: skip
ROW = (1, "a", "2026-11-23 10:00:00.003", "2026-11-23 10:00:00.1234567", b"\0" * 7 + b"\x05")


class SqlServer:
    """Compiles and remembers; gives one full page, then an empty one."""

    dialect: Any = cast(Any, MSDialect)(deprecate_large_types=True)

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.parameters: list[dict[str, Any]] = []
        self.pages = 0
        self._rows: Sequence[Sequence[Any]] = []

    @contextmanager
    def connect(self) -> Iterator["SqlServer"]:
        yield self

    def execute(self, statement: sa.Executable, _parameters: Any = None) -> "SqlServer":
        compiled = cast(sa.ClauseElement, statement).compile(dialect=self.dialect)
        self.statements.append(re.sub(r"\s+", " ", str(compiled)))
        self.parameters.append(dict(compiled.params))
        selected = self.statements[-1].split(" FROM ")[0]
        if " TOP " in selected and "dbo.[Item]" in self.statements[-1]:
            self.pages += 1
            width = selected.count(", [") + selected.count("CONVERT(")
            page = [ROW if width >= 4 else (1, "2026-11-23 10:00:00.003")]
            self._rows = page if self.pages == 1 else []
        return self

    def fetchall(self) -> Sequence[Sequence[Any]]:
        rows, self._rows = self._rows, []
        return rows

    def fetchmany(self, _size: int) -> Sequence[Sequence[Any]]:
        return self.fetchall()

    def scalar(self) -> Any:
        self.pages -= 1
        return "2026-11-23 10:00:00.1234567"

    def scalar_one(self) -> Any:
        text = self.statements[-1]
        if "SYSDATETIME" in text:
            return NOW
        if "MIN_ACTIVE_ROWVERSION" in text:
            return b"\0" * 7 + b"\x09"
        return NOW if "max(" in text else 0


@pytest.fixture
def server() -> SqlServer:
    return SqlServer()


def reader_of(
    shop: Shop, server: SqlServer, capture: str, key: str = "Id, Code", columns: tuple[Column, ...] = COLUMNS
) -> CaptureReader:
    rest = ["page_rows: 1", "partitions: {by: day, start: 2024-01-01, column: At}"]
    source = shop.declare(key=key, capture=capture, rest=rest)
    database = LegacyDatabase(source.sql_system, cast(sa.Engine, server), ZoneInfo("Europe/London"))
    return open_reader(database, TableShape(source, columns))


CAPTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "snapshot": ("{mode: snapshot}", {}),
    "modified_at": ("{mode: modified_at, column: ModifiedAt}", {"modified_at": "2026-11-23 09:00:00.0000000"}),
    "rowversion": ("{mode: rowversion, column: RowVer}", {"rowversion": b"\0" * 8}),
}


@pytest.mark.parametrize("how", ["scan", "changes", "window", "keys"])
@pytest.mark.parametrize("mode", CAPTURES)
def test_pages_are_top_with_a_keyset_and_never_offset_or_nolock(
    shop: Shop, server: SqlServer, mode: str, how: str
) -> None:
    capture, position = CAPTURES[mode]
    reader = reader_of(shop, server, capture)
    if how == "scan":
        list(reader.read(None))
    elif how == "changes":
        list(reader.read(position))
    elif how == "window":
        list(reader.read_window(Window(dt.date(2026, 11, 23), dt.date(2026, 11, 24))))
    else:
        list(reader.keys())
    pages = [text for text in server.statements if " TOP " in text and " DESC" not in text]
    assert len(pages) == 2
    for text in server.statements:
        assert not re.search(r"OFFSET|NOLOCK|ROW_NUMBER|@@DBTS|FOR UPDATE|UPDLOCK|INTO|HOLDLOCK", text, re.IGNORECASE)
    assert " > " in pages[1], "the second page begins behind the last row of the first"
    assert pages[0].split(" WHERE ")[0] == pages[1].split(" WHERE ")[0].split(" ORDER BY")[0] or "WHERE" not in pages[0]
    for text in pages:
        assert "FROM dbo.[Item]" in text
        assert "ORDER BY" in text


def test_a_composite_keyset_is_spelt_out(shop: Shop, server: SqlServer) -> None:
    list(reader_of(shop, server, "{mode: snapshot}").read(None))
    where = server.statements[-1].split("WHERE ")[1]
    assert re.fullmatch(
        r"\[Id\] >= :\w+ AND \(\[Id\] > :\w+ OR \[Id\] = :\w+ AND \[Code\] > .*\) ORDER BY \[Id\], \[Code\]", where
    ), "led by one plain bound, which an index can be entered with"


@pytest.mark.parametrize(("length", "kind"), [(9, r"VARCHAR\(9\)"), (-1, r"VARCHAR\(max\)")])
def test_text_is_compared_as_varchar_so_that_its_index_is_used(
    shop: Shop, server: SqlServer, length: int, kind: str
) -> None:
    columns = tuple(Column("Code", "varchar", length) if c.name == "Code" else c for c in COLUMNS)
    list(reader_of(shop, server, "{mode: snapshot}", columns=columns).read(None))
    assert re.search(rf"\[Code\] > CAST\(:\w+ AS {kind}\)", server.statements[-1])


def test_date_times_are_read_as_text_because_the_driver_cuts_their_last_digit(shop: Shop, server: SqlServer) -> None:
    (record, *_) = [
        r for b in reader_of(shop, server, "{mode: modified_at, column: ModifiedAt}").read(None) for r in b.records
    ]
    select = next(text for text in server.statements if " TOP " in text)
    assert "CONVERT(varchar(27), [ModifiedAt], 121)" in select
    assert record.version == "2026-11-23 10:00:00.1234567"
    assert record.marks == {"exact": {"ModifiedAt": "2026-11-23T10:00:00.1234567"}}


def test_a_keyset_on_a_date_time_compares_all_its_digits(shop: Shop, server: SqlServer) -> None:
    """Cut to microseconds, the bound would lie below its own row, and a page of one instant would come again for ever."""
    list(reader_of(shop, server, CAPTURES["modified_at"][0]).read(CAPTURES["modified_at"][1]))
    page = server.statements[-1]
    assert re.search(r"\[ModifiedAt\] > CONVERT\(datetime2\(7\), :\w+, 121\)", page)
    assert "2026-11-23 10:00:00.1234567" in server.parameters[-1].values()
    assert page.endswith("ORDER BY [ModifiedAt], [Id], [Code]"), "by the column under its index, not by its text"


def test_a_date_time_in_the_key_is_compared_in_its_own_type(shop: Shop, server: SqlServer) -> None:
    list(reader_of(shop, server, "{mode: snapshot}", key="Id, At").read(None))
    assert re.search(r"\[At\] > CONVERT\(datetime, :\w+, 121\)", server.statements[-1])


def test_rowversion_reads_below_the_lowest_version_that_is_still_open(shop: Shop, server: SqlServer) -> None:
    batches = list(reader_of(shop, server, CAPTURES["rowversion"][0]).read({"rowversion": b"\0" * 7 + b"\x02"}))
    taken = next(n for n, text in enumerate(server.statements) if "MIN_ACTIVE_ROWVERSION()" in text)
    page = server.statements[-1]
    assert taken < len(server.statements) - 2, "taken before reading"
    assert re.search(r"\[RowVer\] >= CAST\(:\w+ AS BINARY\(8\)\) AND \[RowVer\] < CAST\(:\w+ AS BINARY\(8\)\)", page)
    assert batches[-1].position["rowversion"] == b"\0" * 7 + b"\x09"


def test_modified_at_reads_up_to_the_servers_own_clock(shop: Shop, server: SqlServer) -> None:
    list(reader_of(shop, server, CAPTURES["modified_at"][0]).read(CAPTURES["modified_at"][1]))
    values = server.parameters[-1].values()
    assert "2026-11-23 11:59:59.0000000" in values, "the clock less the margin"
    assert "2026-11-23 08:55:00.0000000" in values, "the bookmark less the lag"


def test_a_column_with_offsets_is_read_by_moments_whatever_the_offset(
    shop: Shop, server: SqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In July the clock of London is an hour ahead of UTC, in which bookmarks of such a column are kept."""
    monkeypatch.setattr(sys.modules[__name__], "ROW", (*ROW[:3], "2026-11-23 10:00:00.1234567 +01:00", ROW[4]))
    columns = tuple(Column(c.name, "datetimeoffset", 7) if c.name == "ModifiedAt" else c for c in COLUMNS)
    reader = reader_of(shop, server, "{mode: modified_at, column: ModifiedAt}", columns=columns)
    list(reader.read({"modified_at": "2026-07-01 09:00:00.0000000"}))
    page = next(n for n, text in enumerate(server.statements) if " TOP " in text)
    assert "CONVERT(datetimeoffset(7), " in server.statements[page]
    values = [value for value in server.parameters[page].values() if isinstance(value, str)]
    assert any(value.startswith("2026-07-01 08:") and value.endswith("+00:00") for value in values), values
    assert "2026-11-23 11:59:59.0000000 +00:00" in values


# --- change tracking and CDC -----------------------------------------------------------------------------------------


class LogServer(SqlServer):
    """A server that keeps both logs: for each statement what it would say, and nothing changed."""

    def execute(self, statement: sa.Executable, parameters: Any = None) -> "LogServer":
        super().execute(statement, parameters)
        self._rows = []
        return self

    def one(self) -> Any:
        text = self.statements[-1]
        return ("Shop", 1) if "sys.databases" in text else (50, 10)

    def all(self) -> Any:
        return []


def parsed(text: str) -> list[Any]:
    """The statement as sqlglot's T-SQL dialect reads it; names in place of bound values."""
    plain = re.sub(r"\[?__\[?POSTCOMPILE_(\w+)\]", r"@\1", re.sub(r":(\w+)", r"@\1", text))
    return sqlglot.parse(plain, read="tsql")


def test_changes_are_read_in_a_snapshot_transaction_with_their_versions_checked(shop: Shop) -> None:
    server = LogServer()
    source = shop.declare(capture="{mode: change_tracking}", key="Id, Code", rest=["page_rows: 5"])
    database = LegacyDatabase(source.sql_system, cast(sa.Engine, server), ZoneInfo("Europe/London"))
    reader = open_reader(database, TableShape(source, COLUMNS))
    server.statements.clear()
    (batch,) = reader.read({"change_tracking": 40, "after": [41, 7, "x"]})
    snapshot, versions, changes = server.statements
    assert snapshot == "SET TRANSACTION ISOLATION LEVEL SNAPSHOT"
    assert "CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID(" in versions
    assert re.search(r"CHANGETABLE\(CHANGES \[dbo\]\.\[Item\], :\w+\) AS c", changes)
    assert "LEFT OUTER JOIN dbo.[Item] AS t ON [Id] = ct.__key_0 AND [Code] = ct.__key_1" in changes
    assert changes.endswith("ORDER BY [SYS_CHANGE_VERSION], __key_0, __key_1")
    assert "[SYS_CHANGE_VERSION] >= " in changes
    assert batch.position == {"change_tracking": 50}
    assert reader.read({"change_tracking": 9}) is not None
    for text in (versions, changes.replace("CHANGES [dbo].[Item], ", "")):
        assert parsed(text)


@pytest.mark.parametrize("how", ["changes", "window"])
def test_change_tables_are_read_over_a_closed_interval_in_the_order_of_the_log(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    server = LogServer()
    source = shop.declare(capture="{mode: cdc}", rest=["page_rows: 5", "partitions: {by: hour, start: 2026-01-01}"])
    database = LegacyDatabase(source.sql_system, cast(sa.Engine, server), ZoneInfo("Europe/London"))
    lowest, highest = (1).to_bytes(10), (99).to_bytes(10)
    instance = cdc_tables.Instance("dbo_Item", lowest, frozenset(c.name for c in COLUMNS), True)
    monkeypatch.setattr(cdc, "instances_of", lambda *_: [instance])
    monkeypatch.setattr(cdc, "highest_lsn", lambda _: highest)
    monkeypatch.setattr(cdc, "lsns_committed_within", lambda *_: (lowest, highest))
    reader = open_reader(database, TableShape(source, COLUMNS))
    if how == "changes":
        batches = list(reader.read({"cdc": cdc.Place((5).to_bytes(10)).version}))
        assert batches[-1].position == {"cdc": cdc.Place(highest).version}
    else:
        list(reader.read_window(Window(dt.date(2026, 11, 23), dt.date(2026, 11, 24))))
    (page,) = server.statements
    assert "FROM cdc.[dbo_Item_CT] AS ct" in page
    assert re.search(r"__\$start_lsn <= ", page)
    assert re.search(r"__\$operation != ", page)
    assert page.endswith("ORDER BY __$start_lsn, __$command_id, __$seqval, __$operation")
    assert "tran_end_time" in page, "partitions are times of commit"
    assert parsed(page)
