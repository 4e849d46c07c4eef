"""What `sv introspect` writes for databases that people know: it loads, and says what a person would have said."""

import sqlite3
from contextlib import closing

import pytest

from sv_assets.catalogue.capture import ModifiedAtCapture, RowversionCapture
from sv_assets.catalogue.feeds import Feeds, Reference
from sv_assets.errors import ConfigurationError
from sv_assets.landing.land import land_table
from sv_assets.local.generator import legacy_schema
from sv_assets.mongo import Store
from sv_assets_tests.sources.introspect.conftest import Introspected
from sv_assets_tests.sources.introspect.samples import CHINOOK, NORTHWIND


def test_northwind_is_declared_with_keys_types_foreign_keys_and_rows(shop: Introspected) -> None:
    shop.script(NORTHWIND)
    found = shop.introspect()
    assert [t["name"] for t in found["tables"]] == [
        s.name for s in sorted(shop.catalogue.sources, key=lambda s: s.name.casefold())
    ]
    assert len(found["tables"]) == 8
    assert found["views"] == ["dbo.Order Subtotals"]
    details = shop.table("dbo.Order Details")
    assert details.key == ["OrderID", "ProductID"]
    assert details.columns["UnitPrice"] == "numeric"
    assert details.rows == 1
    assert [(k.columns, k.table, k.key) for k in details.foreign_keys] == [
        (["OrderID"], "dbo.Orders", ["OrderID"]),
        (["ProductID"], "dbo.Products", ["ProductID"]),
    ]
    assert [k.table for k in shop.table("dbo.Products").foreign_keys] == ["dbo.Categories", "dbo.Suppliers"]
    assert all(source.table.capture.mode == "snapshot" for source in shop.catalogue.sources)


def test_northwind_feeds_customers_orders_and_lines_and_leaves_staff_and_suppliers_to_a_person(
    shop: Introspected,
) -> None:
    shop.script(NORTHWIND)
    shop.introspect()
    assert {
        feed: [s.name for s in shop.catalogue.feeding(feed)]
        for feed in Feeds.model_fields
        if shop.catalogue.feeding(feed)
    } == {
        "party": ["dbo.Customers"],
        "order": ["dbo.Orders"],
        "order_line": ["dbo.Order Details"],
    }
    party = shop.table("dbo.Customers").feeds.party
    assert party is not None and party.address is not None
    assert (party.name.full, party.name.title, party.phone, party.address.postcode) == (
        "ContactName", None, ["Phone"], "PostalCode",
    )  # fmt: skip
    order, line = shop.table("dbo.Orders").feeds.order, shop.table("dbo.Order Details").feeds.order_line
    assert order is not None and line is not None
    assert (order.number, order.placed_at, order.postcode) == ("OrderID", "OrderDate", "ShipPostalCode")
    assert (line.order.id, line.line, line.quantity, line.unit_price) == (
        "OrderID",
        "ProductID",
        "Quantity",
        "UnitPrice",
    )
    assert "#   party:  # 0.40" in shop.text, "employees and suppliers are comments"


def test_a_feed_in_a_comment_can_be_taken_as_it_is(shop: Introspected) -> None:
    shop.script(NORTHWIND)
    shop.introspect()
    lines = [
        line.replace("# ", "", 1) if line.lstrip().startswith(("# feeds:", "#   ")) else line
        for line in shop.text.splitlines()
    ]
    shop.file.write_text("\n".join(lines))
    assert {s.name for s in shop.catalogue.feeding("party")} == {"dbo.Customers", "dbo.Employees", "dbo.Suppliers"}


def test_northwind_marks_personal_data_by_class(shop: Introspected) -> None:
    shop.script(NORTHWIND)
    shop.introspect()
    assert shop.table("dbo.Customers").pii == {
        "ContactName": "name", "Address": "address", "City": "address", "PostalCode": "address", "Phone": "contact",
        "Fax": "contact",
    }  # fmt: skip
    assert shop.table("dbo.Employees").pii["BirthDate"] == "sensitive"
    assert shop.table("dbo.Employees").pii["Photo"] == "sensitive"
    for name in ("dbo.Products", "dbo.Categories", "dbo.Order Details"):
        assert shop.table(name).pii == {}


def test_chinook_takes_invoices_for_orders(shop: Introspected) -> None:
    shop.script(CHINOOK)
    shop.introspect()
    assert [s.name for s in shop.catalogue.feeding("party")] == ["dbo.Customer"]
    order, line = shop.table("dbo.Invoice").feeds.order, shop.table("dbo.InvoiceLine").feeds.order_line
    assert order is not None and line is not None
    assert (order.placed_at, order.total, order.postcode) == ("InvoiceDate", "Total", "BillingPostalCode")
    assert (line.order.id, line.line, line.sku) == ("InvoiceId", "InvoiceLineId", "TrackId")
    assert "Name" not in shop.table("dbo.Artist").pii
    assert shop.table("dbo.Invoice").columns["Total"] == "numeric(10,2)"


@pytest.mark.parametrize("database", [NORTHWIND, CHINOOK])
def test_every_table_lands_by_the_file_as_it_is(shop: Introspected, store: Store, database: str) -> None:
    shop.script(database)
    shop.introspect()
    for source in shop.catalogue.sources:
        land_table(store, shop.catalogue, source, "run")
        landed = store.landing[source.key].count_documents({"_sv.deleted": {"$ne": True}})
        assert landed == source.table.rows, source.name


def test_the_retailers_own_databases_are_declared_as_people_declared_them(shop: Introspected) -> None:
    with closing(sqlite3.connect(shop.catalogued.database)) as connection, connection:
        for system in ("crm", "sales"):
            for table, columns in legacy_schema.TABLES[system].items():
                connection.execute(f"CREATE TABLE {table} ({columns}) WITHOUT ROWID")
            legacy_schema.create_indexes(connection, system)
        connection.execute("CREATE TABLE _rowversion (value INTEGER NOT NULL)")
    shop.introspect()
    customer, header, preference = (
        shop.table(name) for name in ("dbo.Customer", "dbo.OrderHeader", "dbo.ContactPreference")
    )
    assert customer.capture == RowversionCapture(mode="rowversion", column="RowVer")
    assert header.capture == ModifiedAtCapture(mode="modified_at", column="ModifiedAt")
    assert preference.capture.mode == "snapshot"
    assert customer.feeds.party is not None and customer.feeds.party.phone == ["Mobile", "Phone"]
    assert header.feeds.party is not None and header.feeds.party.when_empty == "AccountId"
    assert header.feeds.order is not None
    assert header.feeds.order.party == Reference(table="dbo.Account", key="AccountId", otherwise="self")
    assert preference.feeds.consent[0].granted == "OptedIn"
    assert {feed for feed in Feeds.model_fields if shop.catalogue.feeding(feed)} == {
        "party", "address", "order", "order_line", "payment", "refund", "consent",
    }  # fmt: skip


def test_a_new_file_says_where_its_connection_is_and_never_holds_a_url(shop: Introspected) -> None:
    shop.script(CHINOOK)
    result = shop.run("music", "--connection", f"sqlite:///{shop.catalogued.database}", "--owner", "team:music")
    assert result.exit_code == 0, result.exception
    text = (shop.catalogued.directory / "music" / "defs.yaml").read_text()
    assert 'connection: "{{ env.MUSIC_SQLSERVER_URL }}"' in text
    assert "sqlite" not in text
    assert "MUSIC_SQLSERVER_URL" in result.stdout


def test_an_index_that_begins_with_the_modified_column_decides_on_the_capture_mode(shop: Introspected) -> None:
    shop.script(
        "CREATE TABLE A (Id INT NOT NULL PRIMARY KEY, ModifiedAt DATETIME2); CREATE INDEX I ON A (ModifiedAt, Id);"
        "CREATE TABLE B (Id INT NOT NULL PRIMARY KEY, ModifiedAt DATETIME2); CREATE INDEX J ON B (Id, ModifiedAt);"
        "CREATE TABLE C (Id INT NOT NULL PRIMARY KEY, PriceChangedAt DATETIME2); CREATE INDEX K ON C (PriceChangedAt);"
        "CREATE TABLE D (Id INT NOT NULL PRIMARY KEY, UpdatedOn DATETIME2);"
        "CREATE INDEX L ON D (UpdatedOn) WHERE UpdatedOn IS NOT NULL;"
    )
    found = {t["name"]: t["capture"] for t in shop.introspect()["tables"]}
    assert {name: capture["mode"] for name, capture in found.items()} == {
        "dbo.A": "modified_at", "dbo.B": "snapshot", "dbo.C": "snapshot", "dbo.D": "snapshot",
    }  # fmt: skip
    assert "no index begins with ModifiedAt" in found["dbo.B"]["reason"]
    assert "no index begins with UpdatedOn" in shop.text


def test_cdc_is_preferred_where_it_captures_every_column(shop: Introspected) -> None:
    shop.script(
        "CREATE TABLE A (Id INT NOT NULL PRIMARY KEY, RowVer ROWVERSION);"
        "CREATE TABLE B (Id INT NOT NULL PRIMARY KEY, Name TEXT, RowVer ROWVERSION);"
    )
    shop.script(
        "CREATE TABLE change_tables (source_object_id INT, capture_instance TEXT, start_lsn BLOB);"
        "INSERT INTO change_tables VALUES (1, 'dbo_A', x'01'), (2, 'dbo_B', x'01');"
        "CREATE TABLE dbo_A_CT (__$start_lsn BLOB, Id INT, RowVer BLOB);"
        "CREATE TABLE dbo_B_CT (__$start_lsn BLOB, Id INT, RowVer BLOB);",
        schema="cdc",
    )
    found = {t["name"]: t["capture"] for t in shop.introspect()["tables"]}
    assert list(found) == ["dbo.A", "dbo.B"]
    assert found["dbo.A"]["mode"] == "cdc"
    assert found["dbo.B"]["mode"] == "rowversion"
    assert "leaves out Name" in found["dbo.B"]["reason"]


def test_tables_of_an_attached_schema_are_declared_under_its_name(shop: Introspected) -> None:
    shop.script(
        "CREATE TABLE Customer (CustomerID INT NOT NULL PRIMARY KEY, Email NVARCHAR(50), LastName NVARCHAR(50))"
    )
    shop.script(
        "CREATE TABLE Customer (Id INT NOT NULL PRIMARY KEY); CREATE TABLE Territory (Id INT NOT NULL PRIMARY KEY, "
        "CustomerId INT REFERENCES customer (id));",
        schema="Sales",
    )
    shop.introspect()
    assert [s.name for s in shop.catalogue.sources] == ["dbo.Customer", "Sales.Customer", "Sales.Territory"]
    assert shop.table("Sales.Territory").foreign_keys[0].table == "Sales.Customer"


def test_only_and_exclude_choose_by_full_and_bare_names_in_any_case(shop: Introspected) -> None:
    shop.script(NORTHWIND)
    found = shop.introspect("--only", "ORDER*", "--only", "dbo.Cust*", "--exclude", "*details")
    assert [t["name"] for t in found["tables"]] == ["dbo.Customers", "dbo.Orders"]


def test_a_database_without_tables_is_said_to_be_empty(shop: Introspected) -> None:
    with pytest.raises(ConfigurationError, match="no table to declare"):
        shop.introspect()
    assert not shop.file.exists()
    assert not shop.file.parent.exists()


def test_a_file_that_would_not_load_is_not_written(shop: Introspected) -> None:
    shop.script("CREATE TABLE Account (Id INT NOT NULL PRIMARY KEY)")
    shop.catalogued.declare("    - {name: dbo.Other, key: [Id], capture: {mode: snapshot}, feeds: {}}\n", "other")
    broken = shop.catalogued.directory / "other" / "defs.yaml"
    broken.write_text(broken.read_text().replace("snapshot", "snapshoot"))
    with pytest.raises(ConfigurationError, match="snapshoot"):
        shop.introspect()
    assert not shop.file.exists()


def test_dry_run_shows_the_file_and_writes_nothing(shop: Introspected) -> None:
    shop.script(CHINOOK)
    result = shop.run("shop", "--dry-run")
    assert result.exit_code == 0
    assert "+    - name: dbo.Customer" in result.stdout
    assert not shop.file.exists()


def test_a_system_of_queues_is_not_taken_for_a_database(shop: Introspected) -> None:
    folder = shop.catalogued.directory / "web"
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(
        "type: sv_assets.components.SqsQueues\nattributes:\n  system: web\n  owners: ['team:web']\n"
        "  queues:\n    - {name: q, key: $.id, version: $.v}\n"
    )
    result = shop.run("web", "--connection", "SHOP_SQLSERVER_URL")
    assert isinstance(result.exception, ConfigurationError)
    assert "queues" in str(result.exception)
