"""SQL Server's change tracking on SQLite: its functions, its views as attached tables, and CHANGETABLE rewritten.

The reader's own statements run, and what they find is real; only the words that SQLite does not know are replaced.
"""

import re
import sqlite3
from contextlib import closing
from typing import Any

import sqlalchemy as sa

from sv_assets.catalogue import Source
from sv_assets.sources.capture import CaptureReader, open_reader
from sv_assets.sources.database import LegacyDatabase, open_database
from sv_assets.sources.table import describe
from sv_assets_tests.sources.shop import Shop

_CHANGES = re.compile(r"CHANGETABLE\(CHANGES \[dbo\]\.\[(\w+)\], \?\)")


class TrackedShop:
    """The table `Item` under change tracking: `write` and `delete` are transactions with a version each."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.version = 10
        self.minimum: int | None = 0
        self.current_is_known = True
        shop.run("CREATE TABLE _tracked_Item (SYS_CHANGE_VERSION BIGINT, Id INT PRIMARY KEY)")
        self.system_table("CREATE TABLE databases (name SYSNAME, database_id INT, snapshot_isolation_state TINYINT)")
        self.system_table("INSERT INTO databases VALUES ('Shop', 1, 1)")
        self.system_table("CREATE TABLE change_tracking_tables (object_id INT)")
        self.system_table("INSERT INTO change_tracking_tables VALUES (7)")

    def system_table(self, statement: str) -> None:
        with closing(sqlite3.connect(self.shop.catalogued.database.with_name("shop.sys.sqlite"))) as system, system:
            system.execute(statement)

    def write(self, *rows: tuple[Any, ...]) -> None:
        self._change([row[0] for row in rows])
        self.shop.insert("Item", rows)

    def delete(self, *keys: int) -> None:
        self._change(keys)

    def clean_up(self) -> None:
        """Forget all changes until now."""
        self.minimum = self.version
        self.shop.run("DELETE FROM _tracked_Item WHERE SYS_CHANGE_VERSION <= ?", self.version)

    def open(self, source: Source) -> tuple[LegacyDatabase, CaptureReader]:
        database = open_database(source.sql_system, source)
        self.teach(database.engine)
        return database, open_reader(database, describe(database, source))

    def teach(self, engine: sa.Engine) -> None:
        """Let an engine understand what only SQL Server does."""

        @sa.event.listens_for(engine, "connect")
        def functions(connection: sqlite3.Connection, _record: Any) -> None:
            known = self.current_is_known
            connection.create_function("DB_ID", 0, lambda: 1)
            connection.create_function("OBJECT_ID", 1, lambda name: 7 if name == "[dbo].[Item]" else None)
            connection.create_function("CHANGE_TRACKING_CURRENT_VERSION", 0, lambda: self.version if known else None)
            connection.create_function("CHANGE_TRACKING_MIN_VALID_VERSION", 1, lambda _: self.minimum)

        @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
        def words(_c: Any, _cursor: Any, statement: str, parameters: Any, _x: Any, _many: bool) -> tuple[str, Any]:
            statement = statement.replace("SET TRANSACTION ISOLATION LEVEL SNAPSHOT", "SELECT 1")
            return _CHANGES.sub(r"(SELECT * FROM _tracked_\1 WHERE SYS_CHANGE_VERSION > ?)", statement), parameters

    def _change(self, keys: Any) -> None:
        self.version += 1
        for key in keys:
            self.shop.run("DELETE FROM Item WHERE Id = ?", key)
            self.shop.run("INSERT OR REPLACE INTO _tracked_Item VALUES (?, ?)", self.version, key)
