"""Where a declared table and the database have come apart."""

from typing import Any

import pytest

from sv_assets.catalogue.model import TableEntry
from sv_assets.sources.introspect.drift import Drift, drift_of_table
from sv_assets.sources.schema import read_table
from sv_assets_tests.sources.introspect.conftest import Introspected

TABLES = """
CREATE TABLE Customer (CustomerId INT NOT NULL PRIMARY KEY);
CREATE TABLE Sale (SaleId INT NOT NULL PRIMARY KEY, CustomerId INT REFERENCES Customer, Amount DECIMAL(19,4));
"""
COLUMNS = {"SaleId": "int", "CustomerId": "int", "Amount": "decimal(19,4)"}
FOREIGN_KEY = {"columns": ["CustomerId"], "table": "Customer", "key": ["CustomerId"]}


def drift(shop: Introspected, **words: Any) -> list[tuple[str, str]]:
    shop.catalogued.declare("    - {name: dbo.Sale, key: [SaleId], capture: {mode: snapshot}}\n")
    entry = {"name": "dbo.Sale", "key": ["SaleId"], "capture": {"mode": "snapshot"}, **words}
    database = shop.open()
    try:
        found: list[Drift] = drift_of_table(TableEntry.model_validate(entry), read_table(database, entry["name"]))
    finally:
        database.close()
    assert all(one.sentence.endswith(".") and entry["name"] in one.sentence for one in found)
    return [(one.kind, one.subject) for one in found]


def test_a_table_that_is_as_declared_has_not_drifted(shop: Introspected) -> None:
    shop.script(TABLES)
    assert drift(shop, columns={**COLUMNS, "Amount": "DECIMAL (19, 4)"}, foreign_keys=[FOREIGN_KEY]) == []
    assert drift(shop) == [], "an entry by hand promises no columns"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"columns": {"SaleId": "int", "CustomerId": "int"}, "foreign_keys": [FOREIGN_KEY]}, [("column_added", "Amount")]),
        ({"columns": {**COLUMNS, "Gone": "int"}, "foreign_keys": [FOREIGN_KEY]}, [("column_vanished", "Gone")]),
        ({"columns": {**COLUMNS, "Amount": "money"}, "foreign_keys": [FOREIGN_KEY]}, [("column_retyped", "Amount")]),
        ({"columns": {**COLUMNS, "Amount": {"type": "money", "vanished": "2026-01-01"}}, "foreign_keys": [FOREIGN_KEY]},
         [("column_returned", "Amount")]),
        ({"columns": {**COLUMNS, "Gone": {"type": "money", "vanished": "2026-01-01"}}, "foreign_keys": [FOREIGN_KEY]}, []),
        ({"columns": COLUMNS}, [("foreign_key_added", "CustomerId -> dbo.Customer (CustomerId)")]),
        ({"foreign_keys": [{**FOREIGN_KEY, "columns": ["SaleId"]}, FOREIGN_KEY]},
         [("foreign_key_vanished", "SaleId -> Customer (CustomerId)")]),
        ({"key": ["CustomerId"]}, [("key_changed", "CustomerId")]),
        ({"key": ["SaleId", "CustomerId"]}, []),
        ({"key": ["OldId"]}, [("column_vanished", "OldId")]),
        ({"capture": {"mode": "modified_at", "column": "ModifiedAt"}}, [("column_vanished", "ModifiedAt")]),
        ({"vanished": "2026-01-01"}, [("table_returned", "")]),
        ({"name": "dbo.Gone"}, [("table_vanished", "")]),
        ({"name": "dbo.Gone", "vanished": "2026-01-01"}, []),
    ],
)  # fmt: skip
def test_each_difference_is_told_once(
    shop: Introspected, words: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    shop.script(TABLES)
    assert drift(shop, **words) == expected
