"""Whatever tables a database has, the file that is written loads, and introspecting again changes nothing."""

import json
import sqlite3
from contextlib import closing

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv_assets.errors import ConfigurationError
from sv_assets_tests.examples import examples
from sv_assets_tests.sources.introspect.conftest import Introspected

WORDS = [
    "Customer", "Customers", "Person", "Employee", "Supplier", "Order", "Orders", "OrderHeader", "OrderLine", "Order Details",
    "Invoice", "InvoiceLine", "Payment", "Refund", "Call", "Complaint", "ContactPreference", "CustomerAddress", "Sales", "Track",
]  # fmt: skip
COLUMNS = [
    "Id", "CustomerId", "customer_id", "PersonID", "OrderId", "order_id", "InvoiceId", "LineNumber", "FirstName", "LastName",
    "Name", "ContactName", "GuestEmail", "Email", "Phone", "DateOfBirth", "Address", "City", "Postcode", "ShipPostalCode",
    "OrderDate", "CreatedAt", "ModifiedAt", "Total", "Amount", "Quantity", "UnitPrice", "OptedIn", "Purpose", "Channel", "Status",
    "RowVer", "Notes", "yes", "null", "1.5", "a: b", "# c", "it's", '"quoted"', "{flow}", "tab\tstop", "Grüße", "line\nbreak",
]  # fmt: skip
TYPES = [
    "INT", "INTEGER", "BIGINT", "BIT", "DECIMAL(19,4)", "MONEY", "FLOAT", "DATE", "DATETIME", "DATETIME2(3)", "NVARCHAR(50)",
    '"NVARCHAR(MAX)"', "TEXT", "UNIQUEIDENTIFIER", "ROWVERSION", "VARBINARY(8)", "BLOB", "XML", "",
]  # fmt: skip

names = st.sampled_from(COLUMNS) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)
columns = st.lists(
    st.tuples(names, st.sampled_from(TYPES), st.booleans()), min_size=1, max_size=9, unique_by=lambda c: c[0].casefold()
)
tables = st.dictionaries(st.sampled_from(WORDS), st.tuples(columns, st.booleans()), min_size=1, max_size=6)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@given(tables)
@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_file_loads_and_stays_as_it_is(
    shop: Introspected, tables: dict[str, tuple[list[tuple[str, str, bool]], bool]]
) -> None:
    shop.catalogued.database.unlink(missing_ok=True)
    shop.file.unlink(missing_ok=True)
    with closing(sqlite3.connect(shop.catalogued.database)) as connection, connection:
        for name, (shape, has_key) in tables.items():
            parts = [f"{quoted(c)} {kind}{' NOT NULL' if not_null else ''}" for c, kind, not_null in shape]
            key = [f"PRIMARY KEY ({quoted(shape[0][0])})"] if has_key else []
            connection.execute(f"CREATE TABLE {quoted(name)} ({', '.join(parts + key)})")
    result = shop.run("shop", "--json")
    if isinstance(result.exception, ConfigurationError):
        assert "there is no table to declare" in str(result.exception)
        return
    assert result.exception is None, result.exception
    found = json.loads(result.stdout)
    assert {s.name for s in shop.catalogue.sources} == {t["name"] for t in found["tables"]}
    for table in found["tables"]:
        declared = shop.table(table["name"])
        assert list(declared.columns) == [c["name"] for c in table["columns"]]
        assert declared.key == table["key"]["columns"]
    assert max(map(len, shop.text.splitlines())) <= 200
    before = shop.text
    assert shop.introspect()["changes"] == []
    assert shop.text == before
    assert shop.run("shop", "--diff").exit_code == 0, "what was just written has not drifted"
