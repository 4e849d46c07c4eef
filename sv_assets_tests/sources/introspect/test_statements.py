"""The statements for SQL Server are T-SQL: each parses, and what the search and the profile ask compiles to it."""

import re
from contextlib import contextmanager
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
import sqlglot
from sqlalchemy.dialects.mssql.base import MSDialect

from sv_assets.catalogue.model import SqlServerSystemModel
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.introspect import keys, on_sql_server
from sv_assets.sources.introspect.found import TableFound
from sv_assets.sources.introspect.profile import profile
from sv_assets.sources.schema import count_rows
from sv_assets.sources.types import Column

TABLE = TableFound(
    "Sales", "Order Details",
    (Column("Order ID", "int", nullable=False), Column("Code", "nvarchar", 10), Column("At", "datetime2", 7),
     Column("Text", "nvarchar", -1), Column("Photo", "image"), Column("Place", "geography"), Column("Node", "hierarchyid"),
     Column("Any", "sql_variant")),
)  # fmt: skip


class Asked:
    """Stands in for the engine: remembers each statement as SQLAlchemy's mssql dialect compiles it, answers with zeros."""

    dialect: Any = cast(Any, MSDialect)(deprecate_large_types=True)

    def __init__(self) -> None:
        self.statements: list[str] = []

    @contextmanager
    def connect(self) -> Any:
        yield self

    def execute(self, statement: sa.ClauseElement) -> "Asked":
        compiled = statement.compile(
            dialect=self.dialect, compile_kwargs={"literal_binds": True, "render_postcompile": True}
        )
        self.statements.append(re.sub(r"\s+", " ", str(compiled)))
        return self

    def fetchall(self) -> list[tuple[int, ...]]:
        asked = self.statements[-1].lower()
        counts = [(3, *[3, 1] * asked.count("count(distinct"))]
        return counts if len(counts[0]) > 1 else [(1,)] if "distinct" in asked else [(0, 3)]

    def fetchmany(self, _: int) -> list[Any]:
        return []


@pytest.mark.parametrize("name", list(on_sql_server.STATEMENTS))
def test_each_statement_on_the_catalogue_views_parses(name: str) -> None:
    text = re.sub(r":(\w+)", r"@\1", on_sql_server.STATEMENTS[name])
    (parsed,) = sqlglot.parse(text, read="tsql")
    assert isinstance(parsed, sqlglot.exp.Select)


def test_what_is_asked_of_the_rows_parses_and_is_bounded() -> None:
    asked = Asked()
    system = SqlServerSystemModel.model_construct(system="shop", connection="", owners=[], tables=[])
    database = LegacyDatabase(system, cast(sa.Engine, asked), ZoneInfo("Europe/London"))
    count_rows(database, [TABLE])
    profile(database, TABLE, {"Code": "name"}, 100)
    counted = TableFound(TABLE.schema, TABLE.name, TABLE.columns, rows=3)
    keys.key_of(database, counted)
    for statement in asked.statements:
        (parsed,) = sqlglot.parse(statement, read="tsql")
        assert isinstance(parsed, (sqlglot.exp.Select, sqlglot.exp.SetOperation)), statement
        assert "[Sales].[Order Details]" in statement
    sampled = next(statement for statement in asked.statements if "DATALENGTH" in statement)
    assert sampled.startswith("SELECT TOP 100 ")
    assert "CONVERT(varchar(27), [At], 121)" in sampled
    assert "DATALENGTH([Text])" in sampled and "DATALENGTH([Photo])" in sampled
    assert len(asked.statements) <= 3 + keys.MOST_TRIES


def test_types_that_cannot_be_compared_are_not_searched_for_a_key() -> None:
    asked = Asked()
    system = SqlServerSystemModel.model_construct(system="shop", connection="", owners=[], tables=[])
    database = LegacyDatabase(system, cast(sa.Engine, asked), ZoneInfo("Europe/London"))
    columns = tuple(
        Column("c", name, -1 if "var" in name else None)
        for name in (
            "text",
            "ntext",
            "image",
            "xml",
            "geography",
            "geometry",
            "json",
            "vector",
            "nvarchar",
            "varbinary",
            "money_udt",
        )
    )
    found = keys.key_of(database, TableFound("dbo", "T", columns, rows=3))
    assert (found.columns, asked.statements) == ((), [])
