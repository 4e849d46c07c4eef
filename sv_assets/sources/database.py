"""Connections to a legacy database: read-only, kind to it, and the same for SQL Server and SQLite.

A SQLite file stands in for a database of SQL Server. Its own tables are the schema `dbo`; a file `shop.Sales.sqlite`
beside `shop.sqlite` is attached as the schema `Sales`, and `shop.cdc.sqlite` as the schema `cdc`.
"""

import datetime as dt
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import exc

from sv_assets import settings
from sv_assets.catalogue.capture import ChangeTrackingCapture, RowversionCapture
from sv_assets.catalogue.model import SqlServerSystemModel
from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError, SvError, TransientError
from sv_assets.sources import tsql
from sv_assets.sources.driver import odbc_keywords, odbc_string
from sv_assets.sources.faults import explained
from sv_assets.sources.pace import Throttle, zone_of
from sv_assets.sources.types import Column

log = logging.getLogger(__name__)
T = TypeVar("T")
PAUSES = (0.5, 2.0, 8.0, 30.0)
"""Seconds before each further attempt of a read that failed for a passing reason, give or take a quarter."""
_SESSION = (
    "SET DEADLOCK_PRIORITY LOW",
    "SET LOCK_TIMEOUT 10000",
)
_VERSIONING = sa.text(
    "SELECT snapshot_isolation_state, is_read_committed_snapshot_on FROM sys.databases WHERE database_id = DB_ID()"
)
_QUERY_SECONDS = 120
_SESSION_SECONDS = 900
_ENGINES: dict[tuple[str, int], sa.Engine] = {}
"""A connection costs SQL Server and us more than an incremental read that finds nothing, so a run's tables share them."""


@dataclass(frozen=True)
class LegacyDatabase:
    """One legacy system's database: its engine (at most `max_connections` at once), its time zone and its throttle."""

    system: SqlServerSystemModel
    engine: sa.Engine
    zone: ZoneInfo
    throttle: Throttle = field(default_factory=lambda: Throttle(None))
    pauses: tuple[float, ...] = field(default_factory=lambda: PAUSES)
    """Between the attempts of a read; none, where somebody asks who will come again soon."""

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A read-only connection in a short transaction; database errors come out as ours, in one sentence."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except SvError:
            raise
        except exc.SQLAlchemyError as error:
            # Not "from error": its text holds the statement, and whoever stores the cause would store it too.
            raise explained(self.system.system, error) from None
        except UnicodeError:
            raise ConfigurationError(
                f"system {self.system.system}: the database holds text that is not Unicode where we cannot step over it. "
                "Mend it there, or read the table through a view that leaves it out."
            ) from None

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Do `work` on a connection; again, after a pause, where it fails for a passing reason.

        Each page of a table is one such piece of work, so a deadlock or a lost connection costs a page and no more.
        """
        for pause in (*self.pauses, None):
            try:
                with self.connect() as connection:
                    return _with_any_text(work, connection) if self.is_sqlite else work(connection)
            except TransientError as error:
                if pause is None:
                    raise
                log.warning("%s Trying again in %.1f s.", error, pause)
                time.sleep(pause * random.uniform(0.75, 1.25))
        raise AssertionError("the last attempt returns or raises")

    def scalar(self, statement: sa.Executable, parameters: dict[str, Any] | None = None) -> Any:
        """The one value that a statement gives."""
        return self.read(lambda connection: connection.execute(statement, parameters or {}).scalar_one())

    def selected(self, column: Column) -> sa.ColumnElement[Any]:
        """The column as it is read: exactly, whatever the driver would make of it."""
        return sa.column(column.name) if self.is_sqlite else tsql.selected(column)

    def bound(self, column: Column, value: Any) -> Any:
        """A value that was read from the column, or a moment, to compare the column with.

        SQLite compares date-times as text, of which the shortest form is the lowest.
        """
        if not self.is_sqlite:
            return tsql.bound(column, value)
        if not isinstance(value, dt.datetime):
            return value
        return value.isoformat(" ", "microseconds").rstrip("0").removesuffix(".").removesuffix(" 00:00:00")

    def now(self) -> dt.datetime:
        """The server's own clock, naive, in its local time. SQLite has none: there it is ours in the system's zone."""
        if self.is_sqlite:
            return dt.datetime.now(self.zone).replace(tzinfo=None)
        moment: dt.datetime = self.scalar(sa.text("SELECT SYSDATETIME()"))
        return moment

    def close(self) -> None:
        """Give everything back; sessions of SQL Server stay open for the next table, until `close_sessions`."""
        if self.is_sqlite:
            self.engine.dispose()


def _with_any_text(work: Callable[[sa.Connection], T], connection: sa.Connection) -> T:
    """Text that is no UTF-8 stops its own row when it lands, and not the reading of the table: where SQLite meets some,
    the work is done again with text taken as it comes. (Always to take it so would cost a third of the reading.)"""
    try:
        return work(connection)
    except exc.OperationalError as error:
        if "decode" not in str(error.orig):
            raise
        driver: Any = connection.connection.driver_connection
        driver.text_factory = lambda text: text.decode(errors="surrogateescape")
        return work(connection)


def open_database(system: SqlServerSystemModel, source: Source | None = None) -> LegacyDatabase:
    """Prepare the engine; no connection is opened yet. Raises ConfigurationError for an unusable URL or time zone.

    With `source`, it is the server that serves this table: a readable secondary (`replica`) where one is declared and
    the table's capture mode can use it. A secondary cannot say which rowversions are still to come, nor what change
    tracking saw (Microsoft, "MIN_ACTIVE_ROWVERSION"; "About change tracking"), and a table is never read half here and
    half there.
    """
    where = f"system {system.system}"
    needs_primary = source is not None and isinstance(source.table.capture, (RowversionCapture, ChangeTrackingCapture))
    connection = system.connection if needs_primary else settings.resolve_optional(system.replica) or system.connection
    zone = zone_of(system)
    try:
        url = sa.make_url(settings.resolve(connection, where))
        engine = _sqlite(system, url) if url.get_backend_name() == "sqlite" else _sql_server(system, url, needs_primary)
    except (exc.ArgumentError, exc.NoSuchModuleError, ImportError, ValueError) as error:
        raise ConfigurationError(
            f"{where}: its connection is not a database URL we know ({type(error).__name__}). It looks like "
            "mssql+pyodbc://user:password@host/database or sqlite:////path/to/file."
        ) from None
    rate = system.max_rows_per_second
    return LegacyDatabase(system, engine, zone, Throttle(rate / system.max_connections if rate else None))


def _sqlite(system: SqlServerSystemModel, url: sa.URL) -> sa.Engine:
    path = Path(url.database or "")
    if not path.is_file():
        raise ConfigurationError(
            f"system {system.system}: there is no SQLite file {path}. Seed the embedded estate with `sv estate seed`, "
            "or correct the connection."
        )
    # Files are opened read-only by their URI, so that nothing we run can write to a legacy database.
    read_only = sa.URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})
    engine = sa.create_engine(
        read_only, pool_size=system.max_connections, max_overflow=0, poolclass=sa.QueuePool, hide_parameters=True
    )
    schemas = sorted(
        (name[len(path.stem) + 1 : -len(path.suffix)], other)
        for other in path.parent.iterdir()
        if path.suffix
        and (name := other.name).startswith(f"{path.stem}.")
        and name.endswith(path.suffix)
        and name.count(".") == path.name.count(".") + 1
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        for schema, file in schemas:
            name = schema.replace('"', '""')
            connection.execute(f'ATTACH ? AS "{name}"', (f"file:{quote(str(file))}?mode=ro",))

    return engine.execution_options(schema_translate_map={"dbo": None})


def _sql_server(system: SqlServerSystemModel, url: sa.URL, needs_primary: bool) -> sa.Engine:
    try:
        import pyodbc
    except ImportError as error:
        raise ConfigurationError(
            f"system {system.system}: pyodbc cannot be loaded ({error}): it needs unixODBC. On Debian: apt-get install unixodbc."
        ) from None
    pyodbc.pooling = False  # the pool is ours; the driver manager's would hand over sessions with our settings lost
    text = odbc_string(odbc_keywords(url, read_only=not needs_primary))
    known = _ENGINES.get((text, system.max_connections))
    if known is not None:
        return known
    engine = sa.create_engine(
        url.set(host=None, port=None, username=None, password=None, database=None, query={"odbc_connect": text}),
        pool_size=system.max_connections,
        max_overflow=0,
        pool_pre_ping=True,
        pool_recycle=_SESSION_SECONDS,
        hide_parameters=True,
        connect_args={"timeout": 15},
    )

    @sa.event.listens_for(engine, "connect")
    def _be_kind(connection: Any, _record: Any) -> None:
        connection.timeout = _QUERY_SECONDS
        tsql.register_output_converters(connection)
        with connection.cursor() as cursor:
            for statement in _SESSION:
                cursor.execute(statement)
            versioning = cursor.execute(str(_VERSIONING)).fetchone()
            if versioning and versioning[0] == 1 and not versioning[1]:
                # Readers then neither wait for writers nor hold them up; with READ_COMMITTED_SNAPSHOT they never do.
                cursor.execute("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
        connection.commit()

    _ENGINES[text, system.max_connections] = engine
    return engine


def close_sessions() -> None:
    """Close the sessions with SQL Server that are kept for the tables to come."""
    for engine in _ENGINES.values():
        engine.dispose()
    _ENGINES.clear()
