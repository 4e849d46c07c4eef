"""A sample of a table, told without a single value: shares, counts, lengths and shapes.

A shape is the text with every letter as `A` and every digit as `9`: `SW1A 2AA` is `AA9A 9AA`. Of personal columns only
shapes that several rows share are told, and their other signs only where they are the usual ones.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.introspect.found import TableFound
from sv_assets.sources.schema import clause_of
from sv_assets.sources.types import Column

MOST_SAMPLED = 100_000
_PATTERNS = 3
_LONGEST_SHAPE = 40
_ROWS_A_FETCH = 500
_USUAL_SIGNS = frozenset(" .,-_'@/+()&:")
_WIDE = ("nchar", "nvarchar", "ntext", "sysname")


@dataclass(frozen=True)
class ColumnProfile:
    """What a sample of a column showed. Lengths are of its text, or bytes of binary; patterns are (shape, share of rows)."""

    column: str
    type: str
    nulls: float
    distinct: int | None
    shortest: int | None
    longest: int | None
    patterns: tuple[tuple[str, float], ...]
    personal: bool


def profile(
    database: LegacyDatabase, table: TableFound, personal: Mapping[str, str], sample: int
) -> tuple[ColumnProfile, ...]:
    """The profile of each column, from the first `sample` rows that the table gives, by one statement."""
    large = [_is_measured_only(database, column) for column in table.columns]
    read = [
        _length(database, column) if measured else database.selected(column)
        for column, measured in zip(table.columns, large, strict=True)
    ]
    seen = [_Seen(measured) for measured in large]
    rows = 0
    with database.connect() as connection:
        result = connection.execute(sa.select(*read).select_from(clause_of(table)).limit(min(sample, MOST_SAMPLED)))
        while some := result.fetchmany(_ROWS_A_FETCH):
            for row in some:
                rows += 1
                for value, column in zip(row, seen, strict=True):
                    column.add(value)
    return tuple(
        _told(column, found, rows, column.name in personal) for column, found in zip(table.columns, seen, strict=True)
    )


def shape(text: str, personal: bool) -> str:
    """Letters as `A`, digits as `9`; long texts are cut. Of personal ones, unusual signs are `?`."""
    signs = [_sign(letter, personal) for letter in text[:_LONGEST_SHAPE]]
    return "".join(signs) + ("…" if len(text) > _LONGEST_SHAPE else "")


@dataclass
class _Seen:
    """What was seen of one column. `measured`: its values are lengths, because they are too large to read."""

    measured: bool
    nulls: int = 0
    values: set[Any] = field(default_factory=set)
    lengths: list[int] = field(default_factory=list)
    texts: Counter[str] = field(default_factory=Counter)

    def add(self, value: Any) -> None:
        if value is None:
            self.nulls += 1
            return
        if self.measured:
            self._measure(int(value))
            return
        value = bytes(value) if isinstance(value, (bytearray, memoryview)) else value
        self.values.add(value)
        text = value if isinstance(value, (str, bytes)) else str(value)
        self._measure(len(text))
        if isinstance(text, str):
            self.texts[shape(text, personal=False)] += 1

    def _measure(self, length: int) -> None:
        self.lengths = (
            [min(length, *self.lengths[:1]), max(length, *self.lengths[1:])] if self.lengths else [length] * 2
        )


def _told(column: Column, seen: _Seen, rows: int, personal: bool) -> ColumnProfile:
    shapes = seen.texts
    if personal:
        shapes = Counter()
        for told, count in seen.texts.items():
            shapes[shape(told, personal=True)] += count
    common = [
        (told, round(count / rows, 3))
        for told, count in shapes.most_common(_PATTERNS)
        if not personal or (count > 1 and {"A", "9"} & set(told))
    ]
    return ColumnProfile(
        column.name,
        column.declaration,
        round(seen.nulls / rows, 3) if rows else 0.0,
        None if seen.measured else len(seen.values),
        seen.lengths[0] if seen.lengths else None,
        seen.lengths[1] if seen.lengths else None,
        tuple(common),
        personal,
    )


def _sign(letter: str, personal: bool) -> str:
    if letter.isalpha():
        return "A"
    if letter.isdigit() or letter.isnumeric():
        return "9"
    if not letter.isprintable() or (personal and letter not in _USUAL_SIGNS):
        return "?"
    return letter


def _is_measured_only(database: LegacyDatabase, column: Column) -> bool:
    if database.is_sqlite:
        return column.type_name in ("blob", "image", "varbinary")
    return column.is_large


def _length(database: LegacyDatabase, column: Column) -> sa.ColumnElement[Any]:
    clause: sa.ColumnClause[Any] = sa.column(column.name)
    if database.is_sqlite:
        return sa.func.length(clause)
    length = sa.cast(sa.func.DATALENGTH(clause), sa.BigInteger)
    return length // 2 if column.type_name in _WIDE else length


def lines(profiles: Sequence[ColumnProfile]) -> list[list[Any]]:
    """As rows of a table: column, type, null share, distinct, shortest, longest, patterns."""
    return [
        [
            p.column,
            p.type,
            f"{p.nulls:.1%}",
            "" if p.distinct is None else f"{p.distinct:,}",
            "" if p.shortest is None else f"{p.shortest:,}",
            "" if p.longest is None else f"{p.longest:,}",
            "  ".join(f"{told} {share:.0%}" for told, share in p.patterns),
        ]
        for p in profiles
    ]
