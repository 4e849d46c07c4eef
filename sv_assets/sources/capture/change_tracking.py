"""`change_tracking`: the rows that changed since a version, with their current values, and the deleted ones.

Source: Microsoft, "Work with change tracking": the version to go on from, the check of the minimum valid version and
the changes are read in one SNAPSHOT transaction, so that they speak of one state of the database.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import sqlalchemy as sa

from sv_assets.errors import ConfigurationError
from sv_assets.sources.capture.pages import Key, Pages, Row
from sv_assets.sources.capture.reader import CaptureReader, log, now
from sv_assets.sources.convert import RowConverter
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.keys import freeze, thaw
from sv_assets.sources.records import Batch, Deletion, Findings, Position, Record, Rejected, Version, Window
from sv_assets.sources.table import TableShape
from sv_assets.sources.types import Column

_SNAPSHOT = sa.text("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
_VERSIONS = sa.text("SELECT CHANGE_TRACKING_CURRENT_VERSION(), CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID(:name))")
_SNAPSHOTS = sa.text("SELECT name, snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()")
_TRACKED = sa.text("SELECT COUNT(*) FROM sys.change_tracking_tables WHERE object_id = OBJECT_ID(:name)")
_VERSION = Column("SYS_CHANGE_VERSION", "bigint", nullable=False)


class ChangeTrackingReader(CaptureReader):
    """The bookmark is a version of the database; within a large set of changes also the key that reading got to.

    A version below the minimum valid one means that changes were cleaned up before they were read: the table is then
    read whole again, and its findings say so.
    """

    mode = "change_tracking"
    sees_deletes: ClassVar[bool] = True

    def __init__(self, database: LegacyDatabase, shape: TableShape) -> None:
        self._table = shape.source.quoted_name
        self._keys = [replace(column, name=f"__key_{n}") for n, column in enumerate(shape.key_columns)]
        read = (_VERSION, *self._keys)
        self._order = [Key(sa.column(c.name), c, len(shape.columns) + n) for n, c in enumerate(read)]
        self._where = f"system {shape.source.system}: table {shape.source.name}"
        self._scan_version = 0
        self._gaps: list[str] = []
        super().__init__(database, shape)
        key = TableShape(shape.source, tuple(shape.key_columns))
        self._key_converter = RowConverter(key, database.zone, lambda _: 0)
        self._check_set_up()

    def deletion_version(self) -> Version:
        return max(self._scan_version, 0)

    def findings(self) -> Findings:
        return Findings({"gaps": len(self._gaps)}, self._gaps)

    def read_window(self, window: Window) -> Iterator[Batch]:
        self._scan_from(self._position_now())
        return super().read_window(window)

    def _position_now(self) -> Position:
        return {"change_tracking": self._versions()[0] or 0}

    def _scan_from(self, then: Position) -> None:
        self._scan_version = then["change_tracking"]

    def _version_of(self, row: Row) -> Version:
        return self._scan_version

    def _news(self, position: Position) -> bool | None:
        """Whether this table is among those that have changed since; also where its changes were cleaned up meanwhile."""
        since: int = position["change_tracking"]
        current, minimum = self._versions()
        if "after" in position or since < (minimum or 0):
            return True
        if (current or 0) <= since:
            return False
        return self._finds(sa.select(sa.literal(1)).select_from(self._changed(since).subquery()))

    def _changes(self, position: Position) -> Iterator[Batch]:
        """Changes in order of (version, key); each transaction reads one page of them and checks that none is lost."""
        since: int = position["change_tracking"]
        after = [thaw(part) for part in position["after"]] if "after" in position else None
        while True:
            extracted_at = now()
            current, minimum, rows, is_whole = self._database.read(partial(self._page, since, after))
            if since < minimum:
                yield from self._read_again(since, minimum)
                return
            self._database.throttle.rest(len(rows))
            if is_whole and len(rows) < self._page_rows:
                yield self._change_batch(rows, {"change_tracking": max(current, since)}, extracted_at)
                return
            after = [rows[-1][key.index] for key in self._order]
            since = after[0] - 1  # all changes up to there are in this page or those before it
            reached = {"change_tracking": since, "after": [freeze(part) for part in after]}
            yield self._change_batch(rows, reached, extracted_at)

    def _read_again(self, since: int, minimum: int) -> Iterator[Batch]:
        self._gaps.append(
            f"Changes after version {since} were cleaned up at the source before they were read (it keeps those after "
            f"{minimum}): the table was read whole again. Run more often, or ask its owner for a longer CHANGE_RETENTION."
        )
        log.warning("%s: %s", self._where, self._gaps[-1])
        return self._scan(None)

    def _page(
        self, since: int, after: Sequence[Any] | None, connection: sa.Connection
    ) -> tuple[int, int, Sequence[Row], bool]:
        """(current version, minimum valid version, a page of changed rows beyond `after`, whether it is whole), all of one
        state of the database."""
        connection.execute(_SNAPSHOT)
        current, minimum = connection.execute(_VERSIONS, {"name": self._table}).one()
        if since < minimum:
            return current, minimum, [], True
        large = [index for index, column in enumerate(self._shape.columns) if column.is_large]
        pages = Pages(self._database, self._changed(since), self._order, self._page_rows, large)
        return current, minimum, *pages.page(after, self._page_rows, connection)

    def _changed(self, since: int) -> sa.Select[Any]:
        """The current values of changed rows, in the order of the table's columns; then version, key, and 1 where the
        row is gone. The key of the changes is renamed, so that a column's name alone is the table's."""
        what: sa.ColumnClause[Any] = sa.literal_column(f"CHANGES {self._table}")
        changed = sa.func.CHANGETABLE(what, sa.literal(since, sa.BigInteger)).table_valued(
            _VERSION.name, *[column.name for column in self._shape.key_columns], name="c"
        )
        renamed = [
            changed.c[old.name].label(new.name) for old, new in zip(self._shape.key_columns, self._keys, strict=True)
        ]
        changes = sa.select(changed.c[_VERSION.name], *renamed).subquery("ct")
        table = self._shape.clause.alias("t")
        of_row: list[sa.ColumnClause[Any]] = [sa.column(column.name) for column in self._shape.key_columns]
        same_row = sa.and_(*[row == changes.c[key.name] for row, key in zip(of_row, self._keys, strict=True)])
        read = [*self._shape.columns, _VERSION, *self._keys]
        gone = sa.case((of_row[0].is_(None), 1), else_=0)
        return sa.select(*[self._database.selected(column) for column in read], gone).select_from(
            changes.outerjoin(table, same_row)
        )

    def _change_batch(self, rows: Sequence[Row], position: Position, extracted_at: dt.datetime) -> Batch:
        batch = Batch([], [], position, extracted_at, from_log=True)
        width = len(self._shape.columns)
        for row in rows:
            version = row[width]
            if row[-1]:
                key = self._key_converter.convert(row[width + 1 : -1])
                if isinstance(key, Record):
                    batch.deletions.append(Deletion(key.key, key.key_text, version))
                continue  # a row without a usable key has never landed
            converted = self._converter.convert(row[:width])
            if isinstance(converted, Rejected):
                batch.rejected.append(converted)
            else:
                batch.records.append(replace(converted, version=version))
        return batch

    def _versions(self) -> tuple[int | None, int | None]:
        current, minimum = self._database.read(lambda c: c.execute(_VERSIONS, {"name": self._table}).one())
        return current, minimum

    def _check_set_up(self) -> None:
        """Raises ConfigurationError that names the statement a DBA must run."""
        database, snapshots = self._database.read(lambda connection: connection.execute(_SNAPSHOTS).one())
        current, minimum = self._versions()
        if current is None:
            retention = "(CHANGE_RETENTION = 7 DAYS, AUTO_CLEANUP = ON)"
            self._refuse(
                "change tracking is off in its database",
                f"ALTER DATABASE [{database}] SET CHANGE_TRACKING = ON {retention}",
            )
        if minimum is None:
            if self._database.scalar(_TRACKED, {"name": self._table}):
                self._refuse(
                    "our log-in may not read its changes", f"GRANT VIEW CHANGE TRACKING ON {self._table} TO [our user]"
                )
            self._refuse("change tracking is off for it", f"ALTER TABLE {self._table} ENABLE CHANGE_TRACKING")
        if snapshots != 1:
            self._refuse(
                "its database does not allow SNAPSHOT transactions, without which changes can be lost",
                f"ALTER DATABASE [{database}] SET ALLOW_SNAPSHOT_ISOLATION ON",
            )

    def _refuse(self, what: str, statement: str) -> None:
        raise ConfigurationError(f"{self._where}: {what}. A DBA must run: {statement};")
