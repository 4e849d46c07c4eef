"""`cdc`: every change by SQL Server's change data capture, in the order in which it was committed.

The change tables are read directly, as Microsoft documents them ("cdc.<capture_instance>_CT", "cdc.change_tables",
"cdc.lsn_time_mapping"): over a closed interval of LSNs, ordered by (start LSN, command id, sequence value, operation).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import sqlalchemy as sa

from sv_assets.catalogue.capture import CdcCapture
from sv_assets.errors import ConfigurationError
from sv_assets.sources.capture.cdc_tables import (
    COMMAND,
    OPERATION,
    SEQUENCE,
    START,
    Instance,
    committed_at,
    highest_lsn,
    instances_of,
    lsns_committed_within,
)
from sv_assets.sources.capture.pages import Key, Pages, Row
from sv_assets.sources.capture.reader import CaptureReader, log, now
from sv_assets.sources.convert import RowConverter, partition_of
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.records import Batch, Deletion, Findings, Position, Record, Rejected, Version, Window
from sv_assets.sources.table import TableShape
from sv_assets.sources.types import Column

_DELETE, _BEFORE_UPDATE = 1, 3
_ORDER = (START, COMMAND, SEQUENCE, OPERATION)


@dataclass(frozen=True)
class Place:
    """A place in the log of changes: after the change with these four values, which order all changes of a table."""

    lsn: bytes
    command: int = 2**31 - 1
    sequence: bytes = b"\xff" * 10
    operation: int = 255

    @property
    def version(self) -> bytes:
        """25 bytes that sort as the places do. Without a change given, the place after all changes of the LSN."""
        return self.lsn + self.command.to_bytes(4) + self.sequence + bytes([self.operation])

    @staticmethod
    def of(version: bytes) -> "Place":
        return Place(version[:10], int.from_bytes(version[10:14]), version[14:24], version[24])

    @property
    def next_lsn(self) -> bytes:
        """The lowest LSN that may have a change beyond this place."""
        return stepped(self.lsn, 1) if self == Place(self.lsn) else self.lsn


class CdcReader(CaptureReader):
    """The bookmark is a place in the log; it moves on empty windows too.

    A place below what the capture instance still holds is a gap: the table is read whole again, and the findings say so.
    Of two capture instances during a change of schema the older is read up to where the newer begins. Columns are those
    that the newest instance captures; computed ones are left out, because CDC gives null for them.
    """

    mode = "cdc"
    sees_deletes: ClassVar[bool] = True

    def __init__(self, database: LegacyDatabase, shape: TableShape, capture: CdcCapture) -> None:
        self._where = f"system {shape.source.system}: table {shape.source.name}"
        self._instances = instances_of(database, shape, capture)
        captured = self._instances[-1].columns
        used = shape.source.columns_used()
        for instance in self._instances:
            wanted = used if instance is self._instances[-1] else set(shape.source.table.key)
            if missing := sorted(wanted - instance.columns):
                raise ConfigurationError(
                    f"{self._where}: its capture instance {instance.name} does not capture {', '.join(missing)}. A DBA must make "
                    "another one that does: EXEC sys.sp_cdc_enable_table … @captured_column_list."
                )
        columns = tuple(column for column in shape.columns if column.name in captured and not column.computed)
        partitions = shape.source.table.partitions
        self._partition = partitions.by if partitions and not shape.source.table.partition_column else None
        self._scan_version = b""
        self._gaps: list[str] = []
        super().__init__(database, TableShape(shape.source, columns))
        key = TableShape(shape.source, tuple(shape.key_columns))
        self._key_converter = RowConverter(key, database.zone, lambda _: b"")

    def deletion_version(self) -> Version:
        return self._scan_version

    def findings(self) -> Findings:
        return Findings({"gaps": len(self._gaps), "capture_instances": len(self._instances)}, self._gaps)

    def read_window(self, window: Window) -> Iterator[Batch]:
        if self._shape.source.table.partition_column:
            self._scan_from(self._position_now())
            yield from super().read_window(window)
            return
        found = lsns_committed_within(self._database, window)
        if found is None:
            return
        before, last = stepped(found[0], -1), found[1]
        oldest = self._instances[0]
        if before < stepped(oldest.start, -1):
            raise ConfigurationError(
                f"{self._where}: its changes of these days were cleaned up at the source. Land it with `full: true`."
            )
        for batch in self._read_through(Place(before), last):
            yield replace(batch, position={})

    def _position_now(self) -> Position:
        """After all that the capture job has seen; and not before the newest instance, with whose columns a scan reads."""
        begins = stepped(self._instances[-1].start, -1)
        return {"cdc": Place(max(highest_lsn(self._database) or begins, begins)).version}

    def _scan_from(self, then: Position) -> None:
        self._scan_version = bytes(then["cdc"])

    def _version_of(self, row: Row) -> Version:
        return self._scan_version

    def _news(self, position: Position) -> bool | None:
        """Whether a change table has anything beyond the place; also where that is no longer held."""
        reached = Place.of(bytes(position["cdc"]))
        if reached.next_lsn < self._instances[0].start:
            return True
        beyond: sa.ColumnElement[bool] = sa.column(START.name) >= self._database.bound(START, reached.next_lsn)
        one = sa.select(sa.literal(1))
        return any(self._finds(one.select_from(i.clause).where(beyond)) for i in self._instances)

    def _changes(self, position: Position) -> Iterator[Batch]:
        reached = Place.of(bytes(position["cdc"]))
        last = max(highest_lsn(self._database) or b"", reached.lsn)
        try:
            yield from self._read_through(reached, last)
        except _Gap as gap:
            self._gaps.append(
                f"Changes after LSN {gap.after.hex()} were cleaned up at the source before they were read: the table was read "
                "whole again. Run more often, or ask its owner for a longer retention of the CDC clean-up job."
            )
            log.warning("%s: %s", self._where, self._gaps[-1])
            yield from self._scan(None)

    def _read_through(self, reached: Place, last: bytes) -> Iterator[Batch]:
        """All changes beyond `reached` with an LSN up to `last`: with each stretch of the log from one instance."""
        while reached.next_lsn <= last:
            usable = [instance for instance in self._instances if instance.start <= reached.next_lsn]
            if not usable:
                raise _Gap(reached.lsn)
            later = [instance.start for instance in self._instances if instance.start > reached.next_lsn]
            until = min([last, *(stepped(start, -1) for start in later)])
            yield from self._read_instance(usable[-1], reached, until)
            reached = Place(until)
        yield Batch([], [], {"cdc": reached.version}, now(), from_log=True)

    def _read_instance(self, instance: Instance, reached: Place, until: bytes) -> Iterator[Batch]:
        columns = tuple(column for column in self._shape.columns if column.name in instance.columns)
        order = [column for column in _ORDER if column is not COMMAND or instance.has_command_id]
        converter = RowConverter(TableShape(self._shape.source, columns), self._database.zone, lambda _: b"")
        keys = [columns.index(column) for column in self._shape.key_columns]
        pages = self._pages_of(instance, columns, order, until)
        begin = {START: reached.lsn, COMMAND: reached.command, SEQUENCE: reached.sequence, OPERATION: reached.operation}
        for rows, extracted_at in pages.after([begin[column] for column in order]):
            if instance.start_now(self._database) > reached.next_lsn:
                raise _Gap(reached.lsn)  # cleaned up while it was read: this page may lack changes
            changes = _Changes(converter, self._key_converter, keys, self._partition)
            for row in rows:
                place = dict(zip(order, row[len(columns) :], strict=False))
                reached = Place(
                    bytes(place[START]), int(place.get(COMMAND) or 0), bytes(place[SEQUENCE]), int(place[OPERATION])
                )
                changes.add(row[: len(columns)], reached, row[-1])
            yield Batch(
                list(changes.records.values()),
                list(changes.rejected.values()),
                {"cdc": reached.version},
                extracted_at,
                list(changes.deletions.values()),
                from_log=True,
            )

    def _pages_of(self, instance: Instance, columns: Sequence[Column], order: list[Column], until: bytes) -> Pages:
        """The changes of an instance: the columns of the table, then those of the order, then when it was committed."""
        changes = instance.clause.alias("ct")
        start: sa.ColumnClause[Any] = sa.column(START.name, _selectable=changes)
        wanted = self._partition is not None
        committed = committed_at(self._database, start) if wanted else sa.null()
        read = [*columns, *order]
        statement = (
            sa.select(*[self._database.selected(column) for column in read], committed)
            .select_from(changes)
            .where(sa.column(START.name) <= self._database.bound(START, until))
            .where(sa.column(OPERATION.name) != _BEFORE_UPDATE)
        )
        keys = [Key(sa.column(c.name), c, len(columns) + n) for n, c in enumerate(order)]
        large = [index for index, column in enumerate(columns) if column.is_large]
        return Pages(self._database, statement, keys, self._page_rows, large)


class _Changes:
    """The changes of one page, the newest of each row: what came before it in the page is history."""

    def __init__(
        self, converter: RowConverter, key_converter: RowConverter, keys: list[int], partition: str | None
    ) -> None:
        self._converter, self._key_converter, self._keys, self._partition = converter, key_converter, keys, partition
        self.records: dict[str, Record] = {}
        self.rejected: dict[str, Rejected] = {}
        self.deletions: dict[str, Deletion] = {}

    def add(self, row: Row, place: Place, committed: Any) -> None:
        if place.operation == _DELETE:
            key = self._key_converter.convert([row[index] for index in self._keys])
            if isinstance(key, Record):  # a row without a usable key has never landed
                self._forget(key.key_text)
                self.deletions[key.key_text] = Deletion(key.key, key.key_text, place.version)
            return
        converted = self._converter.convert(row)
        self._forget(converted.key_text)
        if isinstance(converted, Rejected):
            self.rejected[converted.key_text] = converted
            return
        partition = partition_of(committed, self._partition) if self._partition else converted.partition
        self.records[converted.key_text] = replace(converted, version=place.version, partition=partition)

    def _forget(self, key_text: str) -> None:
        for kind in (self.records, self.rejected, self.deletions):
            kind.pop(key_text, None)


class _Gap(Exception):
    """Changes that should be read next are no longer there."""

    def __init__(self, after: bytes) -> None:
        super().__init__("a gap in the log of changes")
        self.after = after


def stepped(lsn: bytes, by: int) -> bytes:
    """The LSN before or after this one (sys.fn_cdc_increment_lsn, sys.fn_cdc_decrement_lsn)."""
    return min(max(int.from_bytes(lsn) + by, 0), 2**80 - 1).to_bytes(10)
