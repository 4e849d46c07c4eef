"""SQL Server's change data capture as a SQLite file of the documented shape, kept by the statements of a test."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from sv_assets_tests.sources.shop import Shop

DELETE, INSERT, BEFORE, AFTER = 1, 2, 3, 4


def lsn(number: int) -> bytes:
    return number.to_bytes(10)


class ChangeLog:
    """The schema `cdc` beside the shop's database: what the capture job has written of its changes.

    Tables are changed through `commit`, which writes the rows and their changes as one transaction with the next LSN.
    """

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._path = shop.catalogued.database.with_name("shop.cdc.sqlite")
        self.number = 100
        self.clock = dt.datetime(2026, 11, 20, 12, 0)
        self.run(
            "CREATE TABLE change_tables (object_id INT, version INT, source_object_id INT, capture_instance SYSNAME, "
            "start_lsn BINARY(10), end_lsn BINARY(10), supports_net_changes BIT, create_date DATETIME)"
        )
        self.run(
            "CREATE TABLE lsn_time_mapping (start_lsn BINARY(10), tran_begin_time DATETIME, tran_end_time DATETIME, "
            "tran_id VARBINARY(10), tran_begin_lsn BINARY(10))"
        )

    def run(self, statement: str, *parameters: Any) -> None:
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.execute(statement, parameters)

    def enable(self, columns: str, instance: str = "dbo_Item", command_id: bool = True) -> None:
        """Another capture instance of the table, which begins here."""
        command = ", __$command_id INT" if command_id else ""
        self.run(
            f'CREATE TABLE "{instance}_CT" (__$start_lsn BINARY(10), __$end_lsn BINARY(10), __$seqval BINARY(10), '
            f"__$operation INT, __$update_mask VARBINARY(128), {columns}{command})"
        )
        self.run("INSERT INTO change_tables VALUES (1, 0, 7, ?, ?, NULL, 0, NULL)", instance, lsn(self.number + 1))

    def tick(self, minutes: int = 1) -> int:
        """A transaction that touches none of our tables; the capture job notes it all the same."""
        self.number += 1
        self.clock += dt.timedelta(minutes=minutes)
        self.run("INSERT INTO lsn_time_mapping VALUES (?, NULL, ?, NULL, NULL)", lsn(self.number), str(self.clock))
        return self.number

    def record(self, *changes: tuple[int, Sequence[Any]], instance: str = "dbo_Item", command_id: bool = True) -> int:
        """One transaction of changes (operation, row), in their order."""
        number = self.tick()
        with closing(sqlite3.connect(self._path)) as connection, connection:
            for n, (operation, row) in enumerate(changes, 1):
                marks = ", ".join("?" * len(row))
                statement = (
                    f'INSERT INTO "{instance}_CT" VALUES (?, NULL, ?, ?, NULL, {marks}{", ?" if command_id else ""})'
                )
                connection.execute(
                    statement, (lsn(number), lsn(1000 - n), operation, *row, *([n] if command_id else []))
                )
        return number

    def clean_up(self, below: int, instance: str = "dbo_Item") -> None:
        """The clean-up job removes the changes before this LSN."""
        self.run(f'DELETE FROM "{instance}_CT" WHERE __$start_lsn < ?', lsn(below))
        self.run("DELETE FROM lsn_time_mapping WHERE start_lsn < ?", lsn(below))
        self.run("UPDATE change_tables SET start_lsn = ? WHERE capture_instance = ?", lsn(below), instance)

    def commit(self, operation: int, row: Sequence[Any], instance: str = "dbo_Item") -> int:
        """Change the table and record it: `row` is the row as it is after the change, or before a delete."""
        key = row[0]
        self._shop.run("DELETE FROM Item WHERE Id = ?", key)
        if operation != DELETE:
            self._shop.insert("Item", [row])
        changes = [(BEFORE, row), (AFTER, row)] if operation == AFTER else [(operation, row)]
        return self.record(*changes, instance=instance)
