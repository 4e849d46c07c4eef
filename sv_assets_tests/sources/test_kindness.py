"""Kind to the source: how fast, when, and how often it is asked again; and how much of it is in hand at once."""

import datetime as dt
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import exc

from sv_assets.catalogue.quiet_hours import QuietHours
from sv_assets.errors import ConfigurationError, TransientError
from sv_assets.sources import database as legacy
from sv_assets.sources.capture import pages
from sv_assets.sources.database import open_database
from sv_assets.sources.faults import explained
from sv_assets.sources.pace import Throttle, opens_at
from sv_assets_tests.sources.shop import Shop

LONDON = ZoneInfo("Europe/London")
NIGHTS = ["* 20-23 * * *", "* 0-5 * * *"]


def odbc(state: str, words: str) -> exc.DBAPIError:
    return exc.DBAPIError.instance(
        "SELECT 'jane@x.com'", {}, Exception(state, f"[{state}] [SQL Server]{words}"), Exception
    )  # type: ignore[return-value]


# --- passing faults --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("40001", "Transaction (Process ID 58) was deadlocked on lock resources … (1205) (SQLExecDirectW)"),
        ("42000", "Lock request time out period exceeded. (1222) (SQLExecDirectW)"),
        ("HYT00", "Query timeout expired (0) (SQLExecDirectW)"), ("08S01", "Communication link failure (0) (SQLFetch)"),
        ("HY000", "Database 'x' on server 'y' is not currently available. (40613) (SQLDriverConnect)"),
    ],
)  # fmt: skip
def test_what_passes_by_itself_is_transient(state: str, words: str) -> None:
    found = explained("crm", odbc(state, words))
    assert isinstance(found, TransientError)
    assert str(found).startswith("system crm: ")


@pytest.mark.parametrize(
    ("state", "words", "said"),
    [
        ("28000", "Login failed for user 'sa'. (18456) (SQLDriverConnect)", "refuses our log-in"),
        ("42S02", "Invalid object name 'x'. (208) (SQLExecDirectW)", "the database refuses"),
        ("42000", "The SELECT permission was denied on the object 'x' (229) (SQLExecDirectW)", "the database refuses"),
    ],
)
def test_what_must_be_put_right_is_not(state: str, words: str, said: str) -> None:
    found = explained("crm", odbc(state, words))
    assert isinstance(found, ConfigurationError)
    assert said in str(found)
    assert "jane@x.com" not in str(found)


def break_reads(engine: sa.Engine, times: int, error: Exception) -> list[str]:
    """The next `times` statements fail on their way to the database; what comes after them is in the list."""
    seen: list[str] = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def fail(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)
        if len(seen) <= times:
            raise error

    return seen


DEADLOCK = sqlite3.OperationalError("40001", "[40001] was deadlocked on lock resources (1205) (SQLExecDirectW)")


def test_a_page_that_fails_for_a_passing_reason_is_read_again_and_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legacy, "PAUSES", (0.01, 0.02))
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY", [(n,) for n in range(10)])
    database, reader = shop.open(shop.declare(rest=["page_rows: 4"]))
    with closing(database):
        batches = reader.read(None)
        first = next(batches)
        seen = break_reads(database.engine, 2, DEADLOCK)
        rest = list(batches)
    assert [r.key for b in [first, *rest] for r in b.records] == list(range(10))
    assert len(seen) == 2 + 2, "two attempts failed, two pages were left"


def test_a_fault_that_does_not_pass_in_time_is_raised_after_the_last_attempt(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legacy, "PAUSES", (0.01, 0.02))
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY", [(1,)])
    database, reader = shop.open(shop.declare())
    with closing(database):
        seen = break_reads(database.engine, 99, DEADLOCK)
        with pytest.raises(TransientError, match="does not answer"):
            list(reader.read(None))
    assert len(seen) == 3


def test_a_fault_that_must_be_put_right_is_not_tried_again(shop: Shop) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY", [(1,)])
    database, reader = shop.open(shop.declare())
    with closing(database):
        seen = break_reads(database.engine, 99, sqlite3.OperationalError("42000", "denied (229) (SQLExecDirectW)"))
        with pytest.raises(ConfigurationError):
            list(reader.read(None))
    assert len(seen) == 1


# --- how fast and when -----------------------------------------------------------------------------------------------


def test_a_throttle_keeps_the_declared_rate_over_all_pages() -> None:
    throttle = Throttle(2000)
    started = time.monotonic()
    for _ in range(5):
        throttle.rest(100)
    assert time.monotonic() - started >= 0.24


def test_slow_reading_is_not_made_up_for_later() -> None:
    throttle = Throttle(1000)
    time.sleep(0.3)
    throttle.rest(10)
    started = time.monotonic()
    throttle.rest(100)
    assert time.monotonic() - started >= 0.09


def test_the_declared_rate_is_shared_by_all_connections_of_a_system(shop: Shop) -> None:
    source = shop.declare()
    system = source.sql_system.model_copy(update={"max_rows_per_second": 1000, "max_connections": 4})
    shop.catalogued.database.touch()
    database = open_database(system)
    with closing(database):
        started = time.monotonic()
        database.throttle.rest(50)
        assert time.monotonic() - started >= 0.19


@given(st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2026, 12, 31), timezones=st.just(dt.timezone.utc)))
def test_the_next_allowed_minute_is_allowed_and_none_before_it_is(moment: dt.datetime) -> None:
    local = moment.astimezone(LONDON).replace(tzinfo=None)
    opens = opens_at(NIGHTS, [], LONDON, moment)
    assert opens is not None
    if opens == local:
        assert local.hour in (20, 21, 22, 23, 0, 1, 2, 3, 4, 5)
        return
    assert (opens.hour, opens.minute) == (20, 0)
    assert dt.timedelta() < opens - local <= dt.timedelta(hours=15)


@given(st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2026, 12, 31), timezones=st.just(dt.timezone.utc)))
def test_quiet_hours_are_left_out_whatever_is_allowed(moment: dt.datetime) -> None:
    quiet = ["22:30-01:15", "mon-fri 04:00-05:00", "sun 00:00-24:00"]
    opens = opens_at(NIGHTS, quiet, LONDON, moment)
    assert opens is not None
    assert opens.hour in (20, 21, 22, 23, 0, 1, 2, 3, 4, 5)
    minute = opens.hour * 60 + opens.minute
    assert 75 <= minute < 22 * 60 + 30
    assert not (opens.weekday() < 5 and opens.hour == 4)
    assert opens.weekday() != 6


def test_without_allowed_times_and_quiet_hours_every_time_is_allowed() -> None:
    now = dt.datetime.now(dt.timezone.utc)
    assert opens_at([], [], LONDON, now) == now.astimezone(LONDON).replace(tzinfo=None)


def test_quiet_hours_around_the_clock_leave_no_time() -> None:
    assert opens_at([], ["00:00-24:00"], LONDON, dt.datetime.now(dt.timezone.utc)) is None


@pytest.mark.parametrize("text", ["8-18", "25:00-26:00", "mon..fri 08:00-09:00", "", "08:00", "mon-fri"])
def test_quiet_hours_that_are_none_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="mon-fri 08:00-18:00"):
        QuietHours.parse(text)


# --- how much at once ------------------------------------------------------------------------------------------------


def test_a_page_ends_where_its_large_values_come_to_too_much(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", 100_000)
    rows = [(n, "x" * (60_000 if n % 100 < 5 else 10)) for n in range(400)]
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Notes NTEXT", rows)
    batches = shop.batches(shop.declare())
    sizes = [sum(len(r.fields["Notes"]) for r in b.records) for b in batches]
    assert max(sizes) < 100_000 + 60_000
    assert [r.key for b in batches for r in b.records] == list(range(400))


def test_rows_of_bounded_types_are_read_in_whole_pages(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", 10)
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40)", [(n, "x" * 40) for n in range(100)])
    assert [len(b.records) for b in shop.batches(shop.declare(rest=["page_rows: 50"]))] == [50, 50, 0]


# --- which server ----------------------------------------------------------------------------------------------------


@pytest.fixture
def replica(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A second file: what a readable secondary has of the table."""
    path = shop.catalogued.database.with_name("replica.sqlite")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE Item (Id INT NOT NULL PRIMARY KEY, RowVer ROWVERSION)")
        connection.execute("INSERT INTO Item VALUES (2, x'0000000000000001')")
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, RowVer ROWVERSION", [(1, b"\0" * 7 + b"\1")])
    monkeypatch.setenv("REPLICA_URL", f"sqlite:///{path}")
    return "{{ env.REPLICA_URL }}"


@pytest.mark.parametrize(("capture", "served_by"), [("{mode: snapshot}", 2), ("{mode: rowversion, column: RowVer}", 1)])
def test_a_replica_serves_the_modes_that_can_use_one(shop: Shop, replica: str, capture: str, served_by: int) -> None:
    source = shop.declare(capture=capture)
    system = source.sql_system.model_copy(update={"replica": replica})
    database = open_database(system, source)
    with closing(database):
        assert database.scalar(sa.text("SELECT Id FROM Item")) == served_by


def test_files_beside_a_sqlite_file_are_its_schemas(shop: Shop) -> None:
    path = shop.catalogued.database.with_name("shop.Sales.sqlite")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE Customer (Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(9))")
        connection.execute("INSERT INTO Customer VALUES (1, 'in Sales')")
    shop.table("Customer", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(9)", [(1, "in dbo")])
    names = [shop.read(shop.declare(name=name))[0][0].fields["Name"] for name in ("Sales.Customer", "dbo.Customer")]
    assert names == ["in Sales", "in dbo"]
