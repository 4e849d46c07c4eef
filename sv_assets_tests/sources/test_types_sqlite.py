"""Columns of SQLite files as the public sample databases declare them: nothing of them is quarantined, nothing changed."""

import datetime as dt
from typing import Any

import pytest
from bson import Decimal128, Int64

from sv_assets_tests.sources.shop import Shop

UTC = dt.timezone.utc
# (declaration, what the file holds, what lands): the first ones from Chinook and Northwind.
CASES: list[tuple[str, Any, Any]] = [
    ("INTEGER NOT NULL", 3, Int64(3)), ("NVARCHAR(160)", "For Those About To Rock", "For Those About To Rock"),
    ("NUMERIC(10,2)", 0.99, Decimal128("0.99")), ("DATETIME", "2009-01-01 00:00:00", dt.datetime(2009, 1, 1, tzinfo=UTC)),
    ("DATETIME", "2016-07-04", dt.datetime(2016, 7, 3, 23, tzinfo=UTC)), ("DATE", "1968-12-08", dt.datetime(1968, 12, 8, tzinfo=UTC)),
    ("NUMERIC", 32.38, Decimal128("32.38")), ("NUMERIC", 18, Decimal128("18")), ("NUMERIC DEFAULT 0", 0.15000000000000002, Decimal128("0.15000000000000002")),
    ("TEXT", "Alfreds Futterkiste ", "Alfreds Futterkiste "), ("BLOB", b"\x15\x1c/", b"\x15\x1c/"), ("BLOB", "text in a blob", "text in a blob"),
    ("REAL", 0.15, 0.15), ("DOUBLE", 1.0, 1.0), ("DOUBLE PRECISION", 2, 2.0), ("FLOAT", 1, 1.0), ("INTEGER", 2**62, Int64(2**62)),
    ("BOOLEAN", 1, True), ("BIT", 0, False), ("VARCHAR", "a", "a"), ("CLOB", "a", "a"), ("TIMESTAMP", "2006-02-15 04:34:33", dt.datetime(2006, 2, 15, 4, 34, 33, tzinfo=UTC)),
    ("", "no type", "no type"), ("", 5, Int64(5)), ("STRING", "a", "a"), ("MEDIUMINT", 5, Int64(5)), ("UNSIGNED BIG INT", 5, Int64(5)),
    ("DECIMAL(19,4)", 12.5, Decimal128("12.5000")), ("MONEY", -214748.3648, Decimal128("-214748.3648")), ("SQL_VARIANT", 1.5, 1.5),
    ("DECIMAL(38,0)", "1" * 20, Decimal128("11111111111111110000")), ("UNIQUEIDENTIFIER", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("declaration", "held", "landed"), CASES, ids=lambda item: str(item)[:24])
def test_a_value_of_a_sqlite_file_lands(shop: Shop, declaration: str, held: Any, landed: Any) -> None:
    shop.table("Item", f"Id INTEGER PRIMARY KEY, Held {declaration}", [(1, held)])
    (record,), _ = shop.read(shop.declare())
    assert record.fields["Held"] == landed
    assert type(record.fields["Held"]) is type(landed)
