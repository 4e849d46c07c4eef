"""The best capture mode that a table allows, with the reason."""

from dataclasses import dataclass

from sv_assets.sources.introspect.found import DatabaseFound, TableFound
from sv_assets.sources.introspect.keys import Key
from sv_assets.sources.introspect.words import is_moment, singular, table_words, word_set, words

_CHANGED = word_set("modified modification updated update changed change amended edited touched")
_BESIDE = word_set(
    "last date time at on utc datetime dt ts timestamp stamp row record rec dtm when rowupdate lastupdate gmt"
)
_RUN_TOGETHER = word_set("modifieddate lastmodified lastupdated lastupdate moddate updatedat modifiedat upddate")


@dataclass(frozen=True)
class CaptureChoice:
    """A capture mode, the column it needs, and why it was chosen over the better ones."""

    mode: str
    reason: str
    column: str | None = None

    @property
    def declaration(self) -> dict[str, str]:
        """As it stands in a `defs.yaml`."""
        if self.mode == "modified_at":
            return {"mode": self.mode, "column": self.column or "", "lag": "5m"}
        return {"mode": self.mode} | ({"column": self.column} if self.column else {})


def capture_of(database: DatabaseFound, table: TableFound, key: Key) -> CaptureChoice:
    """cdc, change_tracking, rowversion, modified_at by an indexed column, snapshot: the first that can be used."""
    obstacles: list[str] = []
    if table.cdc is not None:
        if table.cdc.usable:
            return CaptureChoice("cdc", "CDC is on for this table")
        obstacles.append(table.cdc.obstacle)
    if table.change_tracking is not None:
        if table.change_tracking.usable and key.columns == table.primary_key:
            return CaptureChoice("change_tracking", "change tracking is on for this table")
        obstacles.append(
            table.change_tracking.obstacle or "change tracking goes by the primary key, and the key is another"
        )
    column = rowversion_column(database, table)
    if column is not None:
        if database.rowversion.usable:
            slow = "" if table.is_entered_by(column) else "; no index begins with it, so each run reads the whole table"
            return CaptureChoice("rowversion", _because(f"{column} is a rowversion{slow}", obstacles), column)
        obstacles.append(f"{column} is a rowversion, but {database.rowversion.obstacle}")
    moments = modified_columns(table)
    indexed = [name for name in moments if table.is_entered_by(name)]
    if indexed:
        may_be_null = next(c.nullable for c in table.columns if c.name == indexed[0])
        nulls = "; rows where it is null are seen by full runs only" if may_be_null else ""
        reason = f"indexed; make sure that every update sets it{nulls}"
        return CaptureChoice("modified_at", _because(reason, obstacles), indexed[0])
    if moments:
        obstacles.append(f"no index begins with {moments[0]}: with one, use modified_at")
    elif not obstacles:
        obstacles.append("nothing says when a row changed")
    return CaptureChoice("snapshot", "; ".join(obstacles))


def rowversion_column(database: DatabaseFound, table: TableFound) -> str | None:
    """SQL Server calls the type `timestamp`, which in a SQLite file is a date-time."""
    types = ("rowversion",) if database.is_sqlite else ("rowversion", "timestamp")
    return next((column.name for column in table.columns if column.type_name in types), None)


def modified_columns(table: TableFound) -> list[str]:
    """The date-time columns whose names say that they change with every change of the row; `PriceChangedAt` does not."""
    own = set(table_words(table)) | {"".join(table_words(table))}
    found = []
    for column in table.columns:
        said = words(column.name)
        others = [word for word in said if word not in _CHANGED | _BESIDE and singular(word) not in own]
        says_so = bool(_CHANGED & set(said)) or "".join(said) in _RUN_TOGETHER
        if is_moment(column) and not column.computed and says_so and not set(others) - _RUN_TOGETHER:
            found.append(column.name)
    return found


def _because(reason: str, obstacles: list[str]) -> str:
    return "; ".join([reason, *obstacles])
