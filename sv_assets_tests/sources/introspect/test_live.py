"""Introspection of a T-SQL server, where `SV_TEST_SQLSERVER_URL` names one that lets us make a database.

Microsoft's SQL Server has all of it; Babelfish lacks the types and statements that are tried one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sv_assets.catalogue import Catalogue, load_catalogue
from sv_assets.catalogue.model import SqlServerSystemModel
from sv_assets.landing.land import land_table
from sv_assets.mongo import Store
from sv_assets.sources.database import open_database
from sv_assets.sources.introspect.drift import drift_of_table
from sv_assets.sources.introspect.found import DatabaseFound, Index
from sv_assets.sources.schema import read_columns, read_database, read_table
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.live import LiveDatabase, live_database, needs_sql_server
from sv_assets_tests.sources.introspect.conftest import Introspected

pytestmark = needs_sql_server
STATEMENTS = (
    "CREATE SCHEMA Sales",
    "CREATE TYPE dbo.PhoneNumber FROM nvarchar(25) NULL",
    "CREATE TYPE dbo.Amount FROM decimal(12,3) NOT NULL",
    "CREATE TABLE dbo.Customers (CustomerID nchar(5) NOT NULL CONSTRAINT PK_Customers PRIMARY KEY, "
    "CompanyName nvarchar(40) NOT NULL, ContactName nvarchar(30), Email nvarchar(100), Phone dbo.PhoneNumber, "
    "BirthDate date, Picture image, Notes ntext, Details xml, Extra sql_variant, RowGuid uniqueidentifier)",
    "CREATE TABLE dbo.Orders (OrderID int IDENTITY(1,1) NOT NULL PRIMARY KEY, CustomerID nchar(5) REFERENCES dbo.Customers "
    "(CustomerID), OrderDate datetime, Freight money, ModifiedDate datetime2(3) NOT NULL)",
    "CREATE INDEX IX_Orders_ModifiedDate ON dbo.Orders (ModifiedDate)",
    "CREATE TABLE dbo.[Order Details] (OrderID int NOT NULL REFERENCES dbo.Orders (OrderID), ProductID int NOT NULL, "
    "UnitPrice money NOT NULL, Quantity smallint NOT NULL, Price AS (UnitPrice * Quantity), "
    "CONSTRAINT PK_Order_Details PRIMARY KEY (OrderID, ProductID))",
    "CREATE TABLE Sales.Territory (Code varchar(10) NOT NULL, Region varchar(10), Target dbo.Amount, RowVer rowversion, "
    "CONSTRAINT UQ_Territory UNIQUE (Code))",
    "CREATE TABLE dbo.Customer (Id int NOT NULL PRIMARY KEY)",
    "CREATE TABLE dbo.NoKey (A int, B nvarchar(10), C bit)",
    "CREATE VIEW dbo.Buyers AS SELECT CustomerID FROM dbo.Customers",
    "INSERT INTO dbo.Customers (CustomerID, CompanyName, ContactName, Email, Phone, BirthDate, Picture, Extra, RowGuid) VALUES "
    "(N'ANATR', N'Trujillo', N'Ana Trujillo', N'ana@example.org', N'0113 496 0999', '1970-05-06', 0x00FF, 1, NEWID())",
    "INSERT INTO dbo.Orders (CustomerID, OrderDate, Freight, ModifiedDate) VALUES (N'ANATR', '2024-07-04', 32.38, '2024-07-04 10:00')",
    "INSERT INTO dbo.[Order Details] (OrderID, ProductID, UnitPrice, Quantity) VALUES (1, 11, 14, 12), (1, 42, 9.8, 10)",
    "INSERT INTO Sales.Territory (Code, Region, Target) VALUES ('N', 'North', 1.5)",
    "INSERT INTO dbo.NoKey VALUES (1, N'a', 1), (1, N'b', 0), (2, N'a', 1)",
)
ONLY_SQL_SERVER = (
    "CREATE TABLE dbo.Area (Node hierarchyid NOT NULL PRIMARY KEY, Place geography, Name nvarchar(20))",
    "INSERT INTO dbo.Area VALUES ('/1/', geography::Point(51.5, -0.1, 4326), N'London')",
)


@dataclass(frozen=True)
class Live:
    """A database of the module's own on a live server."""

    database: LiveDatabase
    is_whole: bool
    """Whether the server has everything that SQL Server has."""

    @property
    def url(self) -> str:
        return self.database.url


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_database() as database:
        database.run(*STATEMENTS)
        yield Live(database, database.supports(*ONLY_SQL_SERVER))


@pytest.fixture
def shop(live: Live, catalogued: Catalogued, monkeypatch: pytest.MonkeyPatch) -> Introspected:
    monkeypatch.setenv("SHOP_SQLSERVER_URL", live.url)
    return Introspected(catalogued)


@pytest.fixture
def found(live: Live) -> DatabaseFound:
    database = open_database(system(live))
    try:
        return read_database(database)
    finally:
        database.close()


def system(live: Live) -> SqlServerSystemModel:
    return SqlServerSystemModel.model_construct(system="shop", connection=live.url, owners=["team:shop"], tables=[])


def test_names_are_spelt_as_they_were_created_and_types_are_base_types(found: DatabaseFound) -> None:
    customers = found.table("dbo.Customers")
    assert customers is not None
    types = {column.name: column.declaration for column in customers.columns}
    assert list(types)[:4] == ["CustomerID", "CompanyName", "ContactName", "Email"]
    assert types["Phone"] == "nvarchar(25)"
    assert types["CustomerID"] == "nchar(5)"
    assert {types["Picture"], types["Notes"], types["Details"], types["Extra"]} == {
        "image",
        "ntext",
        "xml",
        "sql_variant",
    }
    territory = found.table("Sales.Territory")
    assert territory is not None
    assert {column.name: column.declaration for column in territory.columns}["Target"] == "decimal(12,3)"


def test_keys_indexes_foreign_keys_and_computed_columns_are_found(found: DatabaseFound) -> None:
    details, orders, territory = (found.table(n) for n in ("dbo.Order Details", "dbo.Orders", "Sales.Territory"))
    assert details is not None and orders is not None and territory is not None
    assert details.primary_key == ("OrderID", "ProductID")
    assert [(k.columns, k.table, k.key) for k in details.foreign_keys] == [(("OrderID",), "dbo.Orders", ("OrderID",))]
    assert [c.name for c in details.columns if c.computed] == ["Price"]
    assert Index(("ModifiedDate",)) in orders.indexes
    assert (territory.primary_key, territory.unique_keys) == ((), [("Code",)])
    assert [t.full_name.lower() for t in found.tables if t.is_view] == ["dbo.buyers"]


def test_one_table_is_read_as_it_is_among_all(live: Live, found: DatabaseFound) -> None:
    database = open_database(system(live))
    try:
        for table in found.tables:
            alone = read_table(database, table.full_name)
            assert alone is not None
            assert (alone.columns, alone.primary_key, alone.indexes, alone.foreign_keys) == (
                table.columns, table.primary_key, table.indexes, table.foreign_keys,
            )  # fmt: skip
            with database.connect() as connection:
                assert tuple(read_columns(database, connection, table.schema, table.name)) == table.columns
        assert read_table(database, "dbo.Nothing") is None
    finally:
        database.close()


def test_the_file_is_as_a_person_would_write_it(shop: Introspected, live: Live) -> None:
    proposed = shop.introspect("--sample", "10")
    expected = ["dbo.Customer", "dbo.Customers", "dbo.NoKey", "dbo.Order Details", "dbo.Orders", "Sales.Territory"]
    assert [t["name"] for t in proposed["tables"] if t["name"] != "dbo.Area"] == expected
    assert {t["name"]: t["rows"] for t in proposed["tables"]}["dbo.Order Details"] == 2
    assert shop.table("dbo.NoKey").key == ["A", "B"]
    assert shop.table("dbo.Orders").capture.mode == "modified_at"
    assert shop.table("Sales.Territory").capture.mode in ("rowversion", "snapshot")
    assert shop.table("dbo.Customers").pii["Email"] == "contact"
    assert [s.name for s in shop.catalogue.feeding("order_line")] == ["dbo.Order Details"]
    if live.is_whole:
        assert shop.table("dbo.Area").key == ["Node"]
    assert "Trujillo" not in shop.text + str(proposed)
    before = shop.text
    assert shop.introspect()["changes"] == []
    assert shop.text == before
    assert shop.run("shop", "--diff").exit_code == 0


def test_every_table_lands_by_the_file_as_it_is(shop: Introspected, store: Store) -> None:
    shop.introspect()
    catalogue: Catalogue = load_catalogue(shop.catalogued.directory)
    for source in catalogue.sources:
        land_table(store, catalogue, source, "run")
        assert store.landing[source.key].count_documents({"_sv.deleted": {"$ne": True}}) == source.table.rows, (
            source.name
        )


def test_drift_of_one_table_is_told(shop: Introspected, live: Live) -> None:
    shop.introspect()
    entry = shop.table("dbo.Customer")
    database = open_database(system(live))
    try:
        assert drift_of_table(entry, read_table(database, entry.name)) == []
        live.database.run("ALTER TABLE dbo.Customer ADD Extra int NULL")
        (drift,) = drift_of_table(entry, read_table(database, entry.name))
        assert (drift.kind, drift.subject) == ("column_added", "Extra")
    finally:
        database.close()
