"""Landing from a live T-SQL server: what SQLite cannot show — open transactions, broken connections, log-ins, sessions."""

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from sv_assets.catalogue import Source
from sv_assets.errors import ConfigurationError, TransientError
from sv_assets.mongo import Store
from sv_assets.sources import database as legacy
from sv_assets.sources.database import open_database
from sv_assets_tests.landing.estate import documents, land, live_names
from sv_assets_tests.live import BreakableProxy, LiveDatabase, live_database, needs_sql_server
from sv_assets_tests.sources.shop import Shop

pytestmark = needs_sql_server
ITEM = (
    "CREATE TABLE dbo.Item (Id int NOT NULL PRIMARY KEY, Name nvarchar(40), Price decimal(9,2), "
    "ModifiedAt datetime2(3), RowVer rowversion)"
)
CAPTURES = {
    "snapshot": "{mode: snapshot}",
    "modified_at": "{mode: modified_at, column: ModifiedAt, lag: 5m, margin: 0s}",
    "rowversion": "{mode: rowversion, column: RowVer}",
}


@pytest.fixture(scope="module")
def live() -> Iterator[LiveDatabase]:
    with live_database() as database:
        yield database


@pytest.fixture
def server(live: LiveDatabase, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> LiveDatabase:
    """The live database in place of the shop's SQLite file, with an empty table."""
    monkeypatch.setenv("SHOP_SQLSERVER_URL", live.url)
    live.run("IF OBJECT_ID('dbo.Item') IS NOT NULL DROP TABLE dbo.Item", ITEM)
    return live


def declared(shop: Shop, mode: str, *rest: str) -> Source:
    return shop.declare(capture=CAPTURES[mode], rest=["page_rows: 7", *rest])


def insert(server: LiveDatabase, numbers: range, name: str = "old") -> None:
    rows = ", ".join(f"({n}, N'{name}', 1.5, DATEADD(second, {n}, '2024-01-01'))" for n in numbers)
    server.run(f"INSERT INTO dbo.Item (Id, Name, Price, ModifiedAt) VALUES {rows}")


@pytest.mark.parametrize("mode", CAPTURES)
def test_rows_that_are_new_changed_and_gone_land_and_a_replay_changes_nothing(
    store: Store, shop: Shop, server: LiveDatabase, mode: str
) -> None:
    insert(server, range(1, 51))
    source = declared(shop, mode)
    assert land(store, shop, source).outcome.inserted == 50
    before = documents(store, source, ignore=())
    assert land(store, shop, source).outcome.landed == 0
    assert documents(store, source, ignore=()) == before
    server.run(
        "UPDATE dbo.Item SET Name = N'new', ModifiedAt = SYSDATETIME() WHERE Id % 10 = 3",
        "DELETE FROM dbo.Item WHERE Id = 7",
    )
    time.sleep(0.01)
    server.run("INSERT INTO dbo.Item (Id, Name, ModifiedAt) VALUES (99, N'added', SYSDATETIME())")
    time.sleep(0.01)
    report = land(store, shop, source)
    assert (report.outcome.inserted, report.outcome.updated, report.outcome.deleted) == (1, 5, 1)
    expected = {n: "new" if n % 10 == 3 else "old" for n in range(1, 51) if n != 7} | {99: "added"}
    assert live_names(store, source) == expected


def test_rows_of_one_statement_may_share_a_rowversion_and_are_read_across_pages(
    store: Store, shop: Shop, server: LiveDatabase
) -> None:
    source = declared(shop, "rowversion")
    insert(server, range(1, 3))
    land(store, shop, source)
    insert(server, range(3, 60))
    assert land(store, shop, source).outcome.inserted == 57
    assert len(live_names(store, source)) == 59


def test_what_an_open_transaction_holds_back_lands_after_it_commits(
    store: Store, shop: Shop, server: LiveDatabase
) -> None:
    insert(server, range(1, 11))
    source = declared(shop, "rowversion")
    land(store, shop, source)
    with server.session(autocommit=False) as writer:
        writer.execute("INSERT INTO dbo.Item (Id, Name) VALUES (100, N'slow')")
        insert(server, range(101, 120), "quick")
        report = land(store, shop, source)
        assert 100 not in live_names(store, source)
        assert report.findings.figures["rows_held_back"] >= 19
        writer.connection.commit()
    land(store, shop, source)
    names = live_names(store, source)
    assert names[100] == "slow"
    assert [names.get(n) for n in range(101, 120)] == ["quick"] * 19


@pytest.mark.parametrize("mode", ["rowversion", "modified_at"])
def test_writers_that_never_rest_lose_nothing(store: Store, shop: Shop, server: LiveDatabase, mode: str) -> None:
    """Several writers, some of which roll back or commit late, while runs follow one another."""
    source = declared(shop, mode)
    committed: list[int] = []
    stop = threading.Event()

    def write(worker: int) -> None:
        chance = random.Random(worker)
        number = worker * 100_000
        with server.session(autocommit=False) as cursor:
            while not stop.is_set():
                numbers = range(number + 1, number + chance.randrange(2, 8))
                for n in numbers:
                    cursor.execute(f"INSERT INTO dbo.Item (Id, Name, ModifiedAt) VALUES ({n}, N'w', SYSDATETIME())")
                time.sleep(chance.uniform(0, 0.1))
                if chance.random() < 0.2:
                    cursor.connection.rollback()
                else:
                    cursor.connection.commit()
                    committed.extend(numbers)
                number = numbers[-1]

    threads = [threading.Thread(target=write, args=[worker]) for worker in range(1, 4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        land(store, shop, source)
    stop.set()
    for thread in threads:
        thread.join()
    time.sleep(0.01)
    land(store, shop, source)
    assert len(committed) > 50
    assert sorted(live_names(store, source)) == sorted(committed)


def test_a_connection_that_breaks_again_and_again_costs_pages_and_no_rows(
    store: Store, shop: Shop, server: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(server, range(1, 300))
    monkeypatch.setattr(legacy, "PAUSES", (0.05, 0.1, 0.2, 0.4))
    host, _, port = server.keywords["server"].removeprefix("tcp:").partition(",")
    chance = random.Random(5)
    next_cut = [12_000]

    def cut_sometimes(proxy: BreakableProxy, sent: int) -> None:
        if sent > next_cut[0]:
            next_cut[0] = sent + chance.randrange(4_000, 16_000)
            proxy.cut()

    proxy = BreakableProxy(host, int(port or 1433), cut_sometimes)
    monkeypatch.setenv("SHOP_SQLSERVER_URL", server.url_with(server=f"127.0.0.1,{proxy.port}"))
    source = declared(shop, "rowversion")
    try:
        for _ in range(5):  # a run may use up its attempts; the next goes on from the last page
            try:
                land(store, shop, source)
                break
            except TransientError:
                continue
    finally:
        proxy.close()
    assert proxy.cuts > 2
    assert sorted(live_names(store, source)) == list(range(1, 300))


def test_a_log_in_that_may_only_read_is_enough(
    store: Store, shop: Shop, server: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(server, range(1, 11))
    name = f"reader_{server.name}"
    server.run(
        f"CREATE LOGIN {name} WITH PASSWORD = 'Re4d-0nly!'", f"CREATE USER {name} FOR LOGIN {name}",
        f"GRANT SELECT ON dbo.Item TO {name}",
    )  # fmt: skip
    try:
        monkeypatch.setenv("SHOP_SQLSERVER_URL", server.url_with(uid=name, pwd="Re4d-0nly!"))
        source = declared(shop, "rowversion")
        assert land(store, shop, source).outcome.inserted == 10
        database = open_database(source.sql_system, source)
        with pytest.raises(ConfigurationError, match="refuses"), database.connect() as connection:
            connection.execute(sa.text("DELETE FROM dbo.Item"))
        database.close()
        assert len(live_names(store, source)) == 10
    finally:
        legacy.close_sessions()
        server.run(f"REVOKE SELECT ON dbo.Item FROM {name}", f"DROP USER {name}", f"DROP LOGIN {name}")


def test_a_wrong_password_is_one_sentence_without_it(
    shop: Shop, server: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_SQLSERVER_URL", server.url_with(pwd="s3cr3t-w0rd"))
    with pytest.raises(ConfigurationError, match="refuses our log-in") as caught:
        shop.read(declared(shop, "snapshot"))
    assert "s3cr3t-w0rd" not in str(caught.value)


def test_the_session_says_who_we_are_and_waits_for_nobody_long(shop: Shop, server: LiveDatabase) -> None:
    source = declared(shop, "snapshot")
    database = open_database(source.sql_system, source)
    try:
        assert database.scalar(sa.text("SELECT APP_NAME()")) == "single-customer-view"
        assert database.scalar(sa.text("SELECT @@LOCK_TIMEOUT")) == 10_000
    finally:
        database.close()


@pytest.mark.parametrize("mode", ["change_tracking", "cdc"])
def test_a_mode_that_the_server_lacks_is_named_with_what_a_dba_must_do(
    shop: Shop, server: LiveDatabase, mode: str
) -> None:
    """Before it is switched on; on a server that has no such thing at all, its own words."""
    with pytest.raises(ConfigurationError, match=r"A DBA must run|refuses"):
        shop.read(shop.declare(capture=f"{{mode: {mode}}}"))


@pytest.mark.parametrize("mode", ["change_tracking", "cdc"])
def test_modes_that_the_server_keeps_a_log_for(store: Store, shop: Shop, server: LiveDatabase, mode: str) -> None:
    """On SQL Server itself; Babelfish has neither."""
    enable = {
        "change_tracking": (
            f"ALTER DATABASE {server.name} SET ALLOW_SNAPSHOT_ISOLATION ON",
            f"ALTER DATABASE {server.name} SET CHANGE_TRACKING = ON",
            "ALTER TABLE dbo.Item ENABLE CHANGE_TRACKING",
        ),
        "cdc": (
            "EXEC sys.sp_cdc_enable_db",
            "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'Item', @role_name = NULL",
        ),
    }[mode]
    if not server.supports(*enable):
        pytest.skip(f"this server has no {mode}")
    insert(server, range(1, 51))
    source = shop.declare(capture=f"{{mode: {mode}}}", rest=["page_rows: 7"])
    expected: dict[Any, str] = dict.fromkeys(range(1, 51), "old")
    land(store, shop, source)
    for n in range(3):
        server.run(
            f"UPDATE dbo.Item SET Name = N'v{n}' WHERE Id = {n + 1}", f"DELETE FROM dbo.Item WHERE Id = {n + 40}"
        )
        expected = {**expected, n + 1: f"v{n}"}
        del expected[n + 40]
    deadline = time.monotonic() + 60
    while live_names(store, source) != expected and time.monotonic() < deadline:
        land(store, shop, source)
        time.sleep(1 if mode == "cdc" else 0)
    assert live_names(store, source) == expected
