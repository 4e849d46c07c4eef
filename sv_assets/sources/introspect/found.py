"""What a legacy database has, as it says itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from sv_assets.sources.types import Column


@dataclass(frozen=True)
class Index:
    """An index over whole columns of all rows: no filter, no expression. Its first column is what it can be entered by."""

    columns: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True)
class ForeignKeyFound:
    """A declared foreign key: `columns` hold the `key` of another table (`dbo.Customer`)."""

    columns: tuple[str, ...]
    table: str
    key: tuple[str, ...]


@dataclass(frozen=True)
class Offer:
    """A way of capturing changes that the database is set up for. `obstacle` is empty where our log-in can use it."""

    obstacle: str = ""

    @property
    def usable(self) -> bool:
        return not self.obstacle


@dataclass(frozen=True)
class TableFound:
    """A table or view. `rows` is None where they were not counted; names are spelt as the database spells them."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKeyFound, ...] = ()
    rows: int | None = None
    is_view: bool = False
    change_tracking: Offer | None = None
    cdc: Offer | None = None
    unreadable: str = ""
    """Why our log-in cannot read its rows; empty where it can, or where nobody tried."""

    @property
    def full_name(self) -> str:
        """As it is declared: `dbo.Order Details`, `Sales.Customer`."""
        return f"{self.schema}.{self.name}"

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def unique_keys(self) -> list[tuple[str, ...]]:
        """The columns of the primary key and of each unique index, in this order."""
        unique = [index.columns for index in self.indexes if index.unique and index.columns != self.primary_key]
        return ([self.primary_key] if self.primary_key else []) + unique

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def is_entered_by(self, column: str) -> bool:
        """True where an index, or the primary key, begins with this column."""
        return any(columns[0] == column for columns in (*self.unique_keys, *(i.columns for i in self.indexes)))


@dataclass(frozen=True)
class DatabaseFound:
    """All tables and views of a database, by schema and name. `rowversion`: whether rowversions can be read up to a mark."""

    tables: tuple[TableFound, ...]
    rowversion: Offer = Offer()
    notes: tuple[str, ...] = ()
    """What could not be asked, and what that costs: a sentence each."""
    is_sqlite: bool = False

    def table(self, full_name: str) -> TableFound | None:
        """By its declared name; a name without a schema is in `dbo`. Upper and lower case are the same where only one fits."""
        wanted = full_name if "." in full_name else f"dbo.{full_name}"
        exact = next((table for table in self.tables if table.full_name == wanted), None)
        alike = [table for table in self.tables if table.full_name.casefold() == wanted.casefold()]
        return exact or (alike[0] if len(alike) == 1 else None)


def in_order(tables: Iterable[TableFound]) -> tuple[TableFound, ...]:
    """By schema (`dbo` first) and name."""
    return tuple(sorted(tables, key=lambda t: (t.schema != "dbo", t.schema.casefold(), t.name.casefold(), t.name)))
