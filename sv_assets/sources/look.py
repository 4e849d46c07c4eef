"""Looking whether tables have something new, without reading them: what a sensor may ask every few seconds."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError
from sv_assets.sources.capture import open_reader
from sv_assets.sources.database import LegacyDatabase, open_database
from sv_assets.sources.records import Position
from sv_assets.sources.schema import read_table
from sv_assets.sources.table import TableShape

SHAPE_SECONDS = 600.0
"""For how long the columns and indexes of a table are believed; a run always looks for itself."""
_SHAPES: dict[tuple[str, str], tuple[float, TableShape]] = {}


@dataclass(frozen=True)
class Seen:
    """What a look at one table told: `news` is None where only reading the table can tell."""

    source: Source
    news: bool | None


def look_at(tables: Sequence[Source], positions: Mapping[str, Position | None]) -> Iterator[Seen]:
    """Look at each of these tables of one system, over one connection at a time.

    A table whose declaration does not fit the database counts as having news: its run says what is wrong. Raises
    TransientError where the server does not answer, at the first attempt.
    """
    for source in tables:
        position = positions.get(source.key)
        if position is None or "scan_after" in position:
            yield Seen(source, True)
        elif source.table.capture.mode == "snapshot":
            yield Seen(source, None)
        else:
            yield Seen(source, _news(source, position))


def _news(source: Source, position: Position) -> bool | None:
    try:
        database = replace(open_database(source.sql_system, source), pauses=())
    except ConfigurationError:
        return True
    try:
        shape = _shape(database, source)
        return open_reader(database, shape).has_news(position) if shape else True
    except (ConfigurationError, StopIteration):  # the second: its capture column is not there
        return True
    finally:
        database.close()


def _shape(database: LegacyDatabase, source: Source) -> TableShape | None:
    """As the database described the table not long ago."""
    key = (str(database.engine.url), source.key)
    known = _SHAPES.get(key)
    if known and known[1].source == source and time.monotonic() - known[0] < SHAPE_SECONDS:
        return known[1]
    found = read_table(database, source.name)
    if found is None or not found.columns:
        return None
    shape = TableShape(source, found.columns, found)
    _SHAPES[key] = (time.monotonic(), shape)
    return shape
