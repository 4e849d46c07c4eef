"""A legacy database of a test's own: tables made, declared and changed in a line or two each."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sv_assets.catalogue import Catalogue, Source, load_catalogue
from sv_assets.sources.capture import CaptureReader, open_reader
from sv_assets.sources.database import LegacyDatabase, open_database
from sv_assets.sources.records import Batch, Position, Record
from sv_assets.sources.table import describe
from sv_assets_tests.conftest import Catalogued


@dataclass(frozen=True)
class Shop:
    """The system `shop`: a SQLite file in place of a SQL Server database, and its declaration."""

    catalogued: Catalogued

    def run(self, statement: str, *parameters: Any) -> None:
        """One statement, committed."""
        with closing(sqlite3.connect(self.catalogued.database)) as connection, connection:
            connection.execute(statement, parameters)

    def insert(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        rows = list(rows)
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            with closing(sqlite3.connect(self.catalogued.database)) as connection, connection:
                connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', rows)

    def table(self, name: str, columns: str, rows: Iterable[Sequence[Any]] = ()) -> None:
        self.run(f'CREATE TABLE "{name}" ({columns})')
        self.insert(name, rows)

    def declare(
        self, name: str = "dbo.Item", key: str = "Id", capture: str = "{mode: snapshot}", rest: Sequence[str] = ()
    ) -> Source:
        """Declare this one table, with further lines of its entry in `rest`."""
        lines = [
            f"    - name: {name}",
            f"      key: [{key}]",
            f"      capture: {capture}",
            *(f"      {r}" for r in rest),
        ]
        self.catalogued.declare("\n".join(lines) + "\n")
        return self.catalogue.sources[0]

    @property
    def catalogue(self) -> Catalogue:
        return load_catalogue(self.catalogued.directory)

    def open(self, source: Source) -> tuple[LegacyDatabase, CaptureReader]:
        """The database, which the caller closes, and a fresh reader."""
        database = open_database(source.sql_system)
        try:
            return database, open_reader(database, describe(database, source))
        except BaseException:
            database.close()
            raise

    def read(self, source: Source, position: Position | None = None) -> tuple[list[Record], Position]:
        """All that one run would read, and the position it would leave in the bookmark."""
        batches = self.batches(source, position)
        reached = [batch.position for batch in batches if batch.position]
        return [record for batch in batches for record in batch.records], reached[-1] if reached else position or {}

    def batches(self, source: Source, position: Position | None = None) -> list[Batch]:
        database, reader = self.open(source)
        with closing(database):
            return list(reader.read(position))
