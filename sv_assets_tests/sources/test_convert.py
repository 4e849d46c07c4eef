"""A row becomes a record: its fields, what stands beside them, the key as it is and as SQL Server compares it."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import bson
import pytest
from bson import Decimal128, Int64

from sv_assets.catalogue import Source
from sv_assets.landing.documents import Origin, landing_document
from sv_assets.mongo import CODEC
from sv_assets.sources.convert import RowConverter, partition_of
from sv_assets.sources.records import Record, Rejected
from sv_assets.sources.table import TableShape
from sv_assets.sources.types import Column
from sv_assets_tests.sources.shop import Shop

UTC = dt.timezone.utc
LONDON = ZoneInfo("Europe/London")
Convert = Callable[[Sequence[Any]], Record | Rejected]


def converting(shop: Shop, columns: list[Column], key: str, rest: Sequence[str] = ()) -> Convert:
    shape = TableShape(shop.declare(key=key, rest=rest), tuple(columns))
    return RowConverter(shape, LONDON, lambda _: 1).convert


def record(converted: Record | Rejected) -> Record:
    assert isinstance(converted, Record), converted
    return converted


def document_of(source: Source, converted: Record | Rejected) -> dict[str, Any]:
    """As it comes back from MongoDB."""
    document = landing_document(Origin(source, "run", dt.datetime.now(UTC)), record(converted))
    return bson.decode(document.raw.raw, codec_options=CODEC)


def test_what_the_fields_do_not_say_stands_under_sv(shop: Shop) -> None:
    columns = [
        Column("Id", "int"), Column("At", "datetime2", 7), Column("Sent", "datetimeoffset", 7), Column("Big", "decimal", 38, 0),
        Column("Any", "sql_variant"), Column("Plain", "datetime2", 7), Column("None", "sql_variant"),
    ]  # fmt: skip
    source = shop.declare(key="Id")
    converted = RowConverter(TableShape(source, tuple(columns)), LONDON, lambda _: 1).convert(
        (1, "2024-07-01 10:00:00.1234567", "2024-07-01 10:00:00.0000000 +02:00", 10**37, "int,10,0:5", "2024-07-01 10:00:00.1230000", None)
    )  # fmt: skip
    document = document_of(source, converted)
    sv = document.pop("_sv")
    assert document == {
        "_id": Int64(1), "Id": Int64(1), "At": dt.datetime(2024, 7, 1, 9, 0, 0, 123000, tzinfo=UTC),
        "Sent": dt.datetime(2024, 7, 1, 8, tzinfo=UTC), "Big": str(10**37), "Any": Int64(5),
        "Plain": dt.datetime(2024, 7, 1, 9, 0, 0, 123000, tzinfo=UTC), "None": None,
    }  # fmt: skip
    assert sv["exact"] == {"At": "2024-07-01T10:00:00.1234567", "Big": str(10**37)}
    assert sv["offset_minutes"] == {"Sent": 120}
    assert sv["base_type"] == {"Any": "int"}
    assert "key" not in sv


def test_a_change_below_the_millisecond_or_of_the_offset_alone_changes_the_content(shop: Shop) -> None:
    source = shop.declare(key="Id")
    columns = (Column("Id", "int"), Column("At", "datetime2", 7), Column("Sent", "datetimeoffset", 7))
    converter = RowConverter(TableShape(source, columns), LONDON, lambda _: 1)
    rows = [
        (1, "2024-07-01 10:00:00.1230000", "2024-07-01 10:00:00.0000000 +01:00"),
        (1, "2024-07-01 10:00:00.1230001", "2024-07-01 10:00:00.0000000 +01:00"),
        (1, "2024-07-01 10:00:00.1230000", "2024-07-01 09:00:00.0000000 +00:00"),
    ]
    hashes = [document_of(source, converter.convert(row))["_sv"]["hash"] for row in rows]
    assert len(set(hashes)) == 3


def test_a_row_of_which_the_fields_say_all_has_no_marks(shop: Shop) -> None:
    convert = converting(shop, [Column("Id", "int"), Column("Price", "money"), Column("At", "datetime", 3)], "Id")
    converted = record(convert((1, "1.5", "2024-07-01 10:00:00.123")))
    assert (converted.marks, converted.compared_key) == (None, None)
    assert converted.fields["Price"] == Decimal128("1.5000")


@pytest.mark.parametrize(
    ("collation", "compared"), [(None, "ab"), ("Latin1_General_CI_AS", "ab"), ("Latin1_General_CS_AS", "Ab"), ("Latin1_General_BIN2", "Ab")]
)  # fmt: skip
def test_a_text_key_is_kept_raw_and_as_the_collation_compares_it(
    shop: Shop, collation: str | None, compared: str
) -> None:
    convert = converting(shop, [Column("Code", "char", 4, collation=collation)], "Code")
    converted = record(convert(("Ab  ",)))
    assert (converted.key, converted.compared_key) == ("Ab  ", compared)
    source = shop.declare(key="Code")
    document = document_of(source, converted)
    assert (document["_id"], document["_sv"]["key"]) == ("Ab  ", compared)


def test_a_key_of_text_and_numbers_is_compared_part_by_part(shop: Shop) -> None:
    columns = [
        Column("Shop", "nvarchar", 9, collation="Latin1_General_CS_AS"),
        Column("Id", "int"),
        Column("Code", "varchar", 9),
    ]
    converted = record(converting(shop, columns, "Shop, Id, Code")(("UK ", 7, "Ab")))
    assert (converted.key, converted.compared_key) == ('["UK ",7,"Ab"]', '["UK",7,"ab"]')


def test_a_date_time_in_the_key_keeps_all_its_digits(shop: Shop) -> None:
    convert = converting(shop, [Column("At", "datetime2", 7)], "At")
    assert record(convert(("2024-07-01 10:00:00.1234567",))).key == "2024-07-01T10:00:00.1234567"
    assert record(convert(("2024-07-01 10:00:00.1230000",))).key == dt.datetime(2024, 7, 1, 9, 0, 0, 123000, tzinfo=UTC)


def test_a_rejected_row_is_kept_whole_and_its_reason_has_no_value(shop: Shop) -> None:
    convert = converting(shop, [Column("Id", "int"), Column("Price", "money"), Column("Rate", "real")], "Id")
    rejected = convert((7, "1.00", float("nan")))
    assert isinstance(rejected, Rejected)
    assert (rejected.key_text, rejected.reason) == ("7", "Rate is not a finite number")
    assert rejected.raw["Price"] == "1.00"


@pytest.mark.parametrize(("by", "expected"), [("day", "2024-07-01"), ("hour", "2024-07-01-09:00")])
def test_a_row_belongs_to_the_partition_of_its_local_time(shop: Shop, by: str, expected: str) -> None:
    rest = [f"partitions: {{by: {by}, start: 2024-01-01, column: At}}"]
    local = converting(shop, [Column("Id", "int"), Column("At", "datetime2", 7)], "Id", rest)
    assert record(local((1, "2024-07-01 09:59:59.9999999"))).partition == expected
    assert record(local((1, None))).partition is None
    offset = converting(shop, [Column("Id", "int"), Column("At", "datetimeoffset", 7)], "Id", rest)
    assert record(offset((1, "2024-07-01 10:30:00.0000000 +02:00"))).partition == expected, "in the system's own time"


def test_a_partition_is_named_from_whatever_the_driver_hands_over() -> None:
    for value in ("2024-07-01", dt.date(2024, 7, 1), dt.datetime(2024, 7, 1), "2024-07-01 00:00"):
        assert (partition_of(value, "day"), partition_of(value, "hour")) == ("2024-07-01", "2024-07-01-00:00")
