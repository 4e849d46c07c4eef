"""Every SQL Server type lands as the table in `sv_assets.sources.types` says, exactly or not at all."""

import datetime as dt
import math
import struct
import uuid
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import bson
import pytest
from bson import Decimal128, Int64
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.errors import DataError
from sv_assets.mongo import CODEC
from sv_assets.sources.types import Column, Marked, converter
from sv_assets.sources.types.plain import identifier_as_stored

LONDON = ZoneInfo("Europe/London")
UTC = dt.timezone.utc


def convert(declaration: str, value: Any, zone: ZoneInfo = LONDON) -> Any:
    return converter(Column.declared("c", declaration), zone)(value)


def through_bson(value: Any) -> Any:
    return bson.decode(bson.encode({"v": value}, codec_options=CODEC), codec_options=CODEC)["v"]


@pytest.mark.parametrize(
    ("declaration", "value", "landed"),
    [
        ("BIT", 1, True), ("BIT", False, False),
        ("TINYINT", 255, Int64(255)), ("SMALLINT", -32768, Int64(-32768)), ("INT", 2**31 - 1, Int64(2**31 - 1)),
        ("BIGINT", -(2**63), Int64(-(2**63))),
        ("DECIMAL(19,4)", Decimal("12.5"), Decimal128("12.5000")), ("DECIMAL(19,4)", 0.1, Decimal128("0.1000")),
        ("NUMERIC(5)", 7, Decimal128("7")), ("MONEY", "922337203685477.5807", Decimal128("922337203685477.5807")),
        ("SMALLMONEY", -214748.3648, Decimal128("-214748.3648")),
        ("DECIMAL(38,0)", Decimal(10**34 - 1), Decimal128("9999999999999999999999999999999999")), ("DECIMAL(3,3)", Decimal("-0.001"), Decimal128("-0.001")),
        ("NUMERIC", 0.99, Decimal128("0.99")), ("NUMERIC", "-1e-20", Decimal128("-1E-20")), ("NUMERIC", 1e300, Decimal128("1E+300")), ("NUMERIC", 18, Decimal128("18")), ("NUMERIC(10,2)", 0.99, Decimal128("0.99")),
        ("INTEGER", 2**40, Int64(2**40)), ("BOOLEAN", 1, True), ("DOUBLE", 1.5, 1.5), ("DOUBLE PRECISION", 2, 2.0),
        ("BLOB", b"\0", b"\0"), ("STRING", "x", "x"), ("MEDIUMINT", 5, Int64(5)), ("TIMESTAMP", "2024-01-01 12:00:00", dt.datetime(2024, 1, 1, 12, tzinfo=UTC)),
        ("DATETIME", "2009-01-01 00:00:00", dt.datetime(2009, 1, 1, tzinfo=UTC)), ("JSON", "{}", "{}"), ("VECTOR(2)", "[1,2]", "[1,2]"),
        ("HIERARCHYID", "/1/2.5/", "/1/2.5/"), ("GEOGRAPHY", "SRID=4326;POINT (1 2)", "SRID=4326;POINT (1 2)"),
        ("FLOAT", 0.1, 0.1), ("REAL", 3, 3.0), ("FLOAT(53)", -0.0, -0.0),
        ("DATE", "2024-02-29", dt.datetime(2024, 2, 29, tzinfo=UTC)),
        ("DATE", dt.date(1900, 1, 1), dt.datetime(1900, 1, 1, tzinfo=UTC)),
        ("DATETIME2(3)", "2024-07-01 12:00:00.123", dt.datetime(2024, 7, 1, 11, 0, 0, 123000, tzinfo=UTC)),
        ("DATETIME", "2024-01-01T12:00:00", dt.datetime(2024, 1, 1, 12, tzinfo=UTC)),
        ("SMALLDATETIME", "2024-01-01 12:00", dt.datetime(2024, 1, 1, 12, tzinfo=UTC)),
        ("DATETIME2", "9999-12-31", dt.datetime(9999, 12, 31, tzinfo=UTC)),
        ("TIME(7)", "23:59:59.9999999", "23:59:59.9999999"), ("TIME", dt.time(1, 2, 3, 4), "01:02:03.0000040"),
        ("NVARCHAR(10)", "Zoë  ", "Zoë  "), ("CHAR(4)", "ab  ", "ab  "), ("VARCHAR(MAX)", "", ""), ("XML", "<a/>", "<a/>"),
        ("VARBINARY(8)", b"\x00\xff", b"\x00\xff"), ("ROWVERSION", memoryview(b"\x80" + b"\0" * 7), b"\x80" + b"\0" * 7),
        ("UNIQUEIDENTIFIER", "6F9619FF-8B86-D011-B42D-00C04FC964FF", uuid.UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")),
    ],
)  # fmt: skip
def test_a_value_lands_as_the_table_says(declaration: str, value: Any, landed: Any) -> None:
    converted = convert(declaration, value)
    assert converted == landed
    assert type(converted) is type(landed)
    assert through_bson(converted) == landed


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ("BIT", 2), ("BIT", "1"), ("TINYINT", 256), ("TINYINT", -1), ("SMALLINT", 40000), ("INT", 3 * 10**9), ("INT", 1.0),
        ("INT", "7"), ("BIGINT", 10**19),
        ("DECIMAL(5,2)", "1.005"), ("DECIMAL(5,2)", "NaN"), ("DECIMAL(5,2)", "Infinity"), ("DECIMAL(5,2)", "twelve"),
        ("DECIMAL(5,2)", None), ("MONEY", 0.00001), ("DECIMAL(9,2)", float("inf")),
        ("FLOAT", float("nan")), ("FLOAT", float("-inf")), ("FLOAT", "1.0"),
        ("DATE", "2023-02-29"), ("DATE", "2024-01-01 00:00:01"), ("DATE", "01/02/2024"), ("DATE", dt.datetime(2024, 1, 1)),
        ("DATETIME2", "2024-02-30 00:00:00"), ("DATETIME2", "2024-01-01 25:00:00"), ("DATETIME2", "yesterday"),
        ("DATETIME2", 20240101), ("DATETIME2", "0000-01-01"), ("DATETIME2", "2024-01-01 00:00:00.12345678"),
        ("DATETIME2", "2024-01-01 24:00:00.000"), ("DATETIME2", "2024-01-01 10:00:00.123+1"), ("DATETIME2", "2024-W01-1 10:00:00.000"),
        ("DATETIME2", "2024-01-01 10:00:00.123 +01:00"), ("DATETIMEOFFSET", "2024-01-01 10:00:00.123"),
        ("DATETIMEOFFSET", "2024-01-01 10:00:00 +14:01"), ("DATETIMEOFFSET", "0001-01-01 00:00:00 +00:01"),
        ("DATETIMEOFFSET", "9999-12-31 23:59:59 -00:01"), ("DECIMAL(5,2)", "1_0.00"), ("DECIMAL(5,2)", " 1.00"), ("NUMERIC", "one"), ("NUMERIC", "1" * 100), ("DECIMAL(38,0)", "1" * 100),
        ("NUMERIC", float("nan")), ("FLOAT", 2**53 + 1), ("REAL", float("nan")),
        ("TIME", "24:00:00"), ("TIME", "10:00:00+01:00"), ("TIME", "10:00:00.12345678"), ("TIME", 10),
        ("NVARCHAR(5)", b"bytes"), ("NVARCHAR(5)", 5), ("VARBINARY(5)", "text"),
        ("UNIQUEIDENTIFIER", "not-one"), ("UNIQUEIDENTIFIER", 5), ("SQL_VARIANT", dt.date(2024, 1, 1)),
        ("GEOGRAPHY", object()),
    ],
)  # fmt: skip
def test_what_the_type_does_not_allow_is_refused_without_naming_the_value(declaration: str, value: Any) -> None:
    with pytest.raises(DataError) as caught:
        convert(declaration, value)
    assert len(str(value)) < 3 or str(value) not in str(caught.value)


@given(
    st.integers(1, 38).flatmap(lambda p: st.tuples(st.just(p), st.integers(0, p), st.integers(-(10**p) + 1, 10**p - 1)))
)
def test_a_decimal_of_up_to_38_digits_keeps_them_all(case: tuple[int, int, int]) -> None:
    precision, scale, digits = case
    value = Decimal(f"{digits}E-{scale}")
    for given_as in (value, str(value)):
        landed = convert(f"DECIMAL({precision},{scale})", given_as)
        if isinstance(landed, Marked):
            assert len(str(abs(digits))) > 34
            assert landed == Marked(exact := f"{value:f}", exact)
            assert Decimal(through_bson(landed.value)) == value
        else:
            assert through_bson(landed) == Decimal128(value), "to the bit: the same digits and the same scale"
            assert len(str(abs(digits))) <= 34


@given(st.integers(-(2**63), 2**63 - 1))
def test_money_keeps_its_four_digits(ten_thousandths: int) -> None:
    value = Decimal(ten_thousandths).scaleb(-4)
    assert through_bson(convert("MONEY", value)).to_decimal() == value


@given(
    st.sampled_from(
        [
            ("TINYINT", 0, 255),
            ("SMALLINT", -(2**15), 2**15 - 1),
            ("INT", -(2**31), 2**31 - 1),
            ("BIGINT", -(2**63), 2**63 - 1),
        ]
    ),
    st.integers(-(2**64), 2**64),
)
def test_a_whole_number_lands_exactly_when_it_is_in_range(kind: tuple[str, int, int], value: int) -> None:
    name, low, high = kind
    if low <= value <= high:
        assert through_bson(convert(name, value)) == value
    else:
        with pytest.raises(DataError):
            convert(name, value)


@given(st.floats())
def test_a_float_lands_to_the_bit_or_is_refused(value: float) -> None:
    if math.isfinite(value):
        landed = through_bson(convert("FLOAT", value))
        assert landed == value
        assert math.copysign(1, landed) == math.copysign(1, value)
    else:
        with pytest.raises(DataError):
            convert("FLOAT", value)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_real_keeps_the_value_of_its_32_bits(value: float) -> None:
    landed = through_bson(convert("REAL", value))
    assert struct.pack("d", landed) == struct.pack("d", value)
    assert struct.unpack("f", struct.pack("f", landed))[0] == landed


@given(st.booleans())
def test_a_bit_lands_as_bool(value: bool) -> None:
    for given_as in (value, int(value)):
        assert through_bson(convert("BIT", given_as)) is value


@given(st.integers(-(10**9), 10**9), st.integers(0, 4))
def test_a_number_of_a_sqlite_file_is_the_decimal_that_it_shows(digits: int, scale: int) -> None:
    exact = Decimal(digits).scaleb(-scale)
    for given_as in (float(exact), *([int(exact)] if exact == int(exact) else [])):
        assert through_bson(convert("DECIMAL(19,4)", given_as)).to_decimal() == exact
        assert through_bson(convert("NUMERIC", given_as)).to_decimal() == exact


@given(st.floats(-1e20, 1e20))
def test_a_float_in_a_decimal_column_is_exact_but_for_its_last_bits_or_refused(value: float) -> None:
    try:
        landed = convert("DECIMAL(19,4)", value)
    except DataError:
        assert Decimal(repr(value)) != round(Decimal(repr(value)), 4)
        return
    number = Decimal(landed.value) if isinstance(landed, Marked) else landed.to_decimal()
    assert number == Decimal(repr(value)) or abs(float(number) - value) <= 2 * math.ulp(value)


def test_what_sqlite_computes_is_the_decimal_that_sql_server_would_hold() -> None:
    assert convert("DECIMAL(19,4)", 129.99 * 1.2).to_decimal() == Decimal("155.9880")
    assert convert("MONEY", 129.49 * 100).to_decimal() == Decimal("12949.0000")
    with pytest.raises(DataError):
        convert("MONEY", 0.12345)


@given(st.uuids(), st.booleans())
def test_a_uniqueidentifier_lands_as_uuid_of_subtype_4(value: uuid.UUID, upper: bool) -> None:
    landed = convert("UNIQUEIDENTIFIER", str(value).upper() if upper else value)
    assert landed == value
    assert bson.encode({"v": landed}, codec_options=CODEC)[11] == 4


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_is_left_as_it_is(value: str) -> None:
    assert through_bson(convert("NVARCHAR(MAX)", value)) == value


@given(st.binary())
def test_binary_is_left_as_it_is(value: bytes) -> None:
    assert through_bson(convert("VARBINARY(MAX)", value)) == value


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [("DECIMAL(19,4)", ("decimal", 19, 4)), ("NVARCHAR(MAX)", ("nvarchar", None, None)), ("int", ("int", None, None)),
     (" datetime2 ( 7 )", ("datetime2", 7, None)), ("", ("sql_variant", None, None)), ("!?", ("sql_variant", None, None)),
     ("DOUBLE  PRECISION", ("double precision", None, None)), ("NATIVE CHARACTER(70)", ("native character", 70, None))],
)  # fmt: skip
def test_a_declaration_is_read(declaration: str, expected: tuple[Any, ...]) -> None:
    column = Column.declared("c", declaration)
    assert (column.type_name, column.precision, column.scale) == expected


@pytest.mark.parametrize(
    ("column", "declaration", "is_large"),
    [
        (Column("c", "decimal", 19, 4), "decimal(19,4)", False), (Column("c", "numeric", 18, 0), "numeric(18,0)", False),
        (Column("c", "nvarchar", -1), "nvarchar(max)", True), (Column("c", "varchar"), "varchar(max)", True),
        (Column("c", "nvarchar", 20), "nvarchar(20)", False), (Column("c", "char", 4), "char(4)", False), (Column("c", "char"), "char", False),
        (Column("c", "varbinary", -1), "varbinary(max)", True), (Column("c", "binary", 8), "binary(8)", False),
        (Column("c", "datetime2", 3), "datetime2(3)", False), (Column("c", "time"), "time(7)", False), (Column("c", "datetimeoffset", 0), "datetimeoffset(0)", False),
        (Column("c", "datetime", 3), "datetime", False), (Column("c", "int", 10, 0), "int", False), (Column("c", "float", 53), "float", False),
        (Column("c", "money", 19, 4), "money", False), (Column("c", "text", 2147483647), "text", True), (Column("c", "image", 2147483647), "image", True),
        (Column("c", "xml", -1), "xml", True), (Column("c", "geography", -1), "geography", True), (Column("c", "json", -1), "json", True),
        (Column("c", "hierarchyid", 892), "hierarchyid", False), (Column("c", "sql_variant", 0), "sql_variant", False),
        (Column("c", "blob"), "blob", True), (Column("c", "Point"), "Point", True), (Column("c", "vector", 3), "vector(3)", False),
    ],
)  # fmt: skip
def test_a_column_says_its_type_as_t_sql_does_and_whether_it_may_be_large(
    column: Column, declaration: str, is_large: bool
) -> None:
    assert column.declaration == declaration
    assert column.is_large is is_large


def test_case_counts_where_the_collation_says_so() -> None:
    sensitive = [
        "Latin1_General_CS_AS",
        "Latin1_General_BIN",
        "Latin1_General_100_BIN2_UTF8",
        "SQL_Latin1_General_CP1_CS_AS",
    ]
    for collation in sensitive:
        assert Column("c", "varchar", 9, collation=collation).is_case_sensitive
    for unfolded in (None, "Latin1_General_CI_AS", "SQL_Latin1_General_CP1_CI_AS", "bbf_unicode_cp1_ci_as"):
        assert not Column("c", "varchar", 9, collation=unfolded).is_case_sensitive


@given(
    st.uuids(), st.sampled_from([str, lambda value: str(value).upper(), lambda value: value, lambda value: value.hex])
)
def test_a_uniqueidentifier_as_stored_is_the_same_identifier(value: uuid.UUID, given_as: Any) -> None:
    assert through_bson(identifier_as_stored(given_as(value))) == value


@pytest.mark.parametrize("value", ["0000 000-0000-0000-0000-000000000000", "x" * 36, "-" * 36, "", None, 5, " " * 36])
def test_what_is_no_uniqueidentifier_is_not_stored_as_one(value: Any) -> None:
    with pytest.raises(DataError):
        identifier_as_stored(value)
