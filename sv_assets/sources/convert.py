"""A legacy row becomes a record, or is rejected whole with the reason."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sv_assets.errors import DataError
from sv_assets.sources.keys import compared_id, document_id, key_text
from sv_assets.sources.records import Record, Rejected, Version
from sv_assets.sources.table import TableShape
from sv_assets.sources.types import OTHER, Column, Converter, Marked, converter, sql_type
from sv_assets.sources.types.plain import identifier_as_stored

VersionOf = Callable[[Sequence[Any]], Version]
_BSON_SAFE = (str, bool, float, bytes, type(None))


class RowConverter:
    """Converts the rows of one table, given in the order of its columns."""

    def __init__(self, shape: TableShape, zone: ZoneInfo, version_of: VersionOf) -> None:
        self.columns = shape.columns
        self._names = [column.name for column in shape.columns]
        table = shape.source.table
        self._key: list[str] = list(table.key)
        self._converters = [
            (column.name, self._converter_of(column, zone), sql_type(column).passes or type(None))
            for column in shape.columns
        ]
        self._key_indexes = [self._names.index(name) for name in self._key]
        keys = [shape.columns[index] for index in self._key_indexes]
        self._tells_case = [column.is_case_sensitive for column in keys] if any(map(_may_be_text, keys)) else []
        self._partition = table.partition_column if table.partition_column in self._names else None
        self._partition_by = table.partitions.by if table.partitions else "day"
        self._zone = zone
        self._version_of = version_of

    def _converter_of(self, column: Column, zone: ZoneInfo) -> Converter:
        if column.type_name == "uniqueidentifier" and column.name not in self._key:
            return identifier_as_stored
        return converter(column, zone)

    def raw_key(self, row: Sequence[Any]) -> list[Any]:
        """The key values as the driver gave them, for the next page."""
        return [row[index] for index in self._key_indexes]

    def convert_page(self, rows: Sequence[Sequence[Any]]) -> list[Record | Rejected]:
        """The rows as `convert` gives them one by one, a quarter faster: column by column.

        Where a value is not what its type allows, or says more than BSON holds, the rows go one by one after all.
        """
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        try:
            for index, (_, convert, passes) in enumerate(self._converters):
                values = columns[index]
                if set(map(type, values)) <= {passes, type(None)}:
                    continue
                columns[index] = landed = [None if value is None else convert(value) for value in values]
                if Marked in set(map(type, landed)):
                    return [self.convert(row) for row in rows]
        except DataError:
            return [self.convert(row) for row in rows]
        names = self._names
        return [
            self._record(row, dict(zip(names, landed, strict=True)), None)
            for row, landed in zip(rows, zip(*columns, strict=True), strict=True)
        ]

    def convert(self, row: Sequence[Any]) -> Record | Rejected:
        """A value of the type that a column passes costs one comparison, any other one call."""
        fields: dict[str, Any] = dict(zip(self._names, row, strict=True))
        marks: dict[str, dict[str, Any]] | None = None
        column = ""
        try:
            for column, convert, passes in self._converters:
                value = fields[column]
                if value is None or type(value) is passes:
                    continue
                landed = convert(value)
                if type(landed) is Marked:
                    marks = _marked(marks or {}, column, landed)
                    landed = landed.value
                fields[column] = landed
        except DataError as reason:
            return Rejected(self._rejected_key(row), f"{column} {reason}", self._raw(row))
        return self._record(row, fields, marks)

    def _record(
        self, row: Sequence[Any], fields: dict[str, Any], marks: dict[str, dict[str, Any]] | None
    ) -> Record | Rejected:
        if marks is None:
            parts = [fields[name] for name in self._key]
        else:
            exact = marks.get("exact", {})
            parts = [exact.get(name, fields[name]) for name in self._key]
        try:
            version = self._version_of(row)
        except DataError as reason:
            return Rejected(self._rejected_key(row), f"the version column {reason}", self._raw(row))
        identifier = document_id(parts)
        compared_key = None
        if self._tells_case and any(type(part) is str for part in parts):
            compared_key = compared_id(parts, self._tells_case)
        partition = self._partition_of(row, fields, marks) if self._partition else None
        return Record(identifier, key_text(identifier), fields, version, marks, partition, compared_key)

    def _partition_of(self, row: Sequence[Any], fields: dict[str, Any], marks: dict[str, Any] | None) -> str | None:
        """By the local time in the source; of a date-time with an offset, by its time in the system's zone."""
        name = self._partition or ""
        if marks and name in marks.get("offset_minutes", {}):
            return partition_of(fields[name].astimezone(self._zone), self._partition_by)
        return partition_of(row[self._names.index(name)], self._partition_by)

    def _rejected_key(self, row: Sequence[Any]) -> str:
        parts: list[Any] = []
        for index in self._key_indexes:
            value = row[index]
            try:
                landed = _landed(self._converters[index][1], value)
            except DataError:
                landed = repr(value)
            parts.append(landed)
        return key_text(document_id(parts))

    def _raw(self, row: Sequence[Any]) -> dict[str, Any]:
        return {
            name: value if isinstance(value, _BSON_SAFE) else str(value)
            for name, value in zip(self._names, row, strict=True)
        }


def partition_of(value: Any, by: str) -> str | None:
    """The partition of a local date-time, as Dagster names it: the day `2026-11-23`, or the hour `2026-11-23-14:00`."""
    if value is None:
        return None
    text = value.isoformat() if isinstance(value, dt.date) else str(value)
    return text[:10] if by == "day" else f"{text[:10]}-{text[11:13] or '00'}:00"


def _marked(marks: dict[str, dict[str, Any]], column: str, landed: Marked) -> dict[str, dict[str, Any]]:
    if landed.exact is not None:
        marks.setdefault("exact", {})[column] = landed.exact
    if landed.offset_minutes is not None:
        marks.setdefault("offset_minutes", {})[column] = landed.offset_minutes
    if landed.base_type is not None:
        marks.setdefault("base_type", {})[column] = landed.base_type
    return marks


def _landed(convert: Converter, value: Any) -> Any:
    """The value as part of a key: by its exact text where it has one."""
    landed = convert(value)
    if isinstance(landed, Marked):
        return landed.value if landed.exact is None else landed.exact
    return landed


def _may_be_text(column: Column) -> bool:
    row = sql_type(column)
    return row.is_text or row is OTHER or column.type_name == "sql_variant"
