"""Every SQL Server type lands as the table in `sv_assets.sources.types` says, exactly or not at all."""

import datetime as dt
import math
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
from sv_assets.sources.types import Column, Inexact, converter, local_text

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
        if isinstance(landed, Inexact):
            assert len(str(abs(digits))) > 34
            assert landed.value is None
            assert Decimal(landed.text) == value
        else:
            assert through_bson(landed).to_decimal() == value
            assert len(str(abs(digits))) <= 34 or digits == 0


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


@given(st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9999, 12, 30)), st.integers(0, 9))
def test_a_datetime2_lands_to_the_millisecond_and_its_exact_text_beside_it(moment: dt.datetime, last: int) -> None:
    text = f"{moment.isoformat(' ', 'microseconds')}{last}"
    landed = convert("DATETIME2(7)", text)
    exact = landed.text if isinstance(landed, Inexact) else local_text(text)
    value = through_bson(landed.value if isinstance(landed, Inexact) else landed)
    assert exact == text == local_text(text)
    expected = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=LONDON).astimezone(UTC)
    assert value == expected
    if not isinstance(landed, Inexact):
        assert value.astimezone(LONDON).replace(tzinfo=None) == moment, "what is not exact in UTC has its text"


@given(
    st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2099, 12, 31)),
    st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2099, 12, 31)),
)
def test_local_text_sorts_as_the_moments_do(one: dt.datetime, other: dt.datetime) -> None:
    assert (local_text(one) < local_text(other)) == (one < other)
    assert local_text(one) == local_text(one.isoformat(" "))


def test_the_hour_that_the_clocks_skip_keeps_its_own_text() -> None:
    skipped, real = convert("DATETIME", "2024-03-31 01:30:00"), convert("DATETIME", "2024-03-31 02:30:00")
    assert isinstance(skipped, Inexact)
    assert skipped.text == "2024-03-31 01:30:00.0000000"
    assert skipped.value == real, "both are 01:30 UTC, so the text is what tells them apart"


def test_the_hour_that_comes_twice_is_read_as_its_first_time() -> None:
    assert convert("DATETIME", "2024-10-27 01:30:00") == dt.datetime(2024, 10, 27, 0, 30, tzinfo=UTC)


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
     (" datetime2 ( 7 )", ("datetime2", 7, None)), ("", ("sql_variant", None, None)), ("!?", ("sql_variant", None, None))],
)  # fmt: skip
def test_a_declaration_is_read(declaration: str, expected: tuple[Any, ...]) -> None:
    column = Column.declared("c", declaration)
    assert (column.type_name, column.precision, column.scale) == expected
