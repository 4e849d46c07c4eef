"""A message lands with every digit it has, or is rejected with a reason. Nothing that arrives raises an error."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64
from hypothesis import given, settings
from hypothesis import strategies as st

from sv_assets.errors import DataError
from sv_assets.mongo import CODEC
from sv_assets.sources.messages import Message, message_of, path_parts
from sv_assets.sources.messages.raw import raw_of
from sv_assets_tests.sources.messages.opened import QUEUE, body, opened, queue, reason, record


def field(literal: str) -> Any:
    return record(body(x="?").replace('"?"', literal)).fields["body"]["x"]


def test_a_good_message_lands_whole_under_body() -> None:
    result = record(
        '{"account": {"id": 7}, "v": "2024-01-01T10:00:00Z", "name": "Zo\u00eb  ", "tags": [1, null, true]}'
    )
    assert (result.key, result.version) == ("7", "2024-01-01T10:00:00.000000000Z")
    assert result.fields["body"]["name"] == "Zo\u00eb  "
    assert result.fields["body"]["tags"] == [Int64(1), None, True]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"), ("hello", "not JSON"), ('{"account": ', "not JSON"), ("[1, 2]", "not an object"), ("5", "not an object"),
        ('"text"', "not an object"), ("null", "not an object"), ("[" * 100_000, "not JSON"), ("\ufeff{}", "not JSON"),
        (body(x="?").replace('"?"', "NaN"), "NaN"), (body(x="?").replace('"?"', "-Infinity"), "Infinity"),
        (body(x="?").replace('"?"', "[" * 95 + "]" * 95), "nests deeper"),
        (body(x="?").replace('"?"', '{"a":' * 95 + "1" + "}" * 95), "nests deeper"),
        (body(x="?").replace('"?"', "9" * 5000), "not JSON"),
        (body(**{"a\0b": 1}), "null character"), (body(x={"\ud800": 1}), "not Unicode"), (body(x="\udc00"), "not Unicode"),
        ('{"v": 1}', "key $.account.id"), ('{"account": "a1", "v": 1}', "key $.account.id"),
        ('{"account": {"id": ""}, "v": 1}', "key $.account.id"), ('{"account": {"id": true}, "v": 1}', "key $.account.id"),
        ('{"account": {"id": 1.5}, "v": 1}', "key $.account.id"), ('{"account": {"id": ["a"]}, "v": 1}', "key $.account.id"),
        ('{"account": {"id": "a1"}}', "version $.v"), (body(v=None), "version $.v"), (body(v=True), "version $.v"),
        (body(v=1.5), "version $.v"), (body(v=""), "version $.v"), (body(v=2**63), "64 bits"),
    ],
)  # fmt: skip
def test_a_message_that_cannot_land_is_rejected_with_the_reason(text: str, why: str) -> None:
    assert why in reason(text)


def test_field_names_with_dots_dollars_and_no_letters_are_kept() -> None:
    assert field('{"a.b": 1, "$set": 2, "": 3}') == {"a.b": 1, "$set": 2, "": 3}


def test_a_path_that_a_feed_names_holds_one_value() -> None:
    feeds = {"party": {"email": "$.account.email"}}
    declared = queue(feeds=feeds)
    record(body(), declared)
    text = '{"account": {"id": "a1", "email": ["a@example.com"]}, "v": 1}'
    assert reason(text, declared) == "$.account.email is declared as one value and holds a list or an object"


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


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_decimal_keeps_its_value(value: Decimal) -> None:
    landed = field(str(value))
    exact = landed.to_decimal() if isinstance(landed, Decimal128) else Decimal(str(landed))
    assert exact == value


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_arbitrary_text_never_raises(text: str) -> None:
    opened(text)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@settings(deadline=None)
@given(JSON, JSON, JSON, st.booleans())
def test_arbitrary_json_never_raises(identifier: Any, version: Any, rest: Any, ascii_only: bool) -> None:
    opened(json.dumps({"account": {"id": identifier}, "v": version, "rest": rest}, ensure_ascii=ascii_only))
    opened(json.dumps(rest, ensure_ascii=ascii_only))


MESSAGES = st.builds(
    Message,
    message_id=st.uuids().map(str),
    body=st.text(st.characters(codec=None)),
    sent_at=st.integers(0, 4_000_000_000_000).map(
        lambda ms: dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(milliseconds=ms)
    ),
    attributes=st.dictionaries(st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True), st.text() | st.binary()),
    group=st.none() | st.text(),
    payload=st.none() | st.text() | st.binary(),
)


@settings(deadline=None)
@given(MESSAGES)
def test_quarantine_gives_back_the_very_message(message: Message) -> None:
    raw = raw_of(message)
    assert message_of(raw) == message
    assert message_of(bson.decode(bson.encode(raw, codec_options=CODEC), codec_options=CODEC)) == message


def test_quarantine_keeps_nothing_that_a_message_does_not_have() -> None:
    assert set(raw_of(Message("m", "", dt.datetime.now(dt.timezone.utc)))) == {"message_id", "body", "sent_at"}


def test_an_entry_of_old_gives_back_its_message() -> None:
    message = message_of({"message_id": "m", "body": "x"})
    assert (message.message_id, message.body, message.sent_at.year) == ("m", "x", 1970)


@pytest.mark.parametrize(
    "raw", [{}, {"message_id": "m", "body": "x", "sent_at": "datetime of length 27, left in the source"}]
)
def test_an_entry_without_its_message_says_so(raw: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="only its outline"):
        message_of(raw)


def test_nothing_of_a_message_shows_in_a_repr() -> None:
    for text in (body(name="SECRET"), '{"name": "SECRET"}'):
        result = opened(text, attributes={"a": "SECRET"}, payload="SECRET")
        assert "SECRET" not in repr(result)


def test_path_parts() -> None:
    assert path_parts(QUEUE.key) == ["account", "id"]
