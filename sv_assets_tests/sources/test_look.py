"""A look tells whether there is something new, without reading the table: never false news, never news that is missed."""

import sqlite3
import threading
import time
from contextlib import closing
from typing import Any

import pytest

from sv_assets.catalogue import Source
from sv_assets.errors import TransientError
from sv_assets.sources.look import look_at
from sv_assets.sources.records import Position
from sv_assets_tests.sources.change_log import INSERT, ChangeLog
from sv_assets_tests.sources.change_tracking import TrackedShop
from sv_assets_tests.sources.shop import Shop

MODIFIED = "{mode: modified_at, column: ModifiedAt}"


def news(source: Source, position: Position | None) -> bool | None:
    (seen,) = look_at([source], {source.key: position})
    return seen.news


@pytest.mark.parametrize("value", ["2026-01-05 10:00:00.120", "2026-01-05 10:00:00.1234567", "2026-01-05 10:00:00"])
def test_what_has_been_read_is_no_news_however_its_moment_is_written(shop: Shop, value: str) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, ModifiedAt DATETIME2(7) NOT NULL", [(1, value)])
    shop.run("CREATE INDEX i ON Item (ModifiedAt)")
    source = shop.declare(capture=MODIFIED)
    assert news(source, None) is True
    _, position = shop.read(source)
    assert news(source, position) is False
    shop.insert("Item", [(2, "2026-01-05 10:00:01")])
    assert news(source, position) is True
    shop.run("DELETE FROM Item WHERE Id = 2")
    shop.insert("Item", [(3, "2999-01-01 00:00:00")])
    assert news(source, position) is False, "a row of the future is not read yet, so it is no news"


def test_rowversions_beyond_the_bookmark_are_news(shop: Shop) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Rv ROWVERSION NOT NULL", [(1, (7).to_bytes(8))])
    shop.run("CREATE INDEX i ON Item (Rv)")
    source = shop.declare(capture="{mode: rowversion, column: Rv}")
    _, position = shop.read(source)
    assert news(source, position) is False
    shop.insert("Item", [(2, (8).to_bytes(8))])
    assert news(source, position) is True
    _, position = shop.read(source, position)
    assert news(source, position) is False


@pytest.mark.parametrize(
    ("columns", "capture"),
    [
        ("ModifiedAt DATETIME2 NOT NULL", "{mode: modified_at, column: ModifiedAt}"),
        ("Rv ROWVERSION NOT NULL", "{mode: rowversion, column: Rv}"),
        ("Name TEXT", "{mode: snapshot}"),
    ],
)
def test_a_table_that_no_index_can_be_asked_is_not_scanned_for_news(shop: Shop, columns: str, capture: str) -> None:
    value: Any = (1).to_bytes(8) if "Rv" in columns else "2026-01-05 10:00:00"
    shop.table("Item", f"Id INT NOT NULL PRIMARY KEY, {columns}", [(1, value)])
    source = shop.declare(capture=capture)
    _, position = shop.read(source)
    assert news(source, position) is None


def test_changes_of_the_log_are_news_and_so_is_a_gap(shop: Shop) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40)", [(1, "one")])
    log = ChangeLog(shop)
    log.enable("Id INT, Name NVARCHAR(40)")
    source = shop.declare(capture="{mode: cdc}")
    log.tick()
    _, position = shop.read(source)
    assert news(source, position) is False
    log.tick()
    assert news(source, position) is False, "the log went on without this table"
    log.clean_up(log.commit(INSERT, (2, "two")) + 1)
    assert news(source, position) is True


def test_tracked_changes_are_news_and_so_are_those_cleaned_up_before(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, Name NVARCHAR(40)")
    tracked = TrackedShop(shop)
    tracked.write((1, "one"))
    source = shop.declare(capture="{mode: change_tracking}")

    def told(position: Position) -> bool | None:
        database, reader = tracked.open(source)
        with closing(database):
            return reader.has_news(position)

    database, reader = tracked.open(source)
    with closing(database):
        position = [batch.position for batch in reader.read(None)][-1]
    assert told(position) is False
    tracked.delete(1)
    assert told(position) is True
    tracked.clean_up()
    assert told(position) is True


def test_a_declaration_that_does_not_fit_counts_as_news_so_that_a_run_says_what_is_wrong(shop: Shop) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, ModifiedAt DATETIME2", [(1, "2026-01-05 10:00:00")])
    position = {"modified_at": "2026-01-05 10:00:00.0000000"}
    assert news(shop.declare(capture="{mode: modified_at, column: Missing}"), position) is True
    assert news(shop.declare(name="dbo.Gone", capture=MODIFIED), position) is True


def test_a_server_that_is_busy_is_asked_once_and_not_waited_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.table("Item", "Id INT NOT NULL PRIMARY KEY, ModifiedAt DATETIME2", [(1, "2026-01-05 10:00:00")])
    shop.run("CREATE INDEX i ON Item (ModifiedAt)")
    source = shop.declare(capture=MODIFIED)
    slept: list[float] = []
    sleep, me = time.sleep, threading.get_ident()

    def told(seconds: float) -> None:
        slept.append(seconds) if threading.get_ident() == me else sleep(seconds)

    monkeypatch.setattr(time, "sleep", told)
    with closing(sqlite3.connect(shop.catalogued.database, isolation_level=None)) as writer:
        writer.execute("PRAGMA locking_mode = EXCLUSIVE")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TransientError):
            news(source, {"modified_at": "2026-01-05 10:00:00.0000000"})
    assert slept == []
