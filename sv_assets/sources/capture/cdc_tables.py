"""The tables in which SQL Server's change data capture keeps what it saw."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sv_assets.catalogue.capture import CdcCapture
from sv_assets.errors import ConfigurationError
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.records import Window
from sv_assets.sources.schema import read_columns
from sv_assets.sources.table import TableShape
from sv_assets.sources.types import Column

START = Column("__$start_lsn", "binary", 10, nullable=False)
COMMAND = Column("__$command_id", "int")
SEQUENCE = Column("__$seqval", "binary", 10, nullable=False)
OPERATION = Column("__$operation", "int", nullable=False)
COMMITTED = Column("tran_end_time", "datetime")

_INSTANCES = sa.table(
    "change_tables",
    sa.column("source_object_id"),
    sa.column("capture_instance"),
    sa.column("start_lsn"),
    schema="cdc",
)
TIMES = sa.table("lsn_time_mapping", sa.column("start_lsn"), sa.column(COMMITTED.name), schema="cdc")


@dataclass(frozen=True)
class Instance:
    """A capture instance: its change table holds the changes from the LSN `start` on, of these columns of the source."""

    name: str
    start: bytes
    columns: frozenset[str]
    has_command_id: bool

    @property
    def clause(self) -> sa.Table:
        """Its change table."""
        return sa.Table(f"{self.name}_CT", sa.MetaData(), schema="cdc")

    def start_now(self, database: LegacyDatabase) -> bytes:
        """Where it begins by now: the clean-up job moves that on. Beyond every LSN where the instance is gone."""
        statement = sa.select(_INSTANCES.c.start_lsn).where(_INSTANCES.c.capture_instance == self.name)
        start = database.read(lambda connection: connection.execute(statement).scalar())
        return b"\xff" * 10 if start is None else bytes(start)


def instances_of(database: LegacyDatabase, shape: TableShape, capture: CdcCapture) -> list[Instance]:
    """The capture instances of a table (SQL Server allows two), oldest first.

    Raises ConfigurationError with the statement a DBA must run, where there is none.
    """
    schema, _, table = shape.source.name.rpartition(".")
    where = f"system {shape.source.system}: table {shape.source.name}"
    with database.connect() as connection:
        if not read_columns(database, connection, "cdc", _INSTANCES.name):
            raise ConfigurationError(
                f"{where}: CDC is off in its database, or our log-in may not read the schema cdc. A DBA must run: "
                f"EXEC sys.sp_cdc_enable_db; {_enable(schema or 'dbo', table)}"
            )
        names = _names(database, connection, f"{schema or 'dbo'}_{table}", shape, capture)
        found = connection.execute(sa.select(_INSTANCES).where(_INSTANCES.c.capture_instance.in_(names))).all()
        instances = []
        for row in found:
            columns = [c.name for c in read_columns(database, connection, "cdc", f"{row.capture_instance}_CT")]
            captured = frozenset(name for name in columns if not name.startswith("__$"))
            instances.append(Instance(row.capture_instance, bytes(row.start_lsn), captured, COMMAND.name in columns))
    if not instances:
        raise ConfigurationError(
            f"{where}: no capture instance of CDC reads it. A DBA must run: {_enable(schema or 'dbo', table)}"
        )
    unreadable = next((instance for instance in instances if not instance.columns), None)
    if unreadable:
        raise ConfigurationError(
            f"{where}: our log-in may not read cdc.[{unreadable.name}_CT]. A DBA must run: "
            f"GRANT SELECT ON SCHEMA::cdc TO [our user];"
        )
    return sorted(instances, key=lambda instance: instance.start)


def highest_lsn(database: LegacyDatabase) -> bytes | None:
    """The last LSN that the capture job has worked off (sys.fn_cdc_get_max_lsn); None before the first."""
    highest = database.scalar(sa.select(sa.func.max(TIMES.c.start_lsn)))
    return None if highest is None else bytes(highest)


def lsns_committed_within(database: LegacyDatabase, window: Window) -> tuple[bytes, bytes] | None:
    """The first and the last LSN committed in the window (sys.fn_cdc_map_time_to_lsn); None where there is none."""
    committed: sa.ColumnClause[Any] = sa.column(COMMITTED.name)
    bounds = [
        database.bound(COMMITTED, t if isinstance(t, dt.datetime) else dt.datetime.combine(t, dt.time()))
        for t in (window.start, window.end)
    ]
    statement = sa.select(sa.func.min(TIMES.c.start_lsn), sa.func.max(TIMES.c.start_lsn)).select_from(TIMES)
    statement = statement.where(committed >= bounds[0], committed < bounds[1])
    first, last = database.read(lambda connection: connection.execute(statement).one())
    return None if first is None else (bytes(first), bytes(last))


def committed_at(database: LegacyDatabase, start: sa.ColumnElement[bytes]) -> sa.ColumnElement[object]:
    """When the transaction with this LSN was committed, in the server's local time."""
    times = TIMES.alias("tm")
    moment = database.selected(COMMITTED)
    return sa.select(moment).select_from(times).where(times.c.start_lsn == start).scalar_subquery()


def _names(
    database: LegacyDatabase, connection: sa.Connection, default: str, shape: TableShape, capture: CdcCapture
) -> list[str]:
    """The names of a table's capture instances: those of the declared one's source, else those of the table itself.

    SQLite knows no object ids, so there the instance of the default name (`dbo_Customer`) says which id is the table's.
    """
    every = connection.execute(sa.select(_INSTANCES.c.capture_instance, _INSTANCES.c.source_object_id)).all()
    wanted: set[object]
    if capture.instance:
        wanted = {row.source_object_id for row in every if row.capture_instance == capture.instance}
    elif database.is_sqlite:
        wanted = {row.source_object_id for row in every if row.capture_instance == default}
        wanted = wanted or {row.source_object_id for row in every if row.capture_instance.startswith(f"{default}_")}
    else:
        found = connection.execute(sa.text("SELECT OBJECT_ID(:name)"), {"name": shape.source.quoted_name})
        wanted = {found.scalar()}
    return [row.capture_instance for row in every if row.source_object_id in wanted]


def _enable(schema: str, table: str) -> str:
    return (
        f"EXEC sys.sp_cdc_enable_table @source_schema = N'{schema}', @source_name = N'{table}', @role_name = NULL, "
        "@supports_net_changes = 0;"
    )
