"""A message lands with every digit it has, or is rejected with a reason. Nothing that arrives raises an error."""

import json
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.catalogue.model import QueueEntry
from sv_assets.mongo import CODEC
from sv_assets.sources.messages import convert_message
from sv_assets.sources.records import Record, Rejected

QUEUE = QueueEntry(name="q", key="$.account.id", version="$.v")


def message(**rest: Any) -> str:
    return json.dumps({"account": {"id": "a1"}, "v": 1, **rest})


def converted(body: str) -> Record | Rejected:
    """What became of the message; a record can always be written, and a rejected message is kept whole."""
    result = convert_message(QUEUE, "m-1", body)
    if isinstance(result, Record):
        bson.encode({"_id": result.key, "v": result.version, **result.fields}, codec_options=CODEC)
    else:
        assert result.raw == {"message_id": "m-1", "body": body}
        assert result.key_text == "message m-1"
        assert result.reason
    return result


def field(literal: str) -> Any:
    result = converted(message(x="?").replace('"?"', literal))
    assert isinstance(result, Record), result.reason
    return result.fields["body"]["x"]


def test_a_good_message_lands_whole_under_body() -> None:
    result = converted(
        '{"account": {"id": 7}, "v": "2024-01-01T10:00:00Z", "name": "Zo\u00eb  ", "tags": [1, null, true]}'
    )
    assert isinstance(result, Record)
    assert (result.key, result.version) == ("7", "2024-01-01T10:00:00Z")
    assert result.fields["body"]["name"] == "Zo\u00eb  "
    assert result.fields["body"]["tags"] == [Int64(1), None, True]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not JSON"), ("hello", "not JSON"), ('{"account": ', "not JSON"), ("[1, 2]", "not an object"), ("5", "not an object"),
        ('"text"', "not an object"), ("null", "not an object"), ("[" * 100_000, "not JSON"),
        (message(x="?").replace('"?"', "NaN"), "NaN"), (message(x="?").replace('"?"', "-Infinity"), "Infinity"),
        (message(x="?").replace('"?"', "[" * 95 + "]" * 95), "nests deeper"),
        (message(x="?").replace('"?"', '{"a":' * 95 + "1" + "}" * 95), "nests deeper"),
        (message(x="?").replace('"?"', "9" * 5000), "not JSON"),
        (message(**{"a\0b": 1}), "null character"), (message(x={"\ud800": 1}), "not Unicode"), (message(x="\udc00"), "not Unicode"),
        ('{"v": 1}', "key $.account.id"), ('{"account": "a1", "v": 1}', "key $.account.id"),
        ('{"account": {"id": ""}, "v": 1}', "key $.account.id"), ('{"account": {"id": true}, "v": 1}', "key $.account.id"),
        ('{"account": {"id": 1.5}, "v": 1}', "key $.account.id"), ('{"account": {"id": ["a"]}, "v": 1}', "key $.account.id"),
        ('{"account": {"id": "a1"}}', "version $.v"), (message(v=None), "version $.v"), (message(v=True), "version $.v"),
        (message(v=1.5), "version $.v"), (message(v=""), "version $.v"), (message(v=2**63), "64 bits"),
    ],
)  # fmt: skip
def test_a_message_that_cannot_land_is_rejected_with_the_reason(body: str, reason: str) -> None:
    result = converted(body)
    assert isinstance(result, Rejected)
    assert reason in result.reason


def test_field_names_with_dots_dollars_and_no_letters_are_kept() -> None:
    assert field('{"a.b": 1, "$set": 2, "": 3}') == {"a.b": 1, "$set": 2, "": 3}


@pytest.mark.parametrize(
    ("literal", "landed"),
    [
        ("1", Int64(1)), (str(2**63 - 1), Int64(2**63 - 1)), (str(-(2**63)), Int64(-(2**63))),
        (str(2**63), Decimal128(str(2**63))), ("1" * 34, Decimal128("1" * 34)), ("1" * 50, "1" * 50),
        ("0.1", Decimal128("0.1")), ("1.10", Decimal128("1.10")), ("1E+400", Decimal128("1E+400")),
        ("0.1234567890123456789012345678901234567", "0.1234567890123456789012345678901234567"),
        ("1E+99999", "1E+99999"), ("1e-7000", "1E-7000"), ("true", True), ("null", None),
    ],
)  # fmt: skip
def test_a_number_keeps_every_digit(literal: str, landed: Any) -> None:
    value = field(literal)
    assert value == landed
    assert type(value) is type(landed)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_decimal_keeps_its_value(value: Decimal) -> None:
    landed = field(str(value))
    exact = landed.to_decimal() if isinstance(landed, Decimal128) else Decimal(str(landed))
    assert exact == value


@given(st.text())
def test_arbitrary_text_never_raises(body: str) -> None:
    converted(body)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@given(JSON, JSON, JSON, st.booleans())
def test_arbitrary_json_never_raises(identifier: Any, version: Any, rest: Any, ascii_only: bool) -> None:
    converted(json.dumps({"account": {"id": identifier}, "v": version, "rest": rest}, ensure_ascii=ascii_only))
    converted(json.dumps(rest, ensure_ascii=ascii_only))
