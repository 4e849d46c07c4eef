"""A legacy row becomes a record, or is rejected whole with the reason."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sv_assets.errors import DataError
from sv_assets.sources.database import TableShape
from sv_assets.sources.keys import document_id, key_text
from sv_assets.sources.records import Record, Rejected, Version
from sv_assets.sources.types import Inexact, converter

VersionOf = Callable[[Sequence[Any]], Version]
_BSON_SAFE = (str, bool, float, bytes, type(None))


class RowConverter:
    """Converts the rows of one table, given in the order of its columns."""

    def __init__(self, shape: TableShape, zone: ZoneInfo, version_of: VersionOf) -> None:
        self._columns = [(column.name, converter(column, zone)) for column in shape.columns]
        names = [column.name for column in shape.columns]
        self._key = shape.source.table.key
        self._key_indexes = [names.index(name) for name in self._key]
        partition = shape.source.table.partition_column
        self._partition_index = names.index(partition) if partition in names else None
        self._version_of = version_of

    def raw_key(self, row: Sequence[Any]) -> list[Any]:
        """The key values as the driver gave them, for the next page."""
        return [row[index] for index in self._key_indexes]

    def convert(self, row: Sequence[Any]) -> Record | Rejected:
        fields: dict[str, Any] = {}
        exact: dict[str, str] = {}
        column = ""
        try:
            for (column, convert), value in zip(self._columns, row, strict=True):
                if value is not None:
                    value = convert(value)
                    if type(value) is Inexact:
                        exact[column], value = value.text, value.value
                fields[column] = value
            identifier = document_id([exact.get(name, fields[name]) for name in self._key])
            column = "the version column"
            version = self._version_of(row)
        except DataError as reason:
            return Rejected(self._rejected_key(row), f"{column} {reason}", self._raw(row))
        return Record(identifier, key_text(identifier), fields, version, exact or None, self._partition_of(row))

    def _partition_of(self, row: Sequence[Any]) -> str | None:
        if self._partition_index is None or row[self._partition_index] is None:
            return None
        value = row[self._partition_index]
        return (
            value[:10]
            if isinstance(value, str)
            else value.date().isoformat()
            if isinstance(value, dt.datetime)
            else str(value)
        )

    def _rejected_key(self, row: Sequence[Any]) -> str:
        parts: list[Any] = []
        for index in self._key_indexes:
            _, convert = self._columns[index]
            try:
                value = convert(row[index])
            except DataError:
                value = repr(row[index])
            parts.append(value.text if type(value) is Inexact else value)
        return key_text(document_id(parts))

    def _raw(self, row: Sequence[Any]) -> dict[str, Any]:
        return {
            name: value if isinstance(value, _BSON_SAFE) else str(value)
            for (name, _), value in zip(self._columns, row, strict=True)
        }
