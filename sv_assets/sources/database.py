"""Connections to a legacy database, and what its tables look like.

SQL Server and SQLite are reached by the same SQLAlchemy code; what differs between them stands in this file.
"""

import datetime as dt
import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from sqlalchemy import exc

from sv_assets import settings
from sv_assets.catalogue.capture import RowversionCapture
from sv_assets.catalogue.model import SqlServerSystemModel
from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError, SvError, TransientError
from sv_assets.sources.types import Column

_TRANSIENT_SQLSTATES = ("08", "HYT", "40001")
_DATE_TIMES = {"datetime": "datetime", "smalldatetime": "smalldatetime", "datetime2": "datetime2(7)", "time": "time(7)"}
_CAPTURED_BY = {
    "rowversion": ("rowversion", "timestamp", "binary", "varbinary"),
    "modified_at": ("date", "datetime", "datetime2", "smalldatetime"),
}
_SQL_SERVER_SESSION = (
    "SET DEADLOCK_PRIORITY LOW",
    "SET LOCK_TIMEOUT 10000",
)


@dataclass(frozen=True)
class LegacyDatabase:
    """One legacy system's database: its engine (at most `max_connections` at once) and its time zone."""

    system: SqlServerSystemModel
    engine: sa.Engine
    zone: ZoneInfo

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
            raise _explained(self.system.system, error) from None
        except UnicodeError:
            raise ConfigurationError(
                f"system {self.system.system}: the database holds text that is not Unicode where we cannot step over it. "
                "Mend it there, or read the table through a view that leaves it out."
            ) from None

    def selected(self, column: Column) -> sa.ColumnElement[Any]:
        """The column as it is read. pyodbc cuts date-times to microseconds, so SQL Server gives their text instead.

        It has no label, because ORDER BY would then mean the text and not the column under its index.
        """
        plain: sa.ColumnClause[Any] = sa.column(column.name)
        if self.is_sqlite or column.type_name not in _DATE_TIMES:
            return plain
        return sa.func.CONVERT(sa.literal_column("varchar(27)"), plain, sa.literal_column("121"))

    def bound(self, column: Column, value: Any) -> Any:
        """A value that was read from the column, to compare the column with: exactly, whatever its type."""
        if not self.is_sqlite and column.type_name in ("char", "varchar"):
            # pyodbc binds text as nvarchar, and SQL Server would convert the column, not the value: a scan a page.
            return sa.cast(value, sa.VARCHAR(max(column.precision or 0, 0) or None))  # varchar(max) has length -1
        if self.is_sqlite or column.type_name not in _DATE_TIMES:
            return value
        kind: sa.ColumnElement[Any] = sa.literal_column(_DATE_TIMES[column.type_name])
        return sa.func.CONVERT(kind, sa.literal(value, sa.String), sa.literal_column("121"))

    def now(self, connection: sa.Connection) -> dt.datetime:
        """The server's own clock, naive, in its local time. SQLite has none: there it is ours in the system's zone."""
        if self.is_sqlite:
            return dt.datetime.now(self.zone).replace(tzinfo=None)
        moment: dt.datetime = connection.execute(sa.text("SELECT SYSDATETIME()")).scalar_one()
        return moment

    def close(self) -> None:
        self.engine.dispose()


@dataclass(frozen=True)
class TableShape:
    """A legacy table as it is: its columns in order, and what it is read by."""

    source: Source
    columns: tuple[Column, ...]

    @property
    def clause(self) -> sa.Table:
        schema, _, name = self.source.name.rpartition(".")
        return sa.Table(name, sa.MetaData(), schema=schema or None)

    @property
    def key_columns(self) -> list[Column]:
        by_name = {column.name: column for column in self.columns}
        return [by_name[name] for name in self.source.table.key]


def open_database(system: SqlServerSystemModel) -> LegacyDatabase:
    """Prepare the engine; no connection is opened yet. Raises ConfigurationError for an unusable URL or time zone."""
    where = f"system {system.system}"
    try:
        zone = ZoneInfo(system.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            f"{where}: {system.time_zone!r} is not a time zone. Use a name such as Europe/London in its defs.yaml."
        ) from None
    try:
        engine = _engine(system, sa.make_url(settings.resolve(system.connection, where)))
    except (exc.ArgumentError, exc.NoSuchModuleError, ValueError) as error:
        raise ConfigurationError(
            f"{where}: its connection is not a database URL we know ({type(error).__name__}). It looks like "
            "mssql+pyodbc://user:password@host/database?driver=ODBC+Driver+18+for+SQL+Server or sqlite:////path/to/file."
        ) from None
    except ImportError as error:
        raise ConfigurationError(
            f"{where}: the database driver cannot be loaded ({error.name or type(error).__name__}). "
            "On Debian: apt-get install unixodbc; then the Microsoft ODBC Driver 18."
        ) from None
    return LegacyDatabase(system, engine, zone)


def _engine(system: SqlServerSystemModel, url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        if not path.is_file():
            raise ConfigurationError(
                f"system {system.system}: there is no SQLite file {path}. Seed the embedded estate with `sv estate seed`, "
                "or correct the connection."
            )
        # The file is opened read-only by its URI, so that nothing we run can write to a legacy database.
        read_only = sa.URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})
        engine = sa.create_engine(
            read_only, pool_size=system.max_connections, max_overflow=0, poolclass=sa.QueuePool, hide_parameters=True
        )

        @sa.event.listens_for(engine, "connect")
        def _be_lenient(connection: Any, _record: Any) -> None:
            # Text that is no UTF-8 stops its own row when it lands, and not the reading of the table.
            connection.text_factory = lambda text: text.decode(errors="surrogateescape")

        return engine.execution_options(schema_translate_map={"dbo": None})
    # A read-only replica cannot say which rowversions are still to come (Microsoft, MIN_ACTIVE_ROWVERSION), so a system
    # with such a table is read at its primary.
    reads_rowversions = any(isinstance(table.capture, RowversionCapture) for table in system.tables)
    intent = "ReadWrite" if reads_rowversions else "ReadOnly"
    url = url.update_query_dict({"ApplicationIntent": intent, "APP": "single-customer-view"} | dict(url.query))
    engine = sa.create_engine(
        url,
        pool_size=system.max_connections,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"timeout": 15},
    )

    @sa.event.listens_for(engine, "connect")
    def _be_kind(connection: Any, _record: Any) -> None:
        connection.timeout = 120
        with connection.cursor() as cursor:
            for statement in _SQL_SERVER_SESSION:
                cursor.execute(statement)

    return engine


def describe(database: LegacyDatabase, source: Source) -> TableShape:
    """Read the table's columns and check the declaration against them.

    Raises ConfigurationError, with the nearest names, for a table or column that is not there, and for a key that no
    unique index covers and whose values repeat.
    """
    schema, _, name = source.name.rpartition(".")
    with database.connect() as connection:
        columns = _columns(database, connection, schema, name)
        if not columns:
            raise ConfigurationError(
                f"system {source.system}: there is no table {source.name}. {_hint(name, _table_names(database, connection, schema))}"
            )
        shape = TableShape(source, tuple(columns))
        _check_columns(shape)
        _check_key(database, connection, shape)
    return shape


def count_rows(database: LegacyDatabase, shape: TableShape, where: Sequence[sa.ColumnElement[bool]] = ()) -> int:
    """How many rows the legacy table has (that fulfil `where`)."""
    with database.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(shape.clause).where(*where)).scalar_one())


def _columns(database: LegacyDatabase, connection: sa.Connection, schema: str, name: str) -> list[Column]:
    if database.is_sqlite:
        rows = connection.execute(sa.text('SELECT name, type, "notnull" FROM pragma_table_info(:name)'), {"name": name})
        return [Column.declared(row[0], row[1], not row[2]) for row in rows]
    rows = connection.execute(
        sa.text(
            "SELECT COLUMN_NAME, DATA_TYPE, COALESCE(NUMERIC_PRECISION, DATETIME_PRECISION, CHARACTER_MAXIMUM_LENGTH), "
            "NUMERIC_SCALE, IS_NULLABLE FROM INFORMATION_SCHEMA.COLUMNS "
            "WHERE TABLE_NAME = :name AND TABLE_SCHEMA = :schema ORDER BY ORDINAL_POSITION"
        ),
        {"name": name, "schema": schema or "dbo"},
    )
    return [Column(row[0], row[1].lower(), row[2], row[3], row[4] == "YES") for row in rows]


def _table_names(database: LegacyDatabase, connection: sa.Connection, schema: str) -> list[str]:
    if database.is_sqlite:
        rows = connection.execute(
            sa.text(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE '\\_%' ESCAPE '\\'"
            )
        )
    else:
        rows = connection.execute(
            sa.text("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = :schema"),
            {"schema": schema or "dbo"},
        )
    return [row[0] for row in rows]


def _check_columns(shape: TableShape) -> None:
    source, present = shape.source, [column.name for column in shape.columns]
    missing = sorted(source.columns_used() - set(present))
    if missing:
        raise ConfigurationError(
            f"system {source.system}: table {source.name} has no column {missing[0]}. {_hint(missing[0], present)}"
        )
    capture = source.table.capture
    for column in shape.columns:
        captured_by = capture.mode if column.name == getattr(capture, "column", None) else None
        if column.name == source.table.partition_column:
            captured_by = captured_by or "modified_at"
        if captured_by and column.type_name not in _CAPTURED_BY[captured_by]:
            raise ConfigurationError(
                f"system {source.system}: the column {column.name} of {source.name} is {column.type_name}, which cannot say "
                f"what is new. Allowed: {', '.join(_CAPTURED_BY[captured_by])}. Correct its defs.yaml, or use mode snapshot."
            )
    reserved = next((name for name in present if name in ("_id", "_sv") or "." in name or name.startswith("$")), None)
    if reserved:
        raise ConfigurationError(
            f"system {source.system}: table {source.name} has a column {reserved}, a name that landing keeps for itself. "
            "Read it through a view that renames the column."
        )


def _check_key(database: LegacyDatabase, connection: sa.Connection, shape: TableShape) -> None:
    """A unique index over (part of) the key answers without a scan; else the rows themselves are asked."""
    source = shape.source
    key = set(source.table.key)
    schema, _, name = source.name.rpartition(".")
    inspector = sa.inspect(connection)
    where = None if database.is_sqlite or not schema else schema
    constraints: list[Sequence[str | None]] = [inspector.get_pk_constraint(name, schema=where)["constrained_columns"]]
    constraints += [index["column_names"] for index in inspector.get_indexes(name, schema=where) if index["unique"]]
    constraints += [unique["column_names"] for unique in inspector.get_unique_constraints(name, schema=where)]
    by_name = {column.name: column for column in shape.columns}
    if any(columns and set(columns) <= key for columns in constraints) and not any(by_name[c].nullable for c in key):
        return
    columns: list[sa.ColumnClause[Any]] = [sa.column(c) for c in source.table.key]
    empty = connection.execute(
        sa.select(sa.func.count()).select_from(shape.clause).where(sa.or_(*[c.is_(None) for c in columns]))
    ).scalar_one()
    if empty:
        raise ConfigurationError(
            f"system {source.system}: {empty} rows of {source.name} have no value in the key ({', '.join(source.table.key)}). "
            "Declare a key that every row has."
        )
    groups = (
        sa.select(sa.literal(1)).select_from(shape.clause).group_by(*columns).having(sa.func.count() > 1).subquery()
    )
    repeated = connection.execute(sa.select(sa.func.count()).select_from(groups)).scalar_one()
    if repeated:
        raise ConfigurationError(
            f"system {source.system}: the key ({', '.join(source.table.key)}) of {source.name} is not unique: "
            f"{repeated} values stand in more than one row. Declare the columns that make a row unique."
        )


def _hint(word: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    guess = f"Did you mean {close[0]}? " if close else ""
    return f"{guess}It has: {', '.join(sorted(names)) or 'none that our log-in may see'}. Correct its defs.yaml."


def _explained(system: str, error: exc.SQLAlchemyError) -> SvError:
    origin = getattr(error, "orig", None)
    state = str(origin.args[0]) if origin is not None and origin.args else ""
    words = (
        settings.masked(str(origin or error)).splitlines()[0][:300]
        if not isinstance(error, exc.DataError)
        else type(error).__name__
    )
    if (
        isinstance(error, (exc.TimeoutError, exc.DisconnectionError))
        or state.startswith(_TRANSIENT_SQLSTATES)
        or "locked" in words
    ):
        return TransientError(
            f"system {system}: the database does not answer ({words}). Check its connection with `sv doctor`."
        )
    return ConfigurationError(
        f"system {system}: the database refuses ({words}). Check its connection with `sv doctor`."
    )
